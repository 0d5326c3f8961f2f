//! Callers as proxies number them: work of one statement takes turns with that of others, whatever
//! number of requests it makes.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use crate::spent::Spent;

/// A caller is forgotten after this time without a request.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// Maximum number of callers that are known at once. Work of one that was forgotten is that of a
/// new caller.
const CALLERS_MAX: u64 = 10_000;

/// Accounts of callers by their numbers.
#[derive(Debug)]
pub(super) struct Callers(Cache<u64, Arc<Spent>>);

impl Default for Callers {
    fn default() -> Self {
        let callers = Cache::builder().max_capacity(CALLERS_MAX);
        Self(callers.time_to_idle(IDLE_MAX).build())
    }
}

impl Callers {
    /// An account for one request of this caller.
    pub(super) fn account(&self, caller: Option<u64>) -> Arc<Spent> {
        let whole = match caller {
            Some(caller) => self.0.get_with(caller, Arc::default),
            None => Arc::default(),
        };
        Arc::new(Spent::within(&whole))
    }
}
