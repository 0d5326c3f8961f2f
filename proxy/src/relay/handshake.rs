//! The relayed handshake: the client logs in to the store itself, and the proxy only clears capabilities.
//!
//! ```text
//! Connected --greeting edited, forwarded--> Greeted --login edited, forwarded--> LoggedIn
//!     LoggedIn --authentication packets both ways, until OK--> Established
//! ```
//! Each state consumes the one before it. An ERR of the store reaches the client and ends the session. The
//! session bounds the time of the whole, and learns from [`Awaited`] whom it waited for.

use super::SessionEnd;
use crate::wire::{
    Capabilities, ErrPacket, Greeting, Login, LoginError, OkPacket, PacketReader, PacketWriter,
    StatusFlags, Stream,
};
use bytes::{Bytes, BytesMut};

/// Longest packet of a handshake: connection attributes and Kerberos tickets fit well.
const HANDSHAKE_BYTES_MAX: usize = 1024 * 1024;

/// What a session's handshake tells about it.
#[derive(Debug, Clone)]
pub struct SessionFacts {
    /// What client and store have negotiated; the same on both legs.
    pub capabilities: Capabilities,
    /// The store's id of the connection.
    pub connection_id: u32,
    /// As greeted, such as `5.5.5-10.11.6-MariaDB`.
    pub server_version: String,
    /// Collation id that the client asked for.
    pub charset: u8,
    /// User name that the client gave.
    pub user: Bytes,
    /// Database that the client named at login.
    pub database: Option<Bytes>,
    /// Status flags of the OK that ended the handshake.
    pub status: StatusFlags,
}

/// Whose packet a handshake waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaited {
    /// The store's greeting: the client has been sent nothing.
    Greeting,
    /// The client's login or authentication data.
    Client,
    /// The store's answer to what the client sent.
    Store {
        /// Sequence id of that answer.
        seq: u8,
    },
}

/// Both legs, with what was read ahead of each.
struct Legs<'a> {
    client: &'a mut Stream,
    store: &'a mut Stream,
    from_client: PacketReader,
    from_store: PacketReader,
    awaited: &'a mut Awaited,
}

/// Bytes that were read beyond the handshake.
#[derive(Debug, Default)]
pub struct ReadAhead {
    pub client: BytesMut,
    pub store: BytesMut,
}

/// Relays a whole handshake, and keeps in `awaited` whom it waits for.
///
/// # Errors
/// The reason why there is no session; the client has been told.
pub async fn handshake(
    client: &mut Stream,
    store: &mut Stream,
    awaited: &mut Awaited,
) -> Result<(SessionFacts, ReadAhead), SessionEnd> {
    let legs = Legs {
        client,
        store,
        from_client: PacketReader::new(HANDSHAKE_BYTES_MAX),
        from_store: PacketReader::new(HANDSHAKE_BYTES_MAX),
        awaited,
    };
    let greeted = Connected(legs).greet().await?;
    let logged_in = greeted.login().await?;
    logged_in.authenticate().await
}

struct Connected<'a>(Legs<'a>);

struct Greeted<'a> {
    legs: Legs<'a>,
    greeting: Greeting,
}

struct LoggedIn<'a> {
    legs: Legs<'a>,
    greeting: Greeting,
    login: Login,
}

impl<'a> Connected<'a> {
    async fn greet(self) -> Result<Greeted<'a>, SessionEnd> {
        let mut legs = self.0;
        let payload = legs.store_packet().await?;
        if ErrPacket::is_err(&payload) {
            legs.send_client(&payload).await?;
            return Err(SessionEnd::StoreClosed);
        }
        let mut payload = BytesMut::from(payload);
        match Greeting::restrict(&mut payload, Capabilities::RELAYED) {
            Ok(greeting) => {
                legs.send_client(&payload).await?;
                Ok(Greeted { legs, greeting })
            }
            Err(error) => {
                let text = "the store's greeting is not one of a MySQL or MariaDB server";
                let refusal = ErrPacket::new(ErrPacket::STORE_UNREACHABLE, b"HY000", text)
                    .encode_before_handshake();
                legs.send_client(&refusal).await?;
                Err(SessionEnd::Protocol(error.0))
            }
        }
    }
}

impl<'a> Greeted<'a> {
    async fn login(self) -> Result<LoggedIn<'a>, SessionEnd> {
        let Self { mut legs, greeting } = self;
        let payload = legs.client_packet().await?;
        let mut payload = BytesMut::from(payload);
        match Login::restrict(&mut payload, greeting.capabilities) {
            Ok(login) => {
                legs.send_store(&payload).await?;
                Ok(LoggedIn {
                    legs,
                    greeting,
                    login,
                })
            }
            Err(error) => {
                let text = error.to_string();
                legs.refuse(ErrPacket::new(1043, b"08S01", text)).await?;
                Err(SessionEnd::Protocol(match error {
                    LoginError::Tls => "the client asks for TLS, which is not offered",
                    LoginError::Old => "the client is older than MySQL 4.1",
                    LoginError::Malformed(malformed) => malformed.0,
                }))
            }
        }
    }
}

impl LoggedIn<'_> {
    /// Either side may send next: the plugins decide.
    async fn authenticate(self) -> Result<(SessionFacts, ReadAhead), SessionEnd> {
        let Self {
            mut legs,
            greeting,
            login,
        } = self;
        let status = loop {
            let payload = tokio::select! {
                biased;
                payload = legs.from_store.read(legs.store) => payload,
                payload = legs.from_client.read(legs.client) => {
                    let payload = payload.map_err(SessionEnd::client)?;
                    legs.send_store(&payload).await?;
                    continue;
                }
            };
            let payload = match payload {
                Ok(payload) => payload,
                Err(error) => {
                    let text = "Lost connection to the store during authentication";
                    legs.refuse(ErrPacket::new(ErrPacket::STORE_LOST, b"08S01", text))
                        .await?;
                    return Err(SessionEnd::store(error));
                }
            };
            legs.send_client(&payload).await?;
            match payload.first() {
                Some(&OkPacket::HEADER) => {
                    break OkPacket::parse(&payload).map_or(greeting.status, |ok| ok.status);
                }
                Some(&ErrPacket::HEADER) => return Err(SessionEnd::StoreClosed),
                _ => {}
            }
        };
        let facts = SessionFacts {
            capabilities: login.capabilities,
            connection_id: greeting.connection_id,
            server_version: greeting.server_version,
            charset: login.charset,
            user: login.user,
            database: login.database,
            status,
        };
        let ahead = ReadAhead {
            client: legs.from_client.into_buffered(),
            store: legs.from_store.into_buffered(),
        };
        Ok((facts, ahead))
    }
}

impl Legs<'_> {
    async fn store_packet(&mut self) -> Result<Bytes, SessionEnd> {
        match self.from_store.read(self.store).await {
            Ok(payload) => Ok(payload),
            Err(error) => {
                let text =
                    "Unable to connect to the store: it closed the connection without a greeting";
                let refusal = ErrPacket::new(ErrPacket::STORE_UNREACHABLE, b"HY000", text)
                    .encode_before_handshake();
                self.send_client(&refusal).await?;
                Err(SessionEnd::store(error))
            }
        }
    }

    async fn client_packet(&mut self) -> Result<Bytes, SessionEnd> {
        self.from_client
            .read(self.client)
            .await
            .map_err(SessionEnd::client)
    }

    /// Forwards under the sequence id that the store gave.
    async fn send_client(&mut self, payload: &[u8]) -> Result<(), SessionEnd> {
        *self.awaited = Awaited::Client;
        let mut writer = PacketWriter::new(self.from_store.last_seq());
        writer.write(payload);
        writer.flush(self.client).await.map_err(SessionEnd::client)
    }

    async fn send_store(&mut self, payload: &[u8]) -> Result<(), SessionEnd> {
        let mut writer = PacketWriter::new(self.from_client.last_seq());
        writer.write(payload);
        let seq = self.from_client.last_seq().wrapping_add(1);
        *self.awaited = Awaited::Store { seq };
        writer.flush(self.store).await.map_err(SessionEnd::store)
    }

    /// Answers the client's last packet.
    async fn refuse(&mut self, error: ErrPacket) -> Result<(), SessionEnd> {
        let mut writer = PacketWriter::new(self.from_client.last_seq().wrapping_add(1));
        writer.write(&error.encode());
        writer.flush(self.client).await.map_err(SessionEnd::client)
    }
}
