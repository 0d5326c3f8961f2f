//! Relayed handshake: the client logs in to the store itself. The proxy clears some capabilities
//! and handles TLS separately on each leg.
//!
//! ```text
//! Connected --greeting edited, forwarded--> Greeted --client's TLS if requested, login--> Asked
//!     Asked --store's TLS if configured, login edited, forwarded--> LoggedIn
//!     LoggedIn --authentication packets both ways, until OK--> Established
//! ```
//! Each state consumes the previous one. An ERR from the store is forwarded to the client and ends
//! the session. The session limits the total time, and [`Waiting`] shows which peer the handshake
//! waits for.
//!
//! Each leg has its own sequence ids: a TLS request, or a password that the proxy encrypts for the
//! store, adds packets to one leg only, and later packets are renumbered.

pub(crate) mod password;

use super::SessionEnd;
use crate::error::ErrorKind;
use crate::tls::{StoreTls, StoreTlsMode, Tls};
use crate::wire::{
    Capabilities, ErrPacket, Greeting, Login, LoginError, Malformed, OkPacket, PacketReader,
    PacketWriter, StatusFlags, Stream, TLS_REQUEST_BYTES, check_first_header,
};
use bytes::{Bytes, BytesMut};
use password::{Authentication, Step};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering::Relaxed};

/// Maximum length of a handshake packet: connection attributes and Kerberos tickets fit well.
const HANDSHAKE_BYTES_MAX: usize = 1024 * 1024;

/// Facts about a session that its handshake established.
#[derive(Debug, Clone)]
pub struct SessionFacts {
    /// Capabilities negotiated by client and store; the same on both legs.
    pub capabilities: Capabilities,
    /// The store's connection id.
    pub connection_id: u32,
    /// Server version from the greeting, such as `5.5.5-10.11.6-MariaDB`.
    pub server_version: String,
    /// Collation id requested by the client.
    pub charset: u8,
    /// User name sent by the client.
    pub user: Bytes,
    /// Database named by the client at login.
    pub database: Option<Bytes>,
    /// Status flags of the OK that ended the handshake.
    pub status: StatusFlags,
}

/// The packet that a handshake waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaited {
    /// The store's greeting: nothing was sent to the client yet.
    Greeting,
    /// The client's login or authentication data.
    Client,
    /// The store's answer to the client's packet.
    Store {
        /// Sequence id of that answer.
        seq: u8,
    },
}

/// Which peer a handshake waits for; readable while it runs.
#[derive(Debug, Default)]
pub struct Waiting {
    /// [`Awaited`], with a sequence id in the low byte.
    awaited: AtomicU16,
    for_client: Arc<AtomicBool>,
    store_full: AtomicBool,
}

impl Waiting {
    const CLIENT: u16 = 1 << 8;
    const STORE: u16 = 2 << 8;

    /// State before the handshake. `for_client` is true whenever the handshake waits for the
    /// client.
    #[must_use]
    pub fn new(for_client: Arc<AtomicBool>) -> Self {
        Self {
            for_client,
            ..Self::default()
        }
    }

    /// Whether the store rejected the login because it has no free connection.
    #[must_use]
    pub fn is_store_full(&self) -> bool {
        self.store_full.load(Relaxed)
    }

    /// The packet the handshake waits for now.
    #[must_use]
    pub fn awaited(&self) -> Awaited {
        let awaited = self.awaited.load(Relaxed);
        match awaited & !0xff {
            Self::CLIENT => Awaited::Client,
            Self::STORE => Awaited::Store { seq: awaited as u8 },
            _ => Awaited::Greeting,
        }
    }

    fn wait_for(&self, awaited: Awaited) {
        let code = match awaited {
            Awaited::Greeting => 0,
            Awaited::Client => Self::CLIENT,
            Awaited::Store { seq } => Self::STORE | u16::from(seq),
        };
        self.awaited.store(code, Relaxed);
        let for_client = awaited == Awaited::Client;
        self.for_client.store(for_client, Relaxed);
    }
}

/// The store's first packet on a new connection.
#[derive(Debug)]
pub struct FirstPacket {
    payload: io::Result<Bytes>,
    reader: PacketReader,
}

impl FirstPacket {
    /// Reads the packet.
    pub async fn read(store: &mut Stream) -> Self {
        let mut reader = PacketReader::new(HANDSHAKE_BYTES_MAX);
        let payload = reader.read(store).await;
        Self { payload, reader }
    }

    /// Whether the store has no free connection.
    #[must_use]
    pub fn says_full(&self) -> bool {
        self.payload.as_ref().is_ok_and(says_full)
    }
}

fn says_full(payload: &Bytes) -> bool {
    ErrPacket::parse(payload).is_ok_and(|error| error.code == ErrorKind::TooManyConnections.code())
}

/// Both legs, each with its read-ahead bytes.
struct Legs<'a> {
    client: &'a mut Stream,
    store: &'a mut Stream,
    from_client: PacketReader,
    from_store: PacketReader,
    /// How many packets more the store leg has seen than the client leg, modulo 256.
    ahead: u8,
    waiting: &'a Waiting,
    tls: &'a Tls,
}

/// Bytes read beyond the handshake.
#[derive(Debug, Default)]
pub struct ReadAhead {
    pub client: BytesMut,
    pub store: BytesMut,
}

/// Relays a handshake starting with the store's first packet; keeps `waiting` up to date.
///
/// # Errors
/// Why there is no session; the client was already sent an error.
pub async fn handshake(
    client: &mut Stream,
    store: &mut Stream,
    first: FirstPacket,
    tls: &Tls,
    waiting: &Waiting,
) -> Result<(SessionFacts, ReadAhead), SessionEnd> {
    let legs = Legs {
        client,
        store,
        from_client: PacketReader::new(HANDSHAKE_BYTES_MAX),
        from_store: first.reader,
        ahead: 0,
        waiting,
        tls,
    };
    let greeted = Connected(legs).greet(first.payload).await?;
    let asked = greeted.login().await?;
    let logged_in = asked.pass_on().await?;
    logged_in.authenticate().await
}

struct Connected<'a>(Legs<'a>);

struct Greeted<'a> {
    legs: Legs<'a>,
    greeting: Greeting,
}

struct Asked<'a> {
    legs: Legs<'a>,
    greeting: Greeting,
    login: Login,
    payload: BytesMut,
}

struct LoggedIn<'a> {
    legs: Legs<'a>,
    greeting: Greeting,
    login: Login,
}

impl<'a> Connected<'a> {
    async fn greet(self, payload: io::Result<Bytes>) -> Result<Greeted<'a>, SessionEnd> {
        let mut legs = self.0;
        let payload = legs.or_no_greeting(payload).await?;
        if ErrPacket::is_err(&payload) {
            legs.send_client(&payload).await?;
            return Err(SessionEnd::StoreClosed);
        }
        let mut payload = BytesMut::from(payload);
        match Greeting::restrict(&mut payload, Capabilities::RELAYED) {
            Ok(greeting) => {
                if legs.tls.client.is_some() {
                    greeting.offer_tls(&mut payload);
                }
                legs.send_client(&payload).await?;
                Ok(Greeted { legs, greeting })
            }
            Err(error) => {
                let text = "the store's greeting is not one of a MySQL or MariaDB server";
                let refusal = ErrorKind::StoreUnreachable
                    .packet(text)
                    .encode_before_handshake();
                legs.send_client(&refusal).await?;
                Err(SessionEnd::Protocol(error.0))
            }
        }
    }
}

impl<'a> Greeted<'a> {
    async fn login(self) -> Result<Asked<'a>, SessionEnd> {
        let Self { mut legs, greeting } = self;
        let mut payload = legs.first_client_packet().await?;
        if let Some(tls) = &legs.tls.client
            && Login::is_tls_request(&payload)
        {
            let accepted = legs.client.accept_tls(&tls.acceptor()).await;
            accepted.map_err(SessionEnd::client)?;
            legs.ahead = legs.ahead.wrapping_sub(1);
            payload = legs.client_packet().await?;
        }
        let mut payload = BytesMut::from(payload);
        match Login::restrict(&mut payload, greeting.capabilities) {
            Ok(_) if legs.tls.client_required && !legs.client.is_tls() => {
                let text = "Connections using insecure transport are prohibited: connect with TLS";
                legs.refuse(ErrorKind::TlsRequired.packet(text)).await?;
                Err(SessionEnd::Protocol("the client does not use TLS"))
            }
            Ok(login) => Ok(Asked {
                legs,
                greeting,
                login,
                payload,
            }),
            Err(error) => {
                let text = error.to_string();
                legs.refuse(ErrorKind::BadHandshake.packet(text)).await?;
                Err(SessionEnd::Protocol(match error {
                    LoginError::Tls => "the client asks for TLS, which is not offered",
                    LoginError::Compression => "the client compresses, which is not offered",
                    LoginError::Old => "the client is older than MySQL 4.1",
                    LoginError::Malformed(malformed) => malformed.0,
                }))
            }
        }
    }
}

impl<'a> Asked<'a> {
    /// Forwards the login, over TLS if required.
    async fn pass_on(mut self) -> Result<LoggedIn<'a>, SessionEnd> {
        if let Some(tls) = self.tls_due().await? {
            Login::say_tls(&mut self.payload);
            self.start_tls(tls).await?;
        }
        let Self {
            mut legs,
            greeting,
            login,
            payload,
        } = self;
        let plugin = login.plugin.as_ref().unwrap_or(&greeting.plugin);
        if let Some(refusal) = password::refusal(plugin, legs.client, legs.store) {
            legs.refuse(refusal.packet()).await?;
            return Err(SessionEnd::Protocol(refusal.reason()));
        }
        legs.send_store(&payload).await?;
        Ok(LoggedIn {
            legs,
            greeting,
            login,
        })
    }

    /// The store's TLS settings if TLS is to be started on the store leg.
    async fn tls_due(&mut self) -> Result<Option<&'a StoreTls>, SessionEnd> {
        let legs = &mut self.legs;
        let Some(tls) = legs.tls.store.as_deref() else {
            return Ok(None);
        };
        let wanted = match tls.mode() {
            StoreTlsMode::Disabled => false,
            StoreTlsMode::Required => true,
            // A Unix socket is as private as TLS.
            StoreTlsMode::AsClient => {
                legs.client.is_tls() && (self.greeting.tls || !legs.store.is_private())
            }
        };
        if wanted && !self.greeting.tls {
            let text = "Unable to connect to the store with TLS: it does not offer it \
                        (set up TLS there, or mode of [store_tls])";
            legs.refuse(ErrorKind::StoreUnreachable.packet(text))
                .await?;
            return Err(SessionEnd::Protocol("the store does not offer TLS"));
        }
        Ok(wanted.then_some(tls))
    }

    /// Sends the first bytes of the login, which are the TLS request, and does the TLS handshake.
    async fn start_tls(&mut self, tls: &StoreTls) -> Result<(), SessionEnd> {
        let legs = &mut self.legs;
        let request = self.payload.get(..TLS_REQUEST_BYTES).unwrap_or_default();
        legs.send_store(request).await?;
        legs.ahead = legs.ahead.wrapping_add(1);
        let (connector, name) = tls.connector();
        if let Err(error) = legs.store.connect_tls(connector, name).await {
            let text = format!("Unable to connect to the store with TLS ({error})");
            legs.refuse(ErrorKind::StoreUnreachable.packet(text))
                .await?;
            return Err(SessionEnd::Store(error));
        }
        Ok(())
    }
}

impl LoggedIn<'_> {
    /// Relays authentication packets. Either side may send next, depending on the plugin.
    async fn authenticate(self) -> Result<(SessionFacts, ReadAhead), SessionEnd> {
        let Self {
            mut legs,
            greeting,
            login,
        } = self;
        let plugin = login.plugin.as_ref().unwrap_or(&greeting.plugin);
        let mut authentication = Authentication::new(plugin.clone(), greeting.nonce.clone());
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
            let payload = legs.or_lost(payload).await?;
            match authentication.step(&payload, legs.client, legs.store) {
                Step::Forward => legs.send_client(&payload).await?,
                Step::Encrypt => {
                    legs.send_client(&payload).await?;
                    legs.encrypt_password(authentication.nonce()).await?;
                }
                Step::Refuse(refusal) => {
                    legs.send_client(&refusal.packet().encode()).await?;
                    return Err(SessionEnd::Protocol(refusal.reason()));
                }
            }
            match payload.first() {
                Some(&OkPacket::HEADER) => {
                    break OkPacket::parse(&payload).map_or(greeting.status, |ok| ok.status);
                }
                Some(&ErrPacket::HEADER) => {
                    // MariaDB reserves its last connection for an administrator; that shortage
                    // shows only here.
                    legs.waiting.store_full.store(says_full(&payload), Relaxed);
                    return Err(SessionEnd::StoreClosed);
                }
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
    /// On a failed read of the greeting, sends the client an error.
    async fn or_no_greeting(&mut self, read: io::Result<Bytes>) -> Result<Bytes, SessionEnd> {
        match read {
            Ok(payload) => Ok(payload),
            Err(error) => {
                let text =
                    "Unable to connect to the store: it closed the connection without a greeting";
                let refusal = ErrorKind::StoreUnreachable
                    .packet(text)
                    .encode_before_handshake();
                self.send_client(&refusal).await?;
                Err(SessionEnd::store(error))
            }
        }
    }

    /// Reads exactly one packet: a TLS ClientHello may follow without waiting for an answer.
    async fn first_client_packet(&mut self) -> Result<Bytes, SessionEnd> {
        let read = self.from_client.read_only(self.client, check_first_header);
        match read.await {
            Ok(payload) => Ok(payload),
            Err(error) => match error.get_ref().and_then(|e| e.downcast_ref::<Malformed>()) {
                Some(&Malformed(reason)) => {
                    self.refuse(ErrorKind::BadHandshake.packet("Bad handshake"))
                        .await?;
                    Err(SessionEnd::Protocol(reason))
                }
                None => Err(SessionEnd::client(error)),
            },
        }
    }

    async fn client_packet(&mut self) -> Result<Bytes, SessionEnd> {
        self.from_client
            .read(self.client)
            .await
            .map_err(SessionEnd::client)
    }

    /// On a failed read, sends the client an error that the store connection is lost.
    async fn or_lost(&mut self, read: io::Result<Bytes>) -> Result<Bytes, SessionEnd> {
        match read {
            Ok(payload) => Ok(payload),
            Err(error) => {
                let text = "Lost connection to the store during authentication";
                self.refuse(ErrorKind::StoreLost.packet(text)).await?;
                Err(SessionEnd::store(error))
            }
        }
    }

    /// Forwards the store's last packet.
    async fn send_client(&mut self, payload: &[u8]) -> Result<(), SessionEnd> {
        // After the OK the client is logged in: no longer waited for, and never displaced.
        self.waiting.wait_for(match payload.first() {
            Some(&OkPacket::HEADER) => Awaited::Store { seq: 0 },
            _ => Awaited::Client,
        });
        let mut writer = PacketWriter::new(self.from_store.last_seq().wrapping_sub(self.ahead));
        writer.write(payload);
        writer.flush(self.client).await.map_err(SessionEnd::client)
    }

    /// Forwards the client's last packet.
    async fn send_store(&mut self, payload: &[u8]) -> Result<(), SessionEnd> {
        let seq = self.from_client.last_seq();
        self.waiting.wait_for(Awaited::Store {
            seq: seq.wrapping_add(1),
        });
        let mut writer = PacketWriter::new(seq.wrapping_add(self.ahead));
        writer.write(payload);
        writer.flush(self.store).await.map_err(SessionEnd::store)
    }

    /// Reads the password that the client sends in clear over TLS, and sends it to a store on an
    /// unencrypted leg, encrypted with the store's public key.
    async fn encrypt_password(&mut self, nonce: &[u8]) -> Result<(), SessionEnd> {
        let password = self.client_packet().await?;
        self.send_store(&[password::REQUEST_PUBLIC_KEY]).await?;
        let key = self.from_store.read(self.store).await;
        let key = self.or_lost(key).await?;
        if ErrPacket::is_err(&key) {
            // The client sees this as the answer to its password.
            self.send_client(&key).await?;
            return Err(SessionEnd::StoreClosed);
        }
        // The request and the key passed only on the store leg.
        self.ahead = self.ahead.wrapping_add(2);
        match password::encrypt(&password, nonce, &key) {
            Ok(encrypted) => self.send_store(&encrypted).await,
            Err(reason) => {
                let text = format!("The store's public key cannot be used: {reason}");
                self.refuse(ErrorKind::StoreMisunderstood.packet(text))
                    .await?;
                Err(SessionEnd::Protocol(reason))
            }
        }
    }

    /// Answers the client's last packet with an error.
    async fn refuse(&mut self, error: ErrPacket) -> Result<(), SessionEnd> {
        let mut writer = PacketWriter::new(self.from_client.last_seq().wrapping_add(1));
        writer.write(&error.encode());
        writer.flush(self.client).await.map_err(SessionEnd::client)
    }
}
