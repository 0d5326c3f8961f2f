//! The tasks' own decisions that a transaction has used: it keeps them, whatever is published.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use predictsql_catalog::Task;
use predictsql_optimizer::Refusal;
use predictsql_optimizer::planner::Decided;

/// The decisions that the statements of one transaction have used, by task.
#[derive(Debug, Default)]
pub struct UsedDecisions(Mutex<HashMap<String, Used>>);

#[derive(Debug)]
struct Used {
    task: Arc<Task>,
    decided: Arc<Decided>,
}

impl UsedDecisions {
    /// The decision that was used for `task` before, otherwise the one that `decide` returns. A
    /// task that has other answers now is decided anew.
    pub(super) fn of(
        &self,
        task: &Arc<Task>,
        decide: impl FnOnce() -> Result<Arc<Decided>, Refusal>,
    ) -> Result<Arc<Decided>, Refusal> {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = used
            .get(&task.name)
            .filter(|used| has_same_answers(&used.task, task));
        if let Some(before) = before {
            return Ok(Arc::clone(&before.decided));
        }
        let decided = decide()?;
        let new = Used {
            task: Arc::clone(task),
            decided: Arc::clone(&decided),
        };
        used.insert(task.name.clone(), new);
        Ok(decided)
    }
}

fn has_same_answers(one: &Task, other: &Task) -> bool {
    (one.version, one.kind, &one.input, &one.classes)
        == (other.version, other.kind, &other.input, &other.classes)
}
