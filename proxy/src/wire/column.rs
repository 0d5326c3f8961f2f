//! The column definition packet (Protocol::ColumnDefinition41).

use super::{Capabilities, Malformed, lenenc};
use bytes::{BufMut, Bytes, BytesMut};

/// One column of a result set or one parameter of a prepared statement, as described by the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnDefinition {
    /// Always `def`.
    pub catalog: Bytes,
    /// Database.
    pub schema: Bytes,
    /// Alias of the table in the statement.
    pub table: Bytes,
    /// The table's original name.
    pub org_table: Bytes,
    /// Alias of the column in the statement.
    pub name: Bytes,
    /// The column's original name; empty for expressions.
    pub org_name: Bytes,
    /// MariaDB's extended type information, unparsed; `None` if not negotiated.
    pub extended: Option<Bytes>,
    /// Collation id of the values; 63 for binary and numbers.
    pub charset: u16,
    /// Maximum display length in bytes.
    pub length: u32,
    /// The type byte (`mysql_common::constants::ColumnType`).
    pub column_type: u8,
    /// `mysql_common::constants::ColumnFlags` bits.
    pub flags: u16,
    /// Digits after the decimal point; 31 for dynamic, 39 on MariaDB.
    pub decimals: u8,
    /// The remaining bytes, unparsed: two filler bytes, and the default value in a COM_FIELD_LIST
    /// answer.
    pub tail: Bytes,
}

/// Length of charset, length, type, flags, decimals and filler.
const FIXED_BYTES: usize = 12;

impl ColumnDefinition {
    /// Parses a payload; the fields share its memory.
    pub fn parse(payload: &Bytes, capabilities: Capabilities) -> Result<Self, Malformed> {
        let mut input = &payload[..];
        let mut text = || lenenc::get_str(&mut input).map(|text| payload.slice_ref(text));
        let (catalog, schema, table) = (text()?, text()?, text()?);
        let (org_table, name, org_name) = (text()?, text()?, text()?);
        let extended = if capabilities.has(Capabilities::MARIADB_EXTENDED_METADATA) {
            Some(text()?)
        } else {
            None
        };
        if lenenc::get_int(&mut input)? != FIXED_BYTES as u64 || input.len() < FIXED_BYTES {
            return Err(Malformed("a column definition of another length"));
        }
        Ok(Self {
            catalog,
            schema,
            table,
            org_table,
            name,
            org_name,
            extended,
            charset: lenenc::get_u16(&mut input)?,
            length: lenenc::get_u32(&mut input)?,
            column_type: lenenc::get_u8(&mut input)?,
            flags: lenenc::get_u16(&mut input)?,
            decimals: lenenc::get_u8(&mut input)?,
            tail: payload.slice_ref(input),
        })
    }

    /// Encodes the payload; a parsed payload is reproduced byte for byte.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let texts = [
            Some(&self.catalog),
            Some(&self.schema),
            Some(&self.table),
            Some(&self.org_table),
            Some(&self.name),
            Some(&self.org_name),
            self.extended.as_ref(),
        ];
        let text_bytes: usize = texts.iter().flatten().map(|text| text.len() + 9).sum();
        let mut output = BytesMut::with_capacity(text_bytes + FIXED_BYTES + 1 + self.tail.len());
        for text in texts.into_iter().flatten() {
            lenenc::put_str(&mut output, text);
        }
        lenenc::put_int(&mut output, FIXED_BYTES as u64);
        output.put_u16_le(self.charset);
        output.put_u32_le(self.length);
        output.put_u8(self.column_type);
        output.put_u16_le(self.flags);
        output.put_u8(self.decimals);
        output.put_slice(&self.tail);
        output.freeze()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_column_of_a_real_server() {
        // MariaDB 10.11: SELECT id FROM t, no extended metadata.
        let payload = Bytes::from_static(
            b"\x03def\x04test\x01t\x01t\x02id\x02id\x0c\x3f\x00\x0b\x00\x00\x00\x03\x03\x42\x00\x00\x00",
        );
        let column = ColumnDefinition::parse(&payload, Capabilities::default()).unwrap();
        assert_eq!(&column.org_table[..], b"t");
        assert_eq!(
            (column.charset, column.length, column.column_type),
            (63, 11, 3)
        );
        assert_eq!(column.flags, 0x4203);
        assert_eq!(column.encode(), payload);
    }

    fn text() -> impl Strategy<Value = Bytes> {
        prop::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from)
    }

    proptest! {
        #[test]
        fn round_trip(
            texts in prop::collection::vec(text(), 6), extended in prop::option::of(text()),
            charset: u16, length: u32, column_type: u8, flags: u16, decimals: u8,
            default in text(),
        ) {
            let tail = [&[0, 0], &default[..]].concat();
            let column = ColumnDefinition {
                catalog: texts[0].clone(), schema: texts[1].clone(), table: texts[2].clone(),
                org_table: texts[3].clone(), name: texts[4].clone(), org_name: texts[5].clone(),
                extended: extended.clone(), charset, length, column_type, flags, decimals,
                tail: tail.into(),
            };
            let capabilities = extended.map_or(Capabilities::default(), |_| Capabilities::MARIADB_EXTENDED_METADATA);
            prop_assert_eq!(ColumnDefinition::parse(&column.encode(), capabilities).unwrap(), column);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let bytes = Bytes::from(bytes);
            let _ = ColumnDefinition::parse(&bytes, Capabilities::default());
            let _ = ColumnDefinition::parse(&bytes, Capabilities::MARIADB_EXTENDED_METADATA);
        }
    }
}
