//! An immutable view of the whole catalog at one epoch, used for planning.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Model, Task, TaskStatistics};

/// The catalog at one epoch. Lookups are by lower-cased name.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    epoch: u64,
    tasks: BTreeMap<String, Arc<Task>>,
    models: Vec<Arc<Model>>,
    statistics: BTreeMap<String, Arc<TaskStatistics>>,
}

impl Snapshot {
    /// Builds a snapshot. Names of tasks and models are expected in lower case.
    pub fn new(epoch: u64, tasks: Vec<Task>, models: Vec<Model>) -> Self {
        let tasks = tasks
            .into_iter()
            .map(|t| (t.name.clone(), Arc::new(t)))
            .collect();
        let mut models: Vec<_> = models.into_iter().map(Arc::new).collect();
        models.sort_by_key(|m| m.id);
        Self {
            epoch,
            tasks,
            models,
            statistics: BTreeMap::new(),
        }
    }

    /// Adds the statistics of its tasks.
    #[must_use]
    pub fn with_statistics(mut self, statistics: Vec<Arc<TaskStatistics>>) -> Self {
        let named = |s: Arc<TaskStatistics>| (s.task.clone(), s);
        self.statistics = statistics.into_iter().map(named).collect();
        self
    }

    /// The statistics of a task's models, if there are any.
    pub fn statistics(&self, task: &str) -> Option<&Arc<TaskStatistics>> {
        self.statistics.get(&task.to_ascii_lowercase())
    }

    /// Counter incremented by each change of the catalog.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The task of that name.
    pub fn task(&self, name: &str) -> Option<&Arc<Task>> {
        self.tasks.get(&name.to_ascii_lowercase())
    }

    /// All tasks, ordered by name.
    pub fn tasks(&self) -> impl Iterator<Item = &Arc<Task>> {
        self.tasks.values()
    }

    /// The newest model of that name, or with `version` exactly that version.
    pub fn model(&self, name: &str, version: Option<&str>) -> Option<&Arc<Model>> {
        self.models
            .iter()
            .rev()
            .find(|m| m.name.eq_ignore_ascii_case(name) && version.is_none_or(|v| v == m.version))
    }

    /// Models of `task`, in order of creation.
    pub fn models_of<'a>(&'a self, task: &'a str) -> impl Iterator<Item = &'a Arc<Model>> {
        self.models
            .iter()
            .filter(move |m| m.task.eq_ignore_ascii_case(task))
    }

    /// All models in order of creation.
    pub fn models(&self) -> impl Iterator<Item = &Arc<Model>> {
        self.models.iter()
    }
}
