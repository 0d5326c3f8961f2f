//! The models that a worker knows, by the names under which it serves them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use predictsql_catalog::{Model, ModelOptions};

use super::statistics::{Counters, ModelStatistics};

/// Maximum number of models that are known at once. The least recently used one is forgotten
/// first; whoever asks for it loads it again.
const MODELS_MAX: usize = 1_000;

/// Known models. Which of them are loaded is up to the executor's cache.
#[derive(Debug, Default)]
pub(super) struct Models {
    /// The most recently used one is last.
    known: Mutex<Vec<Arc<Known>>>,
}

/// A model that was loaded at least once.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) name: String,
    pub(super) model: Arc<Model>,
    pub(super) counters: Counters,
}

impl Models {
    /// Adds a model under a name, or replaces the one that had it.
    pub(super) fn add(&self, name: &str, model: &Arc<Model>) -> Arc<Known> {
        let mut known = self.known();
        let is_same = |other: &Known| {
            other.model.sha256 == model.sha256 && other.model.options == model.options
        };
        let before = known.iter().position(|known| known.name == name);
        let before = before.map(|index| known.remove(index));
        let entry = before.filter(|known| is_same(known)).unwrap_or_else(|| {
            Arc::new(Known {
                name: name.to_string(),
                model: model.clone(),
                counters: Counters::default(),
            })
        });
        known.push(entry.clone());
        if known.len() > MODELS_MAX {
            known.remove(0);
        }
        entry
    }

    /// The model of this name, which becomes the most recently used one.
    pub(super) fn find(&self, name: &str) -> Option<Arc<Known>> {
        let mut known = self.known();
        let index = known.iter().position(|known| known.name == name)?;
        let found = known.remove(index);
        known.push(found.clone());
        Some(found)
    }

    /// Forgets the model of this name.
    pub(super) fn remove(&self, name: &str) -> Option<Arc<Known>> {
        let mut known = self.known();
        let index = known.iter().position(|known| known.name == name)?;
        Some(known.remove(index))
    }

    /// All models.
    pub(super) fn all(&self) -> Vec<Arc<Known>> {
        self.known().clone()
    }

    pub(super) fn statistics(&self) -> Vec<ModelStatistics> {
        let of = |known: &Arc<Known>| ModelStatistics {
            name: known.name.clone(),
            called: known.model.name.clone(),
            counts: known.counters.counts(),
        };
        self.known().iter().map(of).collect()
    }

    fn known(&self) -> MutexGuard<'_, Vec<Arc<Known>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A model as the executor takes it, from what a client says of it.
pub(super) fn model(called: &str, uri: &str, sha256: &str, options: ModelOptions) -> Arc<Model> {
    Arc::new(Model {
        id: 0,
        name: called.to_string(),
        version: "1".to_string(),
        task: String::new(),
        uri: uri.to_string(),
        sha256: sha256.to_string(),
        bytes: 0,
        covers: Vec::new(),
        options,
        seconds_per_image: None,
    })
}
