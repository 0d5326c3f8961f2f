//! Cache of loaded models by content and options, so that concurrent callers never load the same
//! model twice.
//!
//! It is limited by number and by bytes, and to models of the catalog once the catalog is known.
//! Statements that run an evicted model keep it alive until they end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use predictsql_catalog::{Model, ModelOptions};

use super::slot::Slot;

#[derive(Debug)]
pub(crate) struct Cache {
    state: Mutex<State>,
    models_max: usize,
    bytes_max: u64,
}

#[derive(Debug, Default)]
struct State {
    /// The most recently used model is last.
    entries: Vec<Entry>,
    /// The catalog's models at the last update. `None`: no update yet.
    catalog: Option<Vec<Arc<Model>>>,
}

#[derive(Debug)]
struct Entry {
    sha256: String,
    options: ModelOptions,
    slot: Arc<Slot>,
}

impl Entry {
    fn is_for(&self, model: &Model) -> bool {
        self.sha256 == model.sha256 && self.options == model.options
    }
}

impl Cache {
    pub(crate) fn new(models_max: usize, bytes_max: u64) -> Self {
        Self {
            state: Mutex::default(),
            models_max,
            bytes_max,
        }
    }

    /// The model's slot, created if needed; it becomes the most recently used.
    pub(crate) fn slot(&self, model: &Model) -> Arc<Slot> {
        let mut state = self.state();
        let known = state.entries.iter().position(|entry| entry.is_for(model));
        let slot = match known {
            Some(index) => state.entries.remove(index).slot,
            None => Arc::default(),
        };
        let let_go = self.push(&mut state, model, slot.clone());
        drop(state);
        release(let_go);
        slot
    }

    /// Whether the model is loaded.
    pub(crate) fn holds(&self, model: &Model) -> bool {
        let state = self.state();
        let mut own = state.entries.iter().filter(|entry| entry.is_for(model));
        own.any(|entry| entry.slot.memory_bytes().is_some())
    }

    /// Evicts others to make room for a filled slot, and inserts it again if a failed caller's
    /// [`Cache::forget`] or an eviction removed it meanwhile.
    pub(crate) fn keep(&self, model: &Model, slot: &Arc<Slot>) {
        let mut state = self.state();
        let known = state.entries.iter().any(|entry| entry.is_for(model));
        let let_go = match known {
            true => self.evict(&mut state.entries),
            false => self.push(&mut state, model, slot.clone()),
        };
        drop(state);
        release(let_go);
    }

    /// Removes a slot that could not be filled.
    pub(crate) fn forget(&self, slot: &Arc<Slot>) {
        self.state()
            .entries
            .retain(|entry| !Arc::ptr_eq(&entry.slot, slot) || !slot.is_empty());
    }

    /// Evicts all but these models of the catalog, and keeps no others from now on.
    pub(crate) fn retain(&self, models: Vec<Arc<Model>>) {
        let mut state = self.state();
        let is_listed = |entry: &mut Entry| !models.iter().any(|model| entry.is_for(model));
        let let_go = state.entries.extract_if(.., is_listed).collect();
        state.catalog = Some(models);
        drop(state);
        release(let_go);
    }

    /// Evicts a model.
    pub(crate) fn unload(&self, model: &Model) {
        let mut state = self.state();
        let is_it = |entry: &mut Entry| entry.is_for(model);
        let let_go = state.entries.extract_if(.., is_it).collect();
        drop(state);
        release(let_go);
    }

    /// Number of loaded models, and the bytes that they use.
    pub(crate) fn loaded(&self) -> (usize, u64) {
        let state = self.state();
        let bytes = state.entries.iter().filter_map(|e| e.slot.memory_bytes());
        bytes.fold((0, 0), |(models, sum), bytes| {
            (models + 1, u64::saturating_add(sum, bytes))
        })
    }

    /// Adds a slot and returns the evicted entries. A model that is no longer in the catalog is
    /// not kept.
    fn push(&self, state: &mut State, model: &Model, slot: Arc<Slot>) -> Vec<Entry> {
        let like =
            |other: &Arc<Model>| other.sha256 == model.sha256 && other.options == model.options;
        if state.catalog.as_ref().is_some_and(|c| !c.iter().any(like)) {
            return Vec::new();
        }
        state.entries.push(Entry {
            sha256: model.sha256.clone(),
            options: model.options.clone(),
            slot,
        });
        self.evict(&mut state.entries)
    }

    /// Removes the least recently used entries until the rest is within the limits; never the last
    /// one.
    fn evict(&self, entries: &mut Vec<Entry>) -> Vec<Entry> {
        let mut let_go = Vec::new();
        while entries.len() > self.models_max.max(1) {
            let_go.push(entries.remove(0));
        }
        let taken = entries.iter().filter_map(|e| e.slot.memory_bytes());
        let mut taken = taken.fold(0, u64::saturating_add);
        let mut index = 0;
        while taken > self.bytes_max && index + 1 < entries.len() {
            match entries.get(index).and_then(|e| e.slot.memory_bytes()) {
                Some(bytes) => {
                    taken = taken.saturating_sub(bytes);
                    let_go.push(entries.remove(index));
                }
                None => index += 1,
            }
        }
        let_go
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the backends unload models.
fn release(entries: Vec<Entry>) {
    for entry in entries {
        let instance = entry.slot.instance();
        drop(entry);
        if let Some(instance) = instance {
            instance.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use predictsql_catalog::{ImageOptions, Layout, ModelInput, Normalisation, Output};

    use super::*;

    fn model(sha256: &str, height: u32) -> Model {
        Model {
            id: 1,
            name: "m".into(),
            version: "1".into(),
            task: "t".into(),
            uri: "m.onnx".into(),
            sha256: sha256.into(),
            bytes: 1,
            seconds_per_image: None,
            covers: vec!["a".into()],
            options: ModelOptions {
                input: ModelInput::Image(ImageOptions {
                    layout: Layout::Nchw,
                    height,
                    width: 8,
                    channels: 1,
                    normalisation: Normalisation {
                        mean: vec![0.0],
                        std: vec![1.0],
                    },
                    preprocessing: Default::default(),
                }),
                labels: vec!["a".into()],
                other: None,
                output: Output::Logits,
                output_name: None,
                accuracy: None,
            },
        }
    }

    #[test]
    fn content_and_options_share_a_slot_and_the_oldest_goes_first() {
        let cache = Cache::new(2, u64::MAX);
        let first = cache.slot(&model("a", 8));
        assert!(Arc::ptr_eq(&first, &cache.slot(&model("a", 8))));
        let other = cache.slot(&model("a", 9));
        assert!(!Arc::ptr_eq(&first, &other));
        cache.slot(&model("a", 8));
        cache.slot(&model("b", 8));
        assert!(Arc::ptr_eq(&first, &cache.slot(&model("a", 8))));
        assert!(!Arc::ptr_eq(&other, &cache.slot(&model("a", 9))));
    }

    #[test]
    fn what_leaves_the_catalog_is_let_go_and_kept_no_more() {
        let cache = Cache::new(8, u64::MAX);
        let (a, b) = (Arc::new(model("a", 8)), Arc::new(model("b", 8)));
        let (first, second) = (cache.slot(&a), cache.slot(&b));
        cache.retain(vec![b.clone()]);
        assert_eq!(Arc::strong_count(&first), 1);
        assert!(Arc::ptr_eq(&second, &cache.slot(&b)));
        // A statement that began earlier still runs the model, with its own slot.
        let alone = cache.slot(&a);
        assert!(!Arc::ptr_eq(&first, &alone));
        cache.keep(&a, &alone);
        assert_eq!(Arc::strong_count(&alone), 1);
        // The model is in the catalog again.
        cache.retain(vec![a.clone(), b]);
        assert!(Arc::ptr_eq(&cache.slot(&a), &cache.slot(&a)));
    }

    #[test]
    fn a_failed_slot_is_forgotten() {
        let cache = Cache::new(2, u64::MAX);
        let first = cache.slot(&model("a", 8));
        cache.forget(&first);
        let second = cache.slot(&model("a", 8));
        assert!(!Arc::ptr_eq(&first, &second));
        cache.forget(&second);
        cache.keep(&model("a", 8), &second);
        assert!(Arc::ptr_eq(&second, &cache.slot(&model("a", 8))));
    }
}
