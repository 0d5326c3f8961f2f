//! The beginning of a session: the store's leg and the relayed login, within a bounded time.

use super::SessionConfig;
use super::ending::FAREWELL_TIME_MAX;
use crate::relay::handshake::{Awaited, ReadAhead, SessionFacts, handshake};
use crate::relay::{SessionEnd, connect};
use crate::wire::{ErrPacket, PacketWriter, Stream};
use std::io;
use std::time::Duration;

/// How long a client and the store may take to greet and log in, beyond the connection to the store. No client
/// that says nothing holds its place for longer.
const LOGIN_TIME_MAX: Duration = Duration::from_secs(30);

/// Connects to the store and relays the login, within [`LOGIN_TIME_MAX`].
pub async fn open(
    client: &mut Stream,
    config: &SessionConfig,
) -> Result<(Stream, SessionFacts, ReadAhead), SessionEnd> {
    let mut awaited = Awaited::Greeting;
    let opening_time_max = config.connect_timeout.saturating_add(LOGIN_TIME_MAX);
    let opening = connect_and_log_in(client, config, &mut awaited);
    if let Ok(opened) = tokio::time::timeout(opening_time_max, opening).await {
        return opened;
    }
    let end = io::Error::new(
        io::ErrorKind::TimedOut,
        "the login was not finished in time",
    );
    let (refusal, seq) = match awaited {
        Awaited::Client => return Err(SessionEnd::Client(end)),
        Awaited::Greeting => {
            let text = "Unable to connect to the store: it does not greet";
            let refusal = ErrPacket::new(ErrPacket::STORE_UNREACHABLE, b"HY000", text);
            (refusal.encode_before_handshake(), 0)
        }
        Awaited::Store { seq } => {
            let text = "The store does not answer the login";
            let refusal = ErrPacket::new(ErrPacket::STORE_LOST, b"08S01", text);
            (refusal.encode(), seq)
        }
    };
    let mut writer = PacketWriter::new(seq);
    writer.write(&refusal);
    // The session ends either way.
    let _ = tokio::time::timeout(FAREWELL_TIME_MAX, writer.flush(client)).await;
    Err(SessionEnd::Store(end))
}

async fn connect_and_log_in(
    client: &mut Stream,
    config: &SessionConfig,
    awaited: &mut Awaited,
) -> Result<(Stream, SessionFacts, ReadAhead), SessionEnd> {
    let connected = connect::connect(&config.store, config.connect_timeout).await;
    config.live.store_reached(connected.is_ok());
    let mut store = match connected {
        Ok(store) => store,
        Err(error) => {
            let text = format!(
                "Unable to connect to the store at {} ({error})",
                config.store
            );
            let mut writer = PacketWriter::new(0);
            writer.write(
                &ErrPacket::new(ErrPacket::STORE_UNREACHABLE, b"HY000", text)
                    .encode_before_handshake(),
            );
            writer.flush(client).await.map_err(SessionEnd::client)?;
            return Err(SessionEnd::Store(error));
        }
    };
    let (facts, ahead) = handshake(client, &mut store, &config.tls, awaited).await?;
    Ok((store, facts, ahead))
}
