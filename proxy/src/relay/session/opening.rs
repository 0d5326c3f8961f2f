//! Start of a session: the store connection and the relayed login, with a time limit.

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

/// How long a client must have been silent before it is displaced when the store is full. Shorter
/// silences may be network latency.
const SILENCE: Duration = Duration::from_secs(1);
/// Time for the store to end a connection before the next attempt.
const STORE_PAUSE: Duration = Duration::from_millis(20);

/// Connects to the store and relays the login, all within `login_time_max` of the client's
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
        // Like MariaDB: no error packet is owed.
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
        // Make room for the next session.
        make_room_in_store(config);
    }
    let (facts, ahead) = logged_in?;
    Ok((store, facts, ahead))
}

/// Displaces clients that have kept this proxy waiting; returns whether there was one. Displaces
/// two, since a store's last connection may be reserved for administrators.
fn make_room_in_store(config: &SessionConfig) -> bool {
    let made = [(); 2].map(|()| config.admission.make_room_of_silent(SILENCE));
    made.contains(&true)
}

/// Connects to the store and reads its first packet. If the store is full, displaces silent
/// clients of this proxy and retries while there are any.
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
