//! Which predict statements are logged as slow.

use super::over::set;
use crate::live::SlowLog;
use std::time::Duration;

/// Same as the default of MariaDB's `long_query_time`.
pub(super) const DEFAULT: SlowLog = SlowLog {
    threshold: Some(Duration::from_secs(10)),
    literals: false,
};

/// Overrides `slow_log` with the given settings; zero milliseconds disables it.
pub(super) fn take(slow_log: &mut SlowLog, slow_query_ms: Option<u64>, literals: Option<bool>) {
    let threshold = |ms| Some(Duration::from_millis(ms)).filter(|time| !time.is_zero());
    set(&mut slow_log.threshold, slow_query_ms.map(threshold));
    set(&mut slow_log.literals, literals);
}
