//! The status flags of a session, and how many of its transactions have ended.

use crate::wire::StatusFlags;

/// Status flags of the store's last answer, and the number of transactions that were seen to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionStatus {
    flags: StatusFlags,
    transactions_ended: u64,
}

impl SessionStatus {
    /// Status of a session that has just logged in.
    #[must_use]
    pub fn new(flags: StatusFlags) -> Self {
        Self {
            flags,
            transactions_ended: 0,
        }
    }

    /// The flags of the last OK or EOF that ended an answer. An ERR carries no flags: after a
    /// deadlock the transaction is gone although IN_TRANS is still set here.
    #[must_use]
    pub fn flags(self) -> StatusFlags {
        self.flags
    }

    /// Sets the flags of another answer.
    pub fn set(&mut self, flags: StatusFlags) {
        let was_open = self.flags.contains(StatusFlags::SERVER_STATUS_IN_TRANS);
        if was_open && !flags.contains(StatusFlags::SERVER_STATUS_IN_TRANS) {
            self.transactions_ended += 1;
        }
        self.flags = flags;
    }

    /// The transaction of the next statement, by number; `None` if the statement is committed by
    /// itself. `BEGIN` in an open transaction and `COMMIT AND CHAIN` begin no other number: the
    /// flags do not tell them.
    #[must_use]
    pub fn transaction(self) -> Option<u64> {
        let alone = self.flags.contains(StatusFlags::SERVER_STATUS_AUTOCOMMIT)
            && !self.flags.contains(StatusFlags::SERVER_STATUS_IN_TRANS);
        (!alone).then_some(self.transactions_ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_has_a_number_until_it_ends() {
        let auto = StatusFlags::SERVER_STATUS_AUTOCOMMIT;
        let open = StatusFlags::SERVER_STATUS_IN_TRANS;
        let mut status = SessionStatus::new(auto);
        let mut after = |flags| {
            status.set(flags);
            status.transaction()
        };
        assert_eq!(after(auto), None);
        assert_eq!(after(auto | open), Some(0));
        assert_eq!(after(auto | open), Some(0));
        assert_eq!(after(auto), None);
        assert_eq!(after(auto | open), Some(1));
        // SET autocommit = 0: the next statement begins a transaction.
        assert_eq!(after(StatusFlags::empty()), Some(2));
        assert_eq!(after(open), Some(2));
        assert_eq!(after(StatusFlags::empty()), Some(3));
    }
}
