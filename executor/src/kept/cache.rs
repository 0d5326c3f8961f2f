//! In-memory cache of kept outputs in front of their store.

use std::fmt;
use std::sync::Arc;

use moka::sync::Cache;
use predictsql_catalog::OutputCodec;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

use super::looked_up::LookedUp;
use super::numbers::Numbers;
use super::store::OutputStore;
use crate::identity::InputId;
use crate::input::Scores;

/// Overhead of a cache entry besides its numbers, in bytes.
const ENTRY_BYTES: usize = 160;

/// How a caller uses kept outputs.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, IntoStaticStr, EnumString,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase", ascii_case_insensitive)]
pub enum CacheMode {
    /// Neither reads nor keeps outputs.
    Off,
    /// Reads kept outputs, but keeps no new ones.
    Read,
    /// Reads and keeps outputs.
    #[default]
    On,
}

impl CacheMode {
    /// Name used in settings.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Parses a mode name, ignoring case.
    pub fn named(name: &str) -> Option<Self> {
        name.parse().ok()
    }
}

/// Cache key: identity of the model's file and options, and of the input's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    output: [u8; 16],
    input: InputId,
}

/// The kept outputs. Clones share the same cache.
#[derive(Clone)]
pub struct OutputCache(Option<Arc<Inner>>);

struct Inner {
    hot: Cache<Key, Numbers>,
    looked_up: LookedUp,
    store: Arc<dyn OutputStore>,
}

impl fmt::Debug for OutputCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.0.as_ref().map(|inner| inner.hot.entry_count());
        f.debug_tuple("OutputCache").field(&kept).finish()
    }
}

impl OutputCache {
    /// A disabled cache.
    pub fn none() -> Self {
        Self(None)
    }

    /// Keeps up to `memory_bytes_max` bytes of outputs in memory, and all outputs in `store`.
    pub fn new(memory_bytes_max: u64, store: Arc<dyn OutputStore>) -> Self {
        let hot = Cache::builder()
            .max_capacity(memory_bytes_max)
            .weigher(|_: &Key, numbers: &Numbers| {
                u32::try_from(ENTRY_BYTES + numbers.bytes()).unwrap_or(u32::MAX)
            })
            .build();
        Self(Some(Arc::new(Inner {
            hot,
            looked_up: LookedUp::default(),
            store,
        })))
    }

    /// Whether the cache is enabled.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Current memory use in bytes.
    pub fn memory_bytes(&self) -> u64 {
        let Some(inner) = &self.0 else {
            return 0;
        };
        inner.hot.run_pending_tasks();
        inner.hot.weighted_size()
    }

    /// Looks up the kept outputs of `output` (see [`predictsql_catalog::Model::output_id`]) for
    /// inputs with these identities. Without a codec no outputs are kept. Also returns how many
    /// different inputs the store was asked about.
    pub async fn find(
        &self,
        output: [u8; 16],
        codec: Option<OutputCodec>,
        inputs: &[Option<InputId>],
    ) -> (Vec<Option<Scores>>, usize) {
        let Some(inner) = &self.0 else {
            return (vec![None; inputs.len()], 0);
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
        let mut asked_of_store = 0;
        if let (Some(codec), false) = (codec, cold.is_empty()) {
            cold.sort_unstable();
            cold.dedup();
            asked_of_store = cold.len();
            let mut read = inner.store.read(output, codec, cold).await;
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
        let found = found.into_iter().map(|numbers| Some(numbers?.scores()));
        (found.collect(), asked_of_store)
    }

    /// Hit rate of lookups of `output` since the start; `None` without lookups.
    pub fn hit_rate(&self, output: [u8; 16]) -> Option<f64> {
        self.0.as_ref()?.looked_up.rate(output)
    }

    /// Looks up an output in memory only.
    pub fn peek(&self, output: [u8; 16], input: InputId) -> Option<Scores> {
        let numbers = self.0.as_ref()?.hot.get(&Key { output, input })?;
        Some(numbers.scores())
    }

    /// Keeps a model's outputs; those of inputs without identity are not kept.
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
            inner.store.keep(output, input, numbers.clone());
            inner.hot.insert(Key { output, input }, numbers);
        }
    }

    /// Waits until kept outputs are stored, up to a timeout.
    pub async fn close(&self) {
        if let Some(inner) = &self.0 {
            inner.store.close().await;
        }
    }
}
