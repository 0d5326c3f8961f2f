//! What clients did and were told, to be compared with what the store holds in the end.
//!
//! A change that was acknowledged must be there, once and whole. One that was refused must not.
//! One whose answer was lost with its connection may be there or not, but not in part.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Faults that are shown in full.
const SHOWN_MAX: usize = 40;

/// What is known of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Acknowledged.
    Kept,
    /// Refused, or rolled back.
    Gone,
    /// The connection was lost before the answer came.
    Unknown,
}

/// A label that a statement stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// None.
    Null,
    /// Of task `kind`, which has one model.
    Kind,
    /// Of a model that the statement names.
    Small,
}

/// Rows of `journal` under one token.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Rows that the statement inserts.
    pub rows: u64,
    /// What stands in their column `label`.
    pub label: Label,
    /// What became of it.
    pub fate: Fate,
}

/// A change of all rows of a batch of `items`.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    /// What its rows have in their column `token`.
    pub token: u64,
    /// What stands in their column `label`.
    pub label: Label,
    /// Whether the same transaction inserted into `journal`.
    pub journaled: bool,
    /// What became of it.
    pub fate: Fate,
}

/// Rows put into `bin`, and those of one class deleted again.
#[derive(Debug, Clone)]
pub struct Binned {
    /// Of which batch they are copies.
    pub batch: u32,
    /// What became of the insertion.
    pub inserted: Fate,
    /// The class that was deleted, and what became of that.
    pub deleted: Option<(String, Fate)>,
}

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A row of an answer or of a table with another label or value than it must have.
    WrongRow,
    /// Acknowledged, and not there.
    LostRow,
    /// There more often than written.
    DoubledRow,
    /// A statement or transaction of which a part is there.
    HalfUpdate,
    /// Refused, and there all the same.
    KeptAfterError,
    /// An answer that the protocol does not allow, an error that nothing explains,
    /// or none in two minutes.
    BadAnswer,
}

/// What all clients write down.
#[derive(Debug, Default)]
pub struct Ledger {
    tokens: AtomicU64,
    /// Statements that clients sent.
    pub statements: AtomicU64,
    /// KILL QUERY and KILL CONNECTION that found their session.
    pub kills: AtomicU64,
    /// Processes that were killed.
    pub process_kills: AtomicU64,
    /// Clients that went without a word, or did not read.
    pub rude_clients: AtomicU64,
    /// `SET @k = (SELECT ...)` that was acknowledged and left @k NULL.
    /// MariaDB itself does so when it is killed just then.
    pub interrupted_assignments: AtomicU64,
    /// Rows of answers that were compared.
    pub rows_compared: AtomicU64,
    entries: Mutex<BTreeMap<u64, Entry>>,
    changes: Mutex<BTreeMap<u32, Vec<Change>>>,
    binned: Mutex<BTreeMap<u64, Binned>>,
    errors: Mutex<BTreeMap<String, u64>>,
    faults: Mutex<BTreeMap<Fault, u64>>,
    shown: Mutex<Vec<String>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    /// A number that no other change has.
    pub fn token(&self) -> u64 {
        1 + self.tokens.fetch_add(1, Relaxed)
    }

    /// A statement is sent.
    pub fn sends(&self) {
        self.statements.fetch_add(1, Relaxed);
    }

    /// Rows for `journal` are about to be sent.
    pub fn enter(&self, token: u64, rows: u64, label: Label) {
        let fate = Fate::Unknown;
        locked(&self.entries).insert(token, Entry { rows, label, fate });
    }

    /// What became of them.
    pub fn entered(&self, token: u64, fate: Fate) {
        if let Some(entry) = locked(&self.entries).get_mut(&token) {
            entry.fate = fate;
        }
    }

    /// A batch is about to be changed.
    pub fn change(&self, batch: u32, token: u64, label: Label, journaled: bool) {
        let change = Change {
            token,
            label,
            journaled,
            fate: Fate::Unknown,
        };
        locked(&self.changes).entry(batch).or_default().push(change);
    }

    /// What became of its last change. What an acknowledged one has replaced need not be
    /// remembered, unless it may still come.
    pub fn changed(&self, batch: u32, fate: Fate) {
        let mut changes = locked(&self.changes);
        let Some(changes) = changes.get_mut(&batch) else {
            return;
        };
        if let Some(last) = changes.last_mut() {
            last.fate = fate;
        }
        if fate == Fate::Kept {
            let last = changes.pop();
            changes.retain(|change| change.fate == Fate::Unknown);
            changes.extend(last);
        }
    }

    /// The changes that a batch may show: the last acknowledged one, and those of unknown fate.
    pub fn candidates(&self, batch: u32) -> Vec<Change> {
        let changes = locked(&self.changes);
        let all = changes.get(&batch).into_iter().flatten();
        all.filter(|change| change.fate != Fate::Gone)
            .copied()
            .collect()
    }

    /// Rows are about to be put into `bin`, or of these some to be deleted.
    pub fn bin(&self, token: u64, binned: Binned) {
        locked(&self.binned).insert(token, binned);
    }

    /// All entries of `journal`.
    pub fn entries(&self) -> BTreeMap<u64, Entry> {
        locked(&self.entries).clone()
    }

    /// All of `bin`.
    pub fn binned(&self) -> BTreeMap<u64, Binned> {
        locked(&self.binned).clone()
    }

    /// A refusal or a lost connection, by its code.
    pub fn error(&self, code: impl Into<String>) {
        *locked(&self.errors).entry(code.into()).or_default() += 1;
    }

    /// Errors by code.
    pub fn errors(&self) -> BTreeMap<String, u64> {
        locked(&self.errors).clone()
    }

    /// Something that must not be.
    pub fn fault(&self, fault: Fault, count: u64, text: impl FnOnce() -> String) {
        *locked(&self.faults).entry(fault).or_default() += count;
        let mut shown = locked(&self.shown);
        if shown.len() < SHOWN_MAX {
            let text = format!("{fault:?}: {}", text());
            eprintln!("{text}");
            shown.push(text);
        }
    }

    /// Faults of a kind.
    pub fn faults(&self, fault: Fault) -> u64 {
        locked(&self.faults).get(&fault).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_shows_the_last_acknowledged_change_or_one_of_unknown_fate() {
        let ledger = Ledger::default();
        let tokens = |ledger: &Ledger| -> Vec<u64> {
            ledger.candidates(1).iter().map(|c| c.token).collect()
        };
        for (token, fate) in [
            (1, Fate::Kept),
            (2, Fate::Unknown),
            (3, Fate::Gone),
            (4, Fate::Kept),
            (5, Fate::Gone),
        ] {
            ledger.change(1, token, Label::Kind, false);
            ledger.changed(1, fate);
        }
        assert_eq!(tokens(&ledger), [2, 4]);
        assert_eq!(tokens(&Ledger::default()), Vec::<u64>::new());
    }
}
