//! Outputs of models that are kept, so that a query over images seen before runs no model.
//!
//! ```text
//! find ─► hot (memory) ─► reader ─► table `predictions`
//! keep ─► hot, and ─► writer ─► table      evictor ─► table
//! ```
//!
//! A kept output goes by what the model is (file, options) and what the input shows (content), so it
//! is never out of date. Reader, writer and evictor are tasks of the service account's thread. None
//! of them can fail a statement or hold it up for long: what they cannot do is not found, or dropped
//! and counted.

mod evictor;
mod looked_up;
mod numbers;
mod reader;
mod writer;

use std::fmt;
use std::sync::Arc;

use moka::sync::Cache;
use predictsql_executor::{InputId, Scores};
use serde::{Deserialize, Serialize};

use crate::account::ServiceAccount;
use crate::error::{ErrorKind, SqlError};
use crate::metrics::Metrics;
use looked_up::LookedUp;
use numbers::Numbers;
use reader::Reader;
use writer::Writer;

/// What an entry in memory takes besides its numbers, in bytes.
const ENTRY_BYTES: usize = 160;

/// What a session does with kept outputs: `@ml_cache`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheMode {
    /// Neither finds nor keeps any.
    Off,
    /// Finds them, and keeps no new ones.
    Read,
    /// Finds and keeps them.
    #[default]
    On,
}

impl CacheMode {
    /// As settings spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Read => "read",
            Self::On => "on",
        }
    }

    /// The value of `@ml_cache`; `None` where it is not set.
    ///
    /// # Errors
    /// 1231 for another value.
    pub fn of_variable(value: &str) -> Result<Option<Self>, SqlError> {
        if value.is_empty() {
            return Ok(None);
        }
        let modes = [Self::Off, Self::Read, Self::On];
        let named = modes
            .into_iter()
            .find(|m| m.name().eq_ignore_ascii_case(value));
        named.map(Some).ok_or_else(|| {
            SqlError::new(
                ErrorKind::WrongVariableValue,
                "Variable '@ml_cache' can't be set to that value: it is 'off', 'read' or 'on'",
            )
        })
    }
}

/// How much is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheLimits {
    /// Bytes of outputs in memory.
    pub memory_bytes_max: u64,
    /// Rows of the table.
    pub rows_max: u64,
}

/// Whose output: identity of the model's file and options, and of the input's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    output: [u8; 16],
    input: InputId,
}

/// The kept outputs. Clones share them.
#[derive(Clone)]
pub struct OutputCache(Option<Arc<Inner>>);

struct Inner {
    hot: Cache<Key, Numbers>,
    looked_up: LookedUp,
    reader: Reader,
    writer: Writer,
    metrics: Arc<Metrics>,
}

impl fmt::Debug for OutputCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.0.as_ref().map(|inner| inner.hot.entry_count());
        f.debug_tuple("OutputCache").field(&kept).finish()
    }
}

impl OutputCache {
    /// Nothing is kept.
    pub fn none() -> Self {
        Self(None)
    }

    /// Starts its tasks. Without a service account nothing is kept.
    pub fn start(limits: &CacheLimits, account: &ServiceAccount, metrics: &Arc<Metrics>) -> Self {
        if !account.is_configured() {
            return Self::none();
        }
        let hot = Cache::builder()
            .max_capacity(limits.memory_bytes_max)
            .weigher(|_: &Key, numbers: &Numbers| {
                u32::try_from(ENTRY_BYTES + numbers.bytes()).unwrap_or(u32::MAX)
            })
            .build();
        let grown = evictor::start(account, limits.rows_max, metrics);
        let writer = Writer::start(account, metrics, grown);
        Self(Some(Arc::new(Inner {
            hot,
            looked_up: LookedUp::default(),
            reader: Reader::start(account, writer.clone()),
            writer,
            metrics: Arc::clone(metrics),
        })))
    }

    /// Whether anything is ever kept.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Bytes in memory now.
    pub fn memory_bytes(&self) -> u64 {
        let Some(inner) = &self.0 else {
            return 0;
        };
        inner.hot.run_pending_tasks();
        inner.hot.weighted_size()
    }

    /// The kept outputs of `output` (see [`predictsql_catalog::Model::output_id`]), of `labels` numbers
    /// each, for inputs of those identities.
    pub async fn find(
        &self,
        output: [u8; 16],
        labels: usize,
        inputs: &[Option<InputId>],
    ) -> Vec<Option<Scores>> {
        let Some(inner) = &self.0 else {
            return vec![None; inputs.len()];
        };
        let hot = |input: &Option<InputId>| {
            let input = (*input)?;
            inner.hot.get(&Key { output, input })
        };
        let mut found: Vec<Option<Numbers>> = inputs.iter().map(hot).collect();
        let cold = inputs.iter().zip(&found);
        let mut cold: Vec<InputId> = cold
            .filter_map(|(input, found)| input.filter(|_| found.is_none()))
            .collect();
        if !cold.is_empty() {
            cold.sort_unstable();
            cold.dedup();
            let mut read = inner.reader.read(output, labels, cold).await;
            for (input, numbers) in &read {
                let input = *input;
                inner.hot.insert(Key { output, input }, numbers.clone());
            }
            read.sort_unstable_by_key(|(input, _)| *input);
            let of = |wanted: &InputId| {
                let at = read.binary_search_by_key(wanted, |(input, _)| *input);
                Some(read.get(at.ok()?)?.1.clone())
            };
            for (place, input) in found.iter_mut().zip(inputs) {
                if place.is_none() {
                    *place = input.as_ref().and_then(of);
                }
            }
        }
        let asked = inputs.iter().flatten().count();
        let kept = found.iter().flatten().count();
        inner.looked_up.add(output, asked as u64, kept as u64);
        found
            .into_iter()
            .map(|numbers| Some(numbers?.scores()))
            .collect()
    }

    /// Share of the outputs of `output` that were found kept, of all that were looked up since the start;
    /// `None`: none was.
    pub fn hit_rate(&self, output: [u8; 16]) -> Option<f64> {
        self.0.as_ref()?.looked_up.rate(output)
    }

    /// What memory holds now.
    pub fn peek(&self, output: [u8; 16], input: InputId) -> Option<Scores> {
        let numbers = self.0.as_ref()?.hot.get(&Key { output, input })?;
        Some(numbers.scores())
    }

    /// Keeps what a model has said of inputs; those without identity are not kept.
    pub fn keep<'k>(
        &self,
        output: [u8; 16],
        said: impl Iterator<Item = (Option<InputId>, &'k Scores)>,
    ) {
        let Some(inner) = &self.0 else {
            return;
        };
        for (input, scores) in said {
            let Some(input) = input else {
                continue;
            };
            let numbers = Numbers::of(scores);
            if !inner.writer.keep(output, input, numbers.clone()) {
                inner.metrics.cache_dropped.inc();
            }
            inner.hot.insert(Key { output, input }, numbers);
        }
    }

    /// Waits, not for long, until what was kept is in the table.
    pub async fn close(&self) {
        if let Some(inner) = &self.0 {
            inner.writer.close().await;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_variable_names_a_mode() {
        assert_eq!(CacheMode::of_variable("").unwrap(), None);
        for mode in [CacheMode::Off, CacheMode::Read, CacheMode::On] {
            let named = CacheMode::of_variable(&mode.name().to_uppercase());
            assert_eq!(named.unwrap(), Some(mode));
        }
        assert_eq!(
            CacheMode::of_variable("1").unwrap_err().kind,
            ErrorKind::WrongVariableValue
        );
    }

    #[tokio::test]
    async fn without_an_account_nothing_is_kept() {
        let metrics = Arc::new(Metrics::new());
        let limits = CacheLimits {
            memory_bytes_max: 1 << 20,
            rows_max: 10,
        };
        let cache = OutputCache::start(&limits, &ServiceAccount::none(), &metrics);
        let input = Some(InputId::from_bytes([1; 16]));
        let scores = Scores::new([0.25, 0.75]);
        cache.keep([0; 16], std::iter::once((input, &scores)));
        assert_eq!(cache.find([0; 16], 2, &[input]).await, [None]);
        assert!(!cache.is_on());
    }
}
