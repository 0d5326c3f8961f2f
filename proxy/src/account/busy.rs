//! Connecting to a store whose queue of new connections is full.
//!
//! A Unix socket refuses at once what TCP would wait for: EAGAIN says that the server has not
//! accepted those before yet. A store that is down or missing is another error,
//! which is told at once.

use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// First and longest pause before the next try; each is half as long to one and a half times as
/// long.
const PAUSE: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// Connects, and tries again for as long as the store is busy and `time_max` is not over.
pub async fn connect_when_free<T, E, F: Future<Output = Result<T, E>>>(
    time_max: Duration,
    is_busy: impl Fn(&E) -> bool,
    mut connect: impl FnMut() -> F,
) -> Result<T, E> {
    let began = Instant::now();
    let mut pause = PAUSE;
    loop {
        match connect().await {
            Err(error) if is_busy(&error) && began.elapsed() < time_max => {}
            connected => return connected,
        }
        if pause == PAUSE {
            tracing::debug!("the store's queue of new connections is full: waiting");
        }
        // Those who were refused together do not come back together.
        sleep(pause.mul_f64(0.5 + random_share())).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Whether a connection was refused only since others wait to be accepted.
pub fn is_queue_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// The same of a connection of the service account's client.
pub fn is_queue_full_for_account(error: &mysql_async::Error) -> bool {
    match error {
        mysql_async::Error::Io(mysql_async::IoError::Io(error)) => is_queue_full(error),
        _ => false,
    }
}

/// Some number from 0 to 1, which no attacker gains by guessing.
fn random_share() -> f64 {
    let random = RandomState::new().build_hasher().finish() >> 32;
    random as f64 / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// How a connection ends that meets `error` for so many tries, and the number of tries.
    async fn connected(error: io::ErrorKind, refusals: u32) -> (io::Result<()>, u32) {
        let tries = Cell::new(0);
        let connecting = connect_when_free(Duration::from_secs(5), is_queue_full, || {
            tries.set(tries.get() + 1);
            let refused = tries.get() <= refusals;
            async move { if refused { Err(error.into()) } else { Ok(()) } }
        });
        (connecting.await, tries.get())
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_is_waited_for_and_nothing_else() {
        let (done, tries) = connected(io::ErrorKind::WouldBlock, 20).await;
        assert!(done.is_ok() && tries == 21, "{done:?} after {tries}");
        for down in [io::ErrorKind::ConnectionRefused, io::ErrorKind::NotFound] {
            let (done, tries) = connected(down, 20).await;
            assert!(done.is_err() && tries == 1, "{done:?} after {tries}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_stays_full_is_an_error_in_the_end() {
        let (done, tries) = connected(io::ErrorKind::WouldBlock, u32::MAX).await;
        assert!(done.is_err() && tries > 50, "{done:?} after {tries}");
    }
}
