//! The beginning of a session: the store's leg and the relayed login, within a bounded time.

use super::config::SessionConfig;
use super::ending::FAREWELL_TIME_MAX;
use crate::admission::Applicant;
use crate::error::ErrorKind;
use crate::relay::connect;
use crate::relay::handshake::{Awaited, FirstPacket, ReadAhead, SessionFacts, Waiting, handshake};
use crate::session_end::SessionEnd;
use crate::wire::{PacketWriter, Stream};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, sleep_until, timeout};

/// How long a client must have been silent to give way where the store has no room. Shorter
/// silences are those of the network.
const SILENCE: Duration = Duration::from_secs(1);
/// What a store is given to end a connection before the next one is tried.
const STORE_PAUSE: Duration = Duration::from_millis(20);

/// Connects to the store and relays the login, all of it within `login_time_max` of the
/// connection.
pub async fn open(
    client: &mut Stream,
    config: &SessionConfig,
    applicant: &Applicant,
) -> Result<(Stream, SessionFacts, ReadAhead), SessionEnd> {
    let waiting = Waiting::new(Arc::clone(applicant.waits_for_client()));
    tokio::select! {
        biased;
        opened = connect_and_log_in(client, config, &waiting) => return opened,
        () = applicant.displaced() => return Err(SessionEnd::Displaced),
        () = sleep_until(applicant.since() + config.login_time_max) => {}
    }
    let end = io::Error::new(
        io::ErrorKind::TimedOut,
        "the login was not finished in time",
    );
    let (refusal, seq) = match waiting.awaited() {
        // As MariaDB does it: nothing is owed.
        Awaited::Client => return Err(SessionEnd::Client(end)),
        Awaited::Greeting => {
            let text = "Unable to connect to the store: it does not greet";
            let refusal = ErrorKind::StoreUnreachable.packet(text);
            (refusal.encode_before_handshake(), 0)
        }
        Awaited::Store { seq } => {
            let text = "The store does not answer the login";
            let refusal = ErrorKind::StoreLost.packet(text);
            (refusal.encode(), seq)
        }
    };
    let mut writer = PacketWriter::new(seq);
    writer.write(&refusal);
    // The session ends either way.
    let _ = timeout(FAREWELL_TIME_MAX, writer.flush(client)).await;
    Err(SessionEnd::Store(end))
}

async fn connect_and_log_in(
    client: &mut Stream,
    config: &SessionConfig,
    waiting: &Waiting,
) -> Result<(Stream, SessionFacts, ReadAhead), SessionEnd> {
    let connected = connect_with_room(config).await;
    config.live.store_reached(connected.is_ok());
    let (mut store, first) = match connected {
        Ok(connected) => connected,
        Err(error) => {
            let text = format!(
                "Unable to connect to the store at {} ({error})",
                config.store
            );
            let mut writer = PacketWriter::new(0);
            writer.write(
                &ErrorKind::StoreUnreachable
                    .packet(text)
                    .encode_before_handshake(),
            );
            writer.flush(client).await.map_err(SessionEnd::client)?;
            return Err(SessionEnd::Store(error));
        }
    };
    let logged_in = handshake(client, &mut store, first, &config.tls, waiting).await;
    if waiting.is_store_full() {
        // For the next one.
        make_room_in_store(config);
    }
    let (facts, ahead) = logged_in?;
    Ok((store, facts, ahead))
}

/// Has clients give way that keep this proxy waiting; says whether there is one. Two, since the
/// last place of a store may be for administrators.
fn make_room_in_store(config: &SessionConfig) -> bool {
    let made = [(); 2].map(|()| config.admission.make_room_of_silent(SILENCE));
    made.contains(&true)
}

/// Connects to the store, and hears what it says first. Where it has no room, clients of this
/// proxy that keep it waiting make some, as long as there are any.
async fn connect_with_room(config: &SessionConfig) -> io::Result<(Stream, FirstPacket)> {
    loop {
        let mut store = connect::connect(&config.store, config.connect_timeout).await?;
        let first = FirstPacket::read(&mut store).await;
        if !first.says_full() || !make_room_in_store(config) {
            return Ok((store, first));
        }
        drop(store);
        sleep(STORE_PAUSE).await;
    }
}
