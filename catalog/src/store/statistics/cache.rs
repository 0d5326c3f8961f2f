//! Cache of decoded statistics, so that votes are not read again when the epoch changes for
//! another reason.

use std::collections::HashSet;
use std::sync::Arc;

use moka::sync::Cache;

use crate::{ModelStatistics, Vote};

/// Overhead of an entry besides its votes or outcomes, in bytes.
const ENTRY_BYTES: usize = 512;

/// Cache key: a row of the store, and the time it was written.
///
/// Every write of votes gives their evaluation a new epoch in the same transaction, so within a
/// catalog's life row and epoch identify the content. The time distinguishes rows with the same
/// row id and epoch after the restore of a backup or a recreation of the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// Row of `evaluations`.
    pub(super) evaluation: u64,
    /// Row of `votes`; none for the evaluation's true outcomes.
    pub(super) model: Option<u64>,
    /// Epoch of the evaluation's last change.
    pub(super) epoch: u64,
    /// Time at which the row was written, in seconds, if known to the store.
    pub(super) written: Option<u64>,
}

/// True outcomes of the rows for searching plans, and of the rows for certifying them.
#[derive(Debug, Clone)]
pub(super) struct Truths {
    pub(super) plan: Arc<[u16]>,
    pub(super) cert: Arc<[u16]>,
}

#[derive(Debug, Clone)]
enum Kept {
    Truths(Truths),
    Votes(Arc<ModelStatistics>),
}

impl Kept {
    fn bytes(&self) -> usize {
        match self {
            Self::Truths(truths) => size_of::<u16>() * (truths.plan.len() + truths.cert.len()),
            Self::Votes(of) => {
                let offsets = size_of::<f32>() * of.calibration.offsets.len();
                offsets + size_of::<Vote>() * (of.plan.len() + of.cert.len())
            }
        }
    }
}

/// The decoded statistics of one catalog. Snapshots share its content; clones are the same cache.
#[derive(Debug, Clone)]
pub struct StatisticsCache(Cache<Key, Kept>);

impl StatisticsCache {
    /// The default limit: about 1,300 models evaluated on the maximum number of rows.
    pub const BYTES_MAX: u64 = 256 << 20;

    /// A cache limited to `bytes_max` bytes. Entries that do not fit are read again at each new
    /// epoch.
    pub fn new(bytes_max: u64) -> Self {
        let weigher = |_: &Key, kept: &Kept| {
            let bytes = ENTRY_BYTES.saturating_add(kept.bytes());
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let cache = Cache::builder().max_capacity(bytes_max).weigher(weigher);
        Self(cache.build())
    }

    /// Current size in bytes.
    pub fn bytes(&self) -> u64 {
        self.0.run_pending_tasks();
        self.0.weighted_size()
    }

    pub(super) fn truths(&self, key: &Key) -> Option<Truths> {
        match self.0.get(key)? {
            Kept::Truths(truths) => Some(truths),
            Kept::Votes(_) => None,
        }
    }

    pub(super) fn votes(&self, key: &Key) -> Option<Arc<ModelStatistics>> {
        match self.0.get(key)? {
            Kept::Votes(votes) => Some(votes),
            Kept::Truths(_) => None,
        }
    }

    pub(super) fn keep_truths(&self, key: Key, truths: &Truths) {
        self.0.insert(key, Kept::Truths(truths.clone()));
    }

    pub(super) fn keep_votes(&self, key: Key, votes: &Arc<ModelStatistics>) {
        self.0.insert(key, Kept::Votes(Arc::clone(votes)));
    }

    /// Removes all entries except these to make room for new ones: replaced or dropped rows are
    /// never requested again.
    pub(super) fn retain(&self, keys: &HashSet<Key>) {
        let held: Vec<Arc<Key>> = self.0.iter().map(|(key, _)| key).collect();
        for key in held.iter().filter(|key| !keys.contains(key)) {
            self.0.invalidate(&**key);
        }
        self.0.run_pending_tasks();
    }
}

impl Default for StatisticsCache {
    fn default() -> Self {
        Self::new(Self::BYTES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(evaluation: u64) -> Key {
        Key {
            evaluation,
            model: None,
            epoch: 1,
            written: None,
        }
    }

    /// Inserts an entry of `BYTES` bytes: 1,000 outcomes and the overhead.
    fn keep(cache: &StatisticsCache, evaluation: u64) {
        let truths = Truths {
            plan: [1; 900].into(),
            cert: [2; 100].into(),
        };
        cache.keep_truths(key(evaluation), &truths);
    }

    const BYTES: u64 = 2000 + ENTRY_BYTES as u64;

    #[test]
    fn it_holds_no_more_than_its_limit() {
        let cache = StatisticsCache::new(3 * BYTES);
        for evaluation in 0..50 {
            keep(&cache, evaluation);
        }
        assert_eq!(cache.bytes(), 3 * BYTES);
        let held = (0..50).filter(|id| cache.truths(&key(*id)).is_some());
        assert_eq!(held.count(), 3);
    }

    #[test]
    fn what_is_no_longer_asked_for_makes_room() {
        let cache = StatisticsCache::new(2 * BYTES);
        keep(&cache, 1);
        keep(&cache, 2);
        // Used often: `retain` makes room regardless of use counts.
        for _ in 0..20 {
            assert!(cache.truths(&key(1)).is_some());
        }
        cache.retain(&HashSet::from([key(2), key(3)]));
        assert_eq!(cache.bytes(), BYTES);
        keep(&cache, 3);
        assert_eq!(cache.bytes(), 2 * BYTES);
        let held = [1, 2, 3].map(|id| cache.truths(&key(id)).is_some());
        assert_eq!(held, [false, true, true]);
    }
}
