//! Connections that have not logged in: their addresses, and which of them is displaced when there
//! is no free slot.
//!
//! A client that opens connections and stays silent must not lock out others. A new connection
//! therefore displaces one that waits for its client: the oldest one of the address with the most
//! such connections. Addresses are counted as [`Source`]s. Connections are removed from here when
//! their client has logged in.

mod line_limit;
mod source;
mod wrong_logins;

pub use line_limit::LineLimit;
pub use source::Source;
pub use wrong_logins::WrongLogins;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The connections to one listener that have not logged in.
#[derive(Debug, Default)]
pub struct Admission(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    /// Number of the next connection; ascending with time.
    next: u64,
    by_source: HashMap<Source, BTreeMap<u64, Entry>>,
}

#[derive(Debug)]
struct Entry {
    since: Instant,
    waits_for_client: Arc<AtomicBool>,
    displaced: CancellationToken,
}

/// A connection that has not logged in; registered until dropped.
#[derive(Debug)]
pub struct Applicant {
    admission: Arc<Admission>,
    source: Source,
    number: u64,
    since: Instant,
    waits_for_client: Arc<AtomicBool>,
    displaced: CancellationToken,
}

impl Admission {
    /// Adds a connection.
    #[must_use]
    pub fn enter(self: &Arc<Self>, source: Source) -> Applicant {
        let since = Instant::now();
        let (waits_for_client, displaced) = (Arc::default(), CancellationToken::new());
        let mut waiting = self.lock();
        let number = waiting.next;
        waiting.next += 1;
        let entry = Entry {
            since,
            waits_for_client: Arc::clone(&waits_for_client),
            displaced: displaced.clone(),
        };
        let of_source = waiting.by_source.entry(source).or_default();
        of_source.insert(number, entry);
        Applicant {
            admission: Arc::clone(self),
            source,
            number,
            since,
            waits_for_client,
            displaced,
        }
    }

    /// Number of connections.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().by_source.values().map(BTreeMap::len).sum()
    }

    /// Number of connections from a source.
    #[must_use]
    pub fn count_of(&self, source: Source) -> usize {
        self.lock().by_source.get(&source).map_or(0, BTreeMap::len)
    }

    /// Displaces a connection in favour of a new one from `source`; returns whether it did. It is
    /// the oldest one that waits for its client, of the source with the most connections. If all
    /// wait for the proxy or the store, it is the oldest one of the source with the most
    /// connections, provided that source has more than `source` would have.
    pub fn make_room(&self, source: Source) -> bool {
        let mut waiting = self.lock();
        let own = waiting.by_source.get(&source).map_or(0, BTreeMap::len);
        let silent = waiting.silent(Duration::ZERO);
        let victim = silent.or_else(|| waiting.oldest_beyond(own + 1));
        waiting.displace(victim)
    }

    /// Like [`make_room`](Self::make_room); if that displaces none, the oldest connection of the
    /// source with the most.
    pub fn make_room_anyhow(&self, source: Source) -> bool {
        self.make_room(source) || {
            let mut waiting = self.lock();
            let victim = waiting.oldest_beyond(0);
            waiting.displace(victim)
        }
    }

    /// Like [`make_room`](Self::make_room), but only for connections whose clients have been
    /// silent for `silence` since they connected.
    pub fn make_room_of_silent(&self, silence: Duration) -> bool {
        let mut waiting = self.lock();
        let victim = waiting.silent(silence);
        waiting.displace(victim)
    }

    /// Displaces the oldest connection of `source` that waits for its client; returns whether it
    /// did.
    pub fn make_room_of(&self, source: Source) -> bool {
        let mut waiting = self.lock();
        let victim = waiting.silent_of(source, Duration::ZERO);
        waiting.displace(victim)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Every change is one insertion or removal, so a panic leaves the state consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Victim = Option<(Source, u64)>;

impl Waiting {
    fn silent_of(&self, source: Source, silence: Duration) -> Victim {
        let of_source = self.by_source.get(&source)?;
        let silent = |entry: &Entry| {
            entry.waits_for_client.load(Relaxed) && entry.since.elapsed() >= silence
        };
        let found = of_source.iter().find(|(_, entry)| silent(entry));
        found.map(|(number, _)| (source, *number))
    }

    fn silent(&self, silence: Duration) -> Victim {
        let (largest, _) = self.largest()?;
        self.silent_of(largest, silence).or_else(|| {
            // Rare: all connections of the largest source are being served.
            let mut sources: Vec<_> = self.by_source.iter().collect();
            sources.sort_unstable_by_key(|(_, entries)| std::cmp::Reverse(entries.len()));
            let mut victims = sources.into_iter();
            victims.find_map(|(source, _)| self.silent_of(*source, silence))
        })
    }

    fn oldest_beyond(&self, count: usize) -> Victim {
        let (largest, entries) = self.largest()?;
        let oldest = *entries.first_key_value()?.0;
        (entries.len() > count).then_some((largest, oldest))
    }

    fn largest(&self) -> Option<(Source, &BTreeMap<u64, Entry>)> {
        let largest = self.by_source.iter().max_by_key(|(_, of)| of.len())?;
        Some((*largest.0, largest.1))
    }

    fn displace(&mut self, victim: Victim) -> bool {
        let displaced = victim.and_then(|(source, number)| self.remove(source, number));
        displaced.is_some_and(|entry| {
            entry.displaced.cancel();
            true
        })
    }

    fn remove(&mut self, source: Source, number: u64) -> Option<Entry> {
        let of_source = self.by_source.get_mut(&source)?;
        let removed = of_source.remove(&number);
        if of_source.is_empty() {
            self.by_source.remove(&source);
        }
        removed
    }
}

impl Applicant {
    /// Source of the connection.
    #[must_use]
    pub fn source(&self) -> Source {
        self.source
    }

    /// Time of the connection.
    #[must_use]
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Must be true while the connection waits for bytes from the client.
    #[must_use]
    pub fn waits_for_client(&self) -> &Arc<AtomicBool> {
        &self.waits_for_client
    }

    /// Waits until the connection is displaced; for ever if it is not.
    pub async fn displaced(&self) {
        self.displaced.cancelled().await;
    }
}

impl Drop for Applicant {
    fn drop(&mut self) {
        self.admission.lock().remove(self.source, self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn source(last: u8) -> Source {
        Source::from(IpAddr::from([10, 0, 0, last]))
    }

    fn silent(admission: &Arc<Admission>, last: u8) -> Applicant {
        let applicant = admission.enter(source(last));
        applicant.waits_for_client().store(true, Relaxed);
        applicant
    }

    fn gave_way(applicants: &[Applicant]) -> Vec<bool> {
        let gave_way = |applicant: &Applicant| applicant.displaced.is_cancelled();
        applicants.iter().map(gave_way).collect()
    }

    #[tokio::test]
    async fn the_oldest_silent_one_of_the_address_with_the_most_gives_way() {
        let admission = Arc::new(Admission::default());
        let applicants = [1, 2, 2, 2].map(|last| silent(&admission, last));
        assert!(admission.make_room(source(3)));
        assert_eq!(gave_way(&applicants), [false, true, false, false]);
        // A client that sends is not silent.
        applicants[2].waits_for_client().store(false, Relaxed);
        assert!(admission.make_room(source(2)));
        assert_eq!(gave_way(&applicants), [false, true, false, true]);
        assert_eq!(admission.count(), 2);
        drop(applicants);
        assert_eq!(admission.count(), 0);
        assert!(!admission.make_room(source(1)), "there is nobody");
    }

    #[tokio::test]
    async fn who_is_being_served_gives_way_only_to_an_address_with_fewer() {
        let admission = Arc::new(Admission::default());
        let served = [7, 7, 7].map(|last| admission.enter(source(last)));
        assert!(!admission.make_room(source(7)), "its own");
        assert!(admission.make_room(source(8)));
        assert_eq!(gave_way(&served), [true, false, false]);
        let _other = admission.enter(source(8));
        assert!(!admission.make_room(source(8)), "as many as the other");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_has_to_last() {
        let admission = Arc::new(Admission::default());
        let silent = silent(&admission, 1);
        assert!(!admission.make_room_of_silent(Duration::from_secs(1)));
        assert!(!admission.make_room_of(source(2)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(admission.make_room_of_silent(Duration::from_secs(1)));
        silent.displaced().await;
    }
}
