//! Models kept loaded, by content and options, so that two callers never load the same twice.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use predictsql_catalog::{Model, ModelOptions};

use super::slot::Slot;

/// The most recently used model is last.
#[derive(Debug)]
pub(crate) struct Cache {
    entries: Mutex<Vec<Entry>>,
    models_max: usize,
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
    pub(crate) fn new(models_max: usize) -> Self {
        Self {
            entries: Mutex::new(Vec::new()),
            models_max,
        }
    }

    /// The model's slot, new if need be; it becomes the most recently used.
    pub(crate) fn slot(&self, model: &Model) -> Arc<Slot> {
        let mut entries = self.entries();
        let slot = match entries.iter().position(|entry| entry.is_for(model)) {
            Some(index) => entries.remove(index).slot,
            None => Arc::default(),
        };
        self.push(&mut entries, model, slot.clone());
        slot
    }

    /// Puts a filled slot back that a failed caller's [`Cache::forget`] or an eviction took out meanwhile.
    pub(crate) fn keep(&self, model: &Model, slot: &Arc<Slot>) {
        let mut entries = self.entries();
        if !entries.iter().any(|entry| entry.is_for(model)) {
            self.push(&mut entries, model, slot.clone());
        }
    }

    /// Takes a slot out that could not be filled.
    pub(crate) fn forget(&self, slot: &Arc<Slot>) {
        self.entries()
            .retain(|entry| !Arc::ptr_eq(&entry.slot, slot) || !slot.is_empty());
    }

    fn push(&self, entries: &mut Vec<Entry>, model: &Model, slot: Arc<Slot>) {
        entries.push(Entry {
            sha256: model.sha256.clone(),
            options: model.options.clone(),
            slot,
        });
        if entries.len() > self.models_max {
            // Statements that run it keep it alive until they end.
            entries.remove(0);
        }
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
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
                }),
                labels: vec!["a".into()],
                other: None,
                output: Output::Logits,
                accuracy: None,
            },
        }
    }

    #[test]
    fn content_and_options_share_a_slot_and_the_oldest_goes_first() {
        let cache = Cache::new(2);
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
    fn a_failed_slot_is_forgotten() {
        let cache = Cache::new(2);
        let first = cache.slot(&model("a", 8));
        cache.forget(&first);
        let second = cache.slot(&model("a", 8));
        assert!(!Arc::ptr_eq(&first, &second));
        cache.forget(&second);
        cache.keep(&model("a", 8), &second);
        assert!(Arc::ptr_eq(&second, &cache.slot(&model("a", 8))));
    }
}
