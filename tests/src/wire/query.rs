//! Text queries: statements in, results as text out.

use predictsql_proxy::wire::{
    Capabilities, EofPacket, ErrPacket, OkPacket, PACKET_BYTES_MAX, command, lenenc,
};

use super::{Packet, SqlError, Wire, ok, sql_error, text};

/// One result of a text query.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// Column names; empty for a statement without rows.
    pub columns: Vec<String>,
    /// Cells as text; `None` is NULL.
    pub rows: Vec<Vec<Option<String>>>,
    /// Rows changed, for a statement without rows.
    pub affected_rows: u64,
    /// Number of warnings.
    pub warnings: u16,
}

impl Wire {
    /// Runs a text query and reads all of its results.
    ///
    /// # Errors
    /// The server's error; results before it are lost.
    ///
    /// # Panics
    /// The connection ends.
    #[track_caller]
    pub fn query(&mut self, sql: &str) -> Result<Vec<Answer>, SqlError> {
        let payload = [&[command::QUERY], sql.as_bytes()].concat();
        match self.command(&payload) {
            Ok(packets) => self.parse_answer(&packets),
            Err(error) => panic!("{error} at: {sql}"),
        }
    }

    /// Runs a statement that succeeds.
    #[track_caller]
    pub fn run(&mut self, sql: &str) -> Answer {
        match self.query(sql) {
            Ok(mut answers) => answers.swap_remove(0),
            Err(error) => panic!("{error:?} at: {sql}"),
        }
    }

    /// The rows of a statement that succeeds.
    #[track_caller]
    pub fn rows(&mut self, sql: &str) -> Vec<Vec<Option<String>>> {
        self.run(sql).rows
    }

    /// The first cell of the first row; `None` also where there is no row.
    #[track_caller]
    pub fn value(&mut self, sql: &str) -> Option<String> {
        self.rows(sql).into_iter().flatten().next().flatten()
    }

    /// The error of a statement that fails.
    #[track_caller]
    pub fn error(&mut self, sql: &str) -> SqlError {
        match self.query(sql) {
            Ok(answers) => panic!("no error but {answers:?} at: {sql}"),
            Err(error) => error,
        }
    }

    fn parse_answer(&self, packets: &[Packet]) -> Result<Vec<Answer>, SqlError> {
        let mut payloads = Vec::new();
        let mut joined = Vec::new();
        for packet in packets {
            joined.extend_from_slice(&packet.payload);
            if packet.payload.len() < PACKET_BYTES_MAX {
                payloads.push(std::mem::take(&mut joined));
            }
        }
        let mut payloads = payloads.iter().map(Vec::as_slice);
        let mut answers = Vec::new();
        while let Some(head) = payloads.next() {
            answers.push(self.parse_result(head, &mut payloads)?);
        }
        Ok(answers)
    }

    fn parse_result<'a>(
        &self,
        mut head: &'a [u8],
        payloads: &mut impl Iterator<Item = &'a [u8]>,
    ) -> Result<Answer, SqlError> {
        let mut answer = Answer::default();
        match head.first() {
            Some(&ErrPacket::HEADER) => return Err(sql_error(head)),
            Some(0xfb) => head = payloads.next().unwrap(),
            _ => {}
        }
        if let [ErrPacket::HEADER, ..] = head {
            return Err(sql_error(head));
        }
        if let [OkPacket::HEADER, ..] = head {
            let ok = ok(head).unwrap();
            answer.affected_rows = ok.affected_rows;
            answer.warnings = ok.warnings;
            return Ok(answer);
        }
        let columns = lenenc::get_int(&mut head).unwrap();
        for _ in 0..columns {
            answer.columns.push(column_name(payloads.next().unwrap()));
        }
        let deprecate_eof = self.capabilities.has(Capabilities::DEPRECATE_EOF);
        if !deprecate_eof {
            payloads.next();
        }
        loop {
            let mut payload = payloads.next().unwrap();
            match payload.first() {
                Some(&ErrPacket::HEADER) => return Err(sql_error(payload)),
                Some(&EofPacket::HEADER) if self.ends_rows(payload) => {
                    answer.warnings = if deprecate_eof {
                        ok(payload).unwrap().warnings
                    } else {
                        u16::from_le_bytes([payload[1], payload[2]])
                    };
                    return Ok(answer);
                }
                _ => {
                    let cell = |_| Some(text(lenenc::get_cell(&mut payload).unwrap()?));
                    answer.rows.push((0..columns).map(cell).collect());
                }
            }
        }
    }
}

/// The fifth text of a column definition, after catalog, schema and both names of the table.
fn column_name(mut payload: &[u8]) -> String {
    for _ in 0..4 {
        lenenc::get_str(&mut payload).unwrap();
    }
    text(lenenc::get_str(&mut payload).unwrap())
}
