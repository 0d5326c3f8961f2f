//! The table `[limits]`: limits of inferences.

use super::over::set;
use predictsql_executor::TrialConfig;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The table as read from the file.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsFile {
    inferences_max: Option<u64>,
    inferences_max_by_user: Option<BTreeMap<String, u64>>,
    trial_seconds_max: Option<u64>,
    trial_bytes_max: Option<u64>,
    trials_max: Option<usize>,
}

/// How many inputs a statement may run through models unless its session sets a limit, and the
/// limits of trials of new models.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LimitsConfig {
    /// For users without their own limit; 0 means no limit.
    pub inferences_max: u64,
    /// By user name; 0 means no limit.
    pub inferences_max_by_user: BTreeMap<String, u64>,
    /// Limits of model trials.
    pub trial: TrialConfig,
}

impl LimitsConfig {
    /// Overrides these settings with those of the file.
    pub(super) fn take(&mut self, file: LimitsFile) {
        set(&mut self.inferences_max, file.inferences_max);
        set(
            &mut self.inferences_max_by_user,
            file.inferences_max_by_user,
        );
        set(&mut self.trial.trial_seconds_max, file.trial_seconds_max);
        set(&mut self.trial.trial_bytes_max, file.trial_bytes_max);
        set(&mut self.trial.trials_max, file.trials_max);
    }

    /// Maximum inferences of one statement of a user; `None` for no limit.
    #[must_use]
    pub fn inferences_max(&self, user: &str) -> Option<u64> {
        let own = self.inferences_max_by_user.get(user).copied();
        Some(own.unwrap_or(self.inferences_max)).filter(|max| *max > 0)
    }

    /// The equivalent file table.
    pub(super) fn as_typed(&self) -> LimitsFile {
        LimitsFile {
            inferences_max: Some(self.inferences_max),
            inferences_max_by_user: Some(self.inferences_max_by_user.clone()),
            trial_seconds_max: Some(self.trial.trial_seconds_max),
            trial_bytes_max: Some(self.trial.trial_bytes_max),
            trials_max: Some(self.trial.trials_max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_own_limit_wins_and_zero_is_none() {
        let limits = LimitsConfig {
            inferences_max: 10,
            inferences_max_by_user: [("bi".to_owned(), 3), ("job".to_owned(), 0)].into(),
            ..LimitsConfig::default()
        };
        assert_eq!(limits.inferences_max("ann"), Some(10));
        assert_eq!(limits.inferences_max("bi"), Some(3));
        assert_eq!(limits.inferences_max("job"), None);
        assert_eq!(LimitsConfig::default().inferences_max("ann"), None);
    }
}
