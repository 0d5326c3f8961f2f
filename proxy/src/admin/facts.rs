//! What is true of a session of the admin endpoint, for the variables and functions that ask.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The version in the greeting. Clients parse its number: it is one that they recognise, and from
/// which on none of them asks for the query cache.
pub const VERSION: &str = concat!("8.0.36-PredictSQL-admin-", env!("CARGO_PKG_VERSION"));

/// Facts of a session.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Connection id, as in the greeting.
    pub id: u32,
    /// `user@host`
    pub user: String,
    /// The account.
    pub account: String,
    /// The database that the client named; it has no effect.
    pub database: Option<String>,
    /// Port of the endpoint.
    pub port: u16,
    /// Maximum number of sessions.
    pub sessions_max: usize,
    /// Sessions here.
    pub sessions: usize,
    /// Statements of this session.
    pub questions: u64,
    /// Time since the start of the endpoint.
    pub uptime: Duration,
    /// Time of the statement.
    pub now: SystemTime,
}

impl Facts {
    /// Seconds since 1970 at the time of the statement.
    pub fn unix_seconds(&self) -> u64 {
        let since = self.now.duration_since(UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs())
    }

    /// Time of the statement in UTC, as a server writes it.
    pub fn date_time(&self) -> String {
        let seconds = self.unix_seconds();
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = date(days);
        let (hour, minute) = (second / 3600, second / 60 % 60);
        format!(
            "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{:02}",
            second % 60
        )
    }
}

/// Year, month and day of a number of days since 1970.
fn date(days: u64) -> (u64, u64, u64) {
    // Years begin in March, so that the leap day is the last one; 719,468 days from there to 1970.
    let days = days.saturating_add(719_468);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year_of_era + era.saturating_mul(400) + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A session.
    pub fn facts() -> Facts {
        Facts {
            id: 7,
            user: "admin@127.0.0.1".to_owned(),
            account: "admin@%".to_owned(),
            database: None,
            port: 6307,
            sessions_max: 16,
            sessions: 1,
            questions: 3,
            uptime: Duration::from_secs(12),
            now: UNIX_EPOCH + Duration::from_secs(951_827_696),
        }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(facts().date_time(), "2000-02-29 12:34:56");
        for (days, expected) in [
            (0, (1970, 1, 1)),
            (59, (1970, 3, 1)),
            (10_956, (1999, 12, 31)),
            (11_017, (2000, 3, 1)),
            (47_541, (2100, 3, 1)),
        ] {
            assert_eq!(date(days), expected, "{days}");
        }
    }
}
