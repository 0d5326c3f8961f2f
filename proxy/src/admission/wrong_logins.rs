//! Failed logins by address: each delays the next attempt from the same address, and no others.

use super::Source;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Maximum number of recorded addresses; a new one replaces the one that has been quiet longest.
const SOURCES_MAX: usize = 4096;
/// Delay after the first failed login; doubled by each further one.
const DELAY: Duration = Duration::from_millis(100);
/// Time without attempts after which an address is removed.
const MEMORY: Duration = Duration::from_secs(600);

/// Recorded failed logins.
#[derive(Debug)]
pub struct WrongLogins {
    delay_max: Duration,
    sources: Mutex<HashMap<Source, Record>>,
}

#[derive(Debug)]
struct Record {
    wrong: u32,
    /// Earliest time of the next attempt.
    next: Instant,
}

impl WrongLogins {
    /// Without records. An attempt is delayed by at most `delay_max` after the previous one.
    #[must_use]
    pub fn new(delay_max: Duration) -> Self {
        Self {
            delay_max,
            sources: Mutex::default(),
        }
    }

    /// Time at which an attempt from `source` may be checked. Reserves this turn: the next attempt
    /// is a delay later. `None` if others from that source are waiting already, so that it would
    /// be after `latest`.
    pub fn turn(&self, source: Source, latest: Instant) -> Option<Instant> {
        let now = Instant::now();
        let mut sources = self.lock();
        let Some(record) = sources.get_mut(&source) else {
            return Some(now);
        };
        let at = record.next.max(now);
        if at > latest {
            return None;
        }
        record.next = at + self.delay(record.wrong);
        Some(at)
    }

    /// Records a failed login.
    pub fn note_wrong(&self, source: Source) {
        let now = Instant::now();
        let mut sources = self.lock();
        if !sources.contains_key(&source) && sources.len() >= SOURCES_MAX {
            sources.retain(|_, record| record.next + MEMORY > now);
            let quiet = sources.iter().min_by_key(|(_, record)| record.next);
            let quiet = quiet.map(|(source, _)| *source);
            if let (Some(quiet), true) = (quiet, sources.len() >= SOURCES_MAX) {
                sources.remove(&quiet);
            }
        }
        let record = sources.entry(source).or_insert(Record {
            wrong: 0,
            next: now,
        });
        if record.next + MEMORY <= now {
            record.wrong = 0;
        }
        record.wrong = record.wrong.saturating_add(1);
        record.next = record.next.max(now + self.delay(record.wrong));
    }

    /// Records a successful login.
    pub fn note_right(&self, source: Source) {
        self.lock().remove(&source);
    }

    fn delay(&self, wrong: u32) -> Duration {
        let doublings = wrong.saturating_sub(1).min(u32::BITS - 1);
        DELAY
            .saturating_mul(2_u32.saturating_pow(doublings))
            .min(self.delay_max)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Source, Record>> {
        // Every change is one assignment, so a panic leaves the state consistent.
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::IpAddr;
    use tokio::time::advance;

    const DELAY_MAX: Duration = Duration::from_secs(5);

    fn source(number: u32) -> Source {
        Source::from(IpAddr::from(number.to_be_bytes()))
    }

    #[tokio::test(start_paused = true)]
    async fn the_delay_grows_for_one_address_alone() {
        let logins = WrongLogins::new(DELAY_MAX);
        let latest = Instant::now() + Duration::from_secs(1000);
        let mut delays = Vec::new();
        for _ in 0..8 {
            logins.note_wrong(source(1));
            let at = logins.turn(source(1), latest).unwrap();
            delays.push((at - Instant::now()).as_millis());
            advance(at - Instant::now()).await;
        }
        assert_eq!(delays[..4], [100, 200, 400, 800]);
        assert_eq!(delays[7], DELAY_MAX.as_millis());
        assert_eq!(logins.turn(source(2), latest), Some(Instant::now()));
        logins.note_right(source(1));
        assert_eq!(logins.turn(source(1), latest), Some(Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_made_at_once_wait_for_each_other_and_not_for_ever() {
        let logins = WrongLogins::new(DELAY_MAX);
        for _ in 0..20 {
            logins.note_wrong(source(1));
        }
        let now = Instant::now();
        let turns: Vec<_> = (0..4)
            .map(|_| logins.turn(source(1), now + 2 * DELAY_MAX))
            .collect();
        let expected = [Some(now + DELAY_MAX), Some(now + 2 * DELAY_MAX), None, None];
        assert_eq!(turns, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn the_memory_is_bounded_and_fades() {
        let logins = WrongLogins::new(DELAY_MAX);
        logins.note_wrong(source(0));
        advance(Duration::from_secs(1)).await;
        for number in 1..=u32::try_from(SOURCES_MAX).unwrap() {
            logins.note_wrong(source(number));
        }
        assert_eq!(logins.lock().len(), SOURCES_MAX);
        assert!(!logins.lock().contains_key(&source(0)));
        logins.note_wrong(source(1));
        assert_eq!(logins.lock()[&source(1)].wrong, 2);
        advance(MEMORY + DELAY_MAX).await;
        logins.note_wrong(source(1));
        assert_eq!(logins.lock()[&source(1)].wrong, 1);
    }
}
