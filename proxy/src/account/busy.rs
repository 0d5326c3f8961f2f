//! Connecting to a store whose listen queue is full.
//!
//! Where TCP would wait, a Unix socket fails at once with EAGAIN: the server has not yet accepted
//! the queued connections. A store that is down or missing gives another error, which is returned
//! at once.

use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// First and maximum pause before the next attempt; each pause is multiplied by a random factor
/// from 0.5 to 1.5.
const PAUSE: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// Connects; retries while the listen queue is full, for at most `time_max`.
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
        // Random pauses, so that callers rejected together do not retry together.
        sleep(pause.mul_f64(0.5 + random_share())).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Whether a connection failed only because the listen queue is full.
pub fn is_queue_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// The same for an error of the service account's client library.
pub fn is_queue_full_for_account(error: &mysql_async::Error) -> bool {
    match error {
        mysql_async::Error::Io(mysql_async::IoError::Io(error)) => is_queue_full(error),
        _ => false,
    }
}

/// Random number from 0 to 1; it need not be unpredictable.
fn random_share() -> f64 {
    let random = RandomState::new().build_hasher().finish() >> 32;
    random as f64 / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// Result and number of attempts of a connection whose first `refusals` attempts fail with
    /// `error`.
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
