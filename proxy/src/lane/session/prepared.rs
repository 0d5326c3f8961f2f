//! Prepared statements of the lane. Their ids are the store's own: the store holds the statement
//! rewritten over typed stubs, and the lane holds the client's text.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use predictsql_optimizer::ddl::{Change, Work};

use crate::error::{ErrorKind, SqlError};
use crate::lane::session::settings::Meaning;
use crate::lane::store::error::LinkError;
use crate::lane::store::parameters::Parameters;
use crate::lane::store::spool::{SentAhead, SpoolAccount};
use crate::wire::{Malformed, command, lenenc};

/// Statement id with which MariaDB clients refer to the last prepared statement.
const LAST: u32 = u32::MAX;

/// A statement prepared through the lane.
#[derive(Debug)]
pub enum Kept {
    Select(Box<KeptSelect>),
    Change(Box<Change>),
    Work(Box<Work>),
}

/// A statement with predict calls, or one over a view with predict calls.
#[derive(Debug)]
pub struct KeptSelect {
    /// The text as the client sent it.
    pub statement: Bytes,
    /// The session settings at its preparation.
    pub meaning: Meaning,
    /// Number of parameters.
    pub parameter_count: usize,
    /// Parameter types that the last execution bound.
    pub kinds: Vec<u16>,
    /// Long data sent for the next execution; an error if it exceeded a limit.
    pub long_data: Result<LongData, SqlError>,
}

/// Parameter data from COM_STMT_SEND_LONG_DATA.
#[derive(Debug, Default)]
pub struct LongData {
    by_parameter: BTreeMap<u16, BytesMut>,
    bytes: usize,
    held: Option<SentAhead>,
}

impl LongData {
    fn push(
        &mut self,
        parameter: u16,
        data: &[u8],
        bytes_max: usize,
        account: &Arc<SpoolAccount>,
    ) -> Result<(), SqlError> {
        if self.bytes + data.len() > bytes_max {
            return Err(too_long());
        }
        let held = self.held.get_or_insert_with(|| SentAhead::new(account));
        if !held.grow(data.len() as u64) {
            return Err(SqlError::new(
                ErrorKind::OutOfMemory,
                "Out of memory: data sent ahead for parameters in all sessions reaches a quarter of \
                 statements_memory_bytes_max",
            ));
        }
        self.bytes += data.len();
        let of_parameter = self.by_parameter.entry(parameter).or_default();
        of_parameter.extend_from_slice(data);
        Ok(())
    }
}

fn too_long() -> SqlError {
    SqlError::new(
        ErrorKind::PacketTooLarge,
        "Data sent ahead for the parameters of a statement with predictions exceeds inspect_bytes_max",
    )
}

/// The prepared statements of one session that the lane handles.
#[derive(Debug, Default)]
pub struct PreparedStatements {
    pub by_id: BTreeMap<u32, Kept>,
    last: Last,
}

/// The statement that the client prepared last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Last {
    /// There is none, or it has been closed.
    #[default]
    None,
    /// The store's last prepared statement is the same: the lane has prepared none since.
    AtStore,
    /// It has this id; the store's last prepared statement may be one of the lane's own.
    Known(u32),
}

impl PreparedStatements {
    /// Whether the command body starts with the id of a statement of the lane.
    pub fn owns(&self, body: &[u8]) -> bool {
        self.id(body).is_some_and(|id| self.by_id.contains_key(&id))
    }

    /// Notes that another statement was sent to the store to be prepared.
    pub fn forget_last(&mut self) {
        self.last = Last::AtStore;
    }

    /// Notes that the lane takes over a command; `prepared` is the id of the statement that the
    /// store last prepared for the client. After a failed preparation there is no last statement.
    pub fn taken_over(&mut self, command: u8, prepared: Option<u32>) {
        if command == command::STMT_PREPARE {
            self.last = Last::None;
        } else if self.last == Last::AtStore {
            self.last = prepared.map_or(Last::None, Last::Known);
        }
    }

    /// Whether a command body refers to the last prepared statement while the store's last one may
    /// be another.
    pub fn names_last(&self, body: &[u8]) -> bool {
        lenenc::get_u32(&mut &*body) == Ok(LAST) && matches!(self.last, Last::Known(_))
    }

    /// A command body that refers to the last prepared statement, with the statement's real id;
    /// `None` if it does not refer to it or the id is not known.
    pub fn with_id(&self, command: u8, body: &[u8]) -> Option<Bytes> {
        let Last::Known(id) = self.last else {
            return None;
        };
        if matches!(command, command::QUERY | command::STMT_PREPARE) {
            return None;
        }
        let (named, rest) = body.split_at_checked(size_of::<u32>())?;
        (named == LAST.to_le_bytes()).then(|| [&id.to_le_bytes(), rest].concat().into())
    }

    /// COM_STMT_CLOSE.
    pub fn close(&mut self, body: &[u8]) {
        if let Some(id) = self.id(body) {
            self.by_id.remove(&id);
            if self.last == Last::Known(id) {
                self.last = Last::None;
            }
        }
    }

    /// COM_STMT_RESET: drops long data.
    pub fn reset(&mut self, body: &[u8]) {
        if let Some(Kept::Select(kept)) = self.id(body).and_then(|id| self.by_id.get_mut(&id)) {
            kept.long_data = Ok(LongData::default());
        }
    }

    /// COM_STMT_EXECUTE that was too long to be read: it may have bound other types.
    pub fn executed_unseen(&mut self, body: &[u8]) {
        self.reset(body);
        if let Some(Kept::Select(kept)) = self.id(body).and_then(|id| self.by_id.get_mut(&id)) {
            kept.kinds.clear();
        }
    }

    /// COM_STMT_SEND_LONG_DATA; errors are reported at the execution, as the store does.
    pub fn long_data(&mut self, body: &[u8], bytes_max: usize, account: &Arc<SpoolAccount>) {
        let Some(Kept::Select(kept)) = self.id(body).and_then(|id| self.by_id.get_mut(&id)) else {
            return;
        };
        let mut input = body.get(4..).unwrap_or_default();
        let Ok(parameter) = lenenc::get_u16(&mut input) else {
            return;
        };
        if let Ok(long_data) = &mut kept.long_data
            && let Err(error) = long_data.push(parameter, input, bytes_max, account)
        {
            kept.long_data = Err(error);
        }
    }

    /// A COM_STMT_SEND_LONG_DATA was not kept: the next execution fails with `error`.
    pub fn long_data_lost(&mut self, head: &[u8], error: SqlError) {
        if let Some(Kept::Select(kept)) = self.id(head).and_then(|id| self.by_id.get_mut(&id)) {
            kept.long_data = Err(error);
        }
    }

    /// The statement id at the start of a command body; `LAST` is resolved to the real id.
    pub fn id(&self, body: &[u8]) -> Option<u32> {
        match (lenenc::get_u32(&mut &*body).ok()?, self.last) {
            (LAST, Last::Known(id)) => Some(id),
            (LAST, _) => None,
            (id, _) => Some(id),
        }
    }

    /// Stores a newly prepared statement.
    pub fn keep(&mut self, id: u32, kept: Kept) {
        self.by_id.insert(id, kept);
        self.last = Last::Known(id);
    }
}

impl KeptSelect {
    /// The parameters of an execution; consumes the long data.
    pub fn parameters(
        &mut self,
        body: &Bytes,
    ) -> Result<(Parameters, Option<SentAhead>), LinkError> {
        let long_data = std::mem::replace(&mut self.long_data, Ok(LongData::default()))?;
        let sent = &long_data.by_parameter;
        let parameters = Parameters::read(body, self.parameter_count, &mut self.kinds, sent);
        let wrong = |Malformed(_)| {
            SqlError::new(ErrorKind::WrongArguments, "Incorrect arguments to EXECUTE")
        };
        Ok((parameters.map_err(wrong)?, long_data.held))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn data_that_was_not_kept_fails_the_next_execution_only() {
        let mut statements = PreparedStatements::default();
        let kept = KeptSelect {
            statement: Bytes::new(),
            meaning: Meaning::default(),
            parameter_count: 0,
            kinds: Vec::new(),
            long_data: Ok(LongData::default()),
        };
        statements.keep(7, Kept::Select(Box::new(kept)));
        statements.long_data_lost(b"\x08\0\0\0\0\0", too_long());
        statements.long_data_lost(b"\x07\0\0\0\0\0", too_long());
        let account = SpoolAccount::new(1000, 0);
        statements.long_data(b"\x07\0\0\0\0\0more", 100, &account);
        let Some(Kept::Select(kept)) = statements.by_id.get_mut(&7) else {
            panic!("the statement is gone");
        };
        let execution = Bytes::from_static(b"\x07\0\0\0\0\x01\0\0\0");
        let Err(LinkError::Sql(error)) = kept.parameters(&execution) else {
            panic!("executed without its data");
        };
        assert_eq!(error.kind, ErrorKind::PacketTooLarge);
        assert!(kept.parameters(&execution).is_ok());
    }
}
