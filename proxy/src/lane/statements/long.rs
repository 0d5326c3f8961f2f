//! Long commands: looked at in parts, and what is answered where one was not looked at.

use predictsql_optimizer::scan::{Names, Scan};

use crate::account::ServiceAccount;
use crate::error::{ErrorKind, SqlError};
use crate::lane::session::lane::Lane;
use crate::lane::statements::route::Routed;
use crate::relay::{LongHead, LongRoute, Refusal, Router};
use crate::wire::{ErrPacket, StatusFlags, command};

/// What a statement may name that is for the lane.
struct LaneNames<'a> {
    schema: &'a str,
    account: &'a ServiceAccount,
    may_be_in_schema: bool,
}

impl Names for LaneNames<'_> {
    fn is_schema(&self, name: &[u8]) -> bool {
        name.eq_ignore_ascii_case(self.schema.as_bytes())
    }

    fn may_be_view(&self, name: &[u8]) -> bool {
        self.account.may_name_view(name)
    }

    fn may_be_function(&self, name: &[u8]) -> bool {
        self.may_be_in_schema
            && std::str::from_utf8(name).is_ok_and(|name| self.account.may_be_function(name))
    }
}

impl Lane {
    /// What happens with a long command of which the head has arrived.
    pub(in crate::lane) fn route_long(&mut self, long: LongHead<'_>) -> LongRoute {
        let LongHead {
            command,
            head,
            status,
            packet_bytes,
        } = long;
        // Without an account nothing is predicted, and the store refuses what is too long for it.
        let store_max = self.context.account.packet_bytes_max();
        let is_refused = store_max.is_none_or(|max| packet_bytes as u64 >= max);
        let is_lanes = self.prepared.names_last(head) || self.prepared.owns(head);
        match command {
            command::QUERY | command::STMT_PREPARE if is_refused => {
                self.passed_unseen(command, head);
                LongRoute::Forward
            }
            // What only the lane knows of the statement before is written into the text.
            command::QUERY if self.remembered.is_any() => LongRoute::Lane,
            command::QUERY | command::STMT_PREPARE => {
                let no_escapes = StatusFlags::SERVER_STATUS_NO_BACKSLASH_ESCAPES;
                let escapes = status.map(|status| !status.contains(no_escapes));
                self.long.scan = Some(Box::new(Scan::new(escapes)));
                LongRoute::Look
            }
            command::STMT_EXECUTE | command::STMT_SEND_LONG_DATA | command::STMT_BULK_EXECUTE
                if is_lanes =>
            {
                LongRoute::Lane
            }
            _ => {
                self.note_long_forwarded(command, head);
                self.note_last_command(command, false);
                LongRoute::Forward
            }
        }
    }

    /// Looks at the next part of a statement; true if it may be for the lane.
    pub(in crate::lane) fn look_at(&mut self, part: &[u8]) -> bool {
        let Some(scan) = &mut self.long.scan else {
            return true;
        };
        let names = LaneNames {
            schema: self.context.schema.as_str(),
            account: &self.context.account,
            may_be_in_schema: self.may_be_in_schema,
        };
        scan.feed(part, &names);
        scan.found()
    }

    /// Notes which kind of command is the session's last.
    pub(in crate::lane) fn note_last_command(&mut self, command: u8, unseen: bool) {
        let long = &mut self.long;
        long.scan = None;
        long.prepared_unseen |= unseen && command == command::STMT_PREPARE;
        long.last_unseen = unseen || (long.prepared_unseen && command == command::STMT_EXECUTE);
        if matches!(command, command::CHANGE_USER | command::RESET_CONNECTION) {
            long.prepared_unseen = false;
        }
    }

    /// The error in place of a stub's, if the statement was not looked at for its length.
    pub(in crate::lane) fn unseen_call(&self) -> Option<ErrPacket> {
        self.long.last_unseen.then(|| {
            let error = SqlError::new(
                ErrorKind::OptionPrevents,
                "The statement is longer than inspect_bytes_max, or could not be kept while it was \
                 looked at, so its predict calls were not seen: raise inspect_bytes_max, or store the \
                 image first and predict it in another statement",
            );
            error.packet()
        })
    }

    /// The error of a long command that is not answered; none for one that has no answer.
    pub(in crate::lane) fn refuse_long(
        &mut self,
        command: u8,
        head: &[u8],
        why: Refusal,
    ) -> Option<Routed> {
        self.note_last_command(command, false);
        self.last_query.forget();
        let error = match why {
            Refusal::TooLong { bytes_max } => SqlError::new(
                ErrorKind::OptionPrevents,
                format!(
                    "A statement with predictions is longer than inspect_bytes_max ({bytes_max} bytes)"
                ),
            ),
            Refusal::NoMemory => SqlError::new(
                ErrorKind::OutOfMemory,
                "Out of memory: long statements with predictions in all sessions reach \
                 inspect_memory_bytes_max; try again when others have ended",
            ),
            Refusal::NoDisk => SqlError::new(
                ErrorKind::DiskFull,
                "Disk full: long statements in all sessions reach inspect_disk_bytes_max, or spool_dir \
                 cannot be written",
            ),
        };
        match command {
            command::STMT_SEND_LONG_DATA => {
                self.prepared.long_data_lost(head, error);
                None
            }
            command::STMT_EXECUTE | command::STMT_BULK_EXECUTE => {
                self.prepared.executed_unseen(head);
                Some(Routed::Refused(Box::new(error)))
            }
            _ => Some(Routed::Refused(Box::new(error))),
        }
    }
}
