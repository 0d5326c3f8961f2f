//! Greeting and login of the admin endpoint: `mysql_native_password`, and `caching_sha2_password`
//! for clients that no longer have it.

use super::endpoint::Admin;
use super::facts::VERSION;
use super::refusal::Refusal;
use crate::admin_login::{Proof, SCRAMBLE_BYTES, challenge};
use crate::admission::Source;
use crate::error::ErrorKind;
use crate::wire::{
    Capabilities, Login, LoginError, Malformed, PacketReader, PacketWriter, StatusFlags, Stream,
    check_first_header,
};
use bytes::{BufMut, Bytes, BytesMut};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tokio::time::{Instant, sleep_until};

/// Maximum bytes of a packet from a client before it has logged in.
const LOGIN_BYTES_MAX: usize = 64 << 10;

const NATIVE: &str = "mysql_native_password";
const SHA2: &str = "caching_sha2_password";
/// Packet of `caching_sha2_password`: the proof was enough, an OK follows.
const SHA2_DONE: [u8; 2] = [1, 3];
/// First byte of a request to use another plugin.
const SWITCH: u8 = 0xfe;
/// Collation id in the greeting.
const UTF8MB4: u8 = 45;

/// What the endpoint can do. There is no TLS and no compression, and a command is one statement.
const OFFERED: Capabilities = Capabilities::LONG_PASSWORD
    .or(Capabilities::FOUND_ROWS)
    .or(Capabilities::CONNECT_WITH_DB)
    .or(Capabilities::PROTOCOL_41)
    .or(Capabilities::SECURE_CONNECTION)
    .or(Capabilities::MULTI_RESULTS)
    .or(Capabilities::PLUGIN_AUTH)
    .or(Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA)
    .or(Capabilities::DEPRECATE_EOF);

/// A client that may be let in.
pub struct Client<'c> {
    /// Its connection.
    pub stream: &'c mut Stream,
    /// Its connection id.
    pub id: u32,
    /// Where it comes from.
    pub source: Source,
    /// Deadline of the login.
    pub latest: Instant,
    /// Set while the client is to send something.
    pub waits_for_client: &'c AtomicBool,
}

/// A client that is let in.
pub struct LoggedIn {
    /// Capabilities of the session.
    pub capabilities: Capabilities,
    /// The database that it named.
    pub database: Option<String>,
    /// What it has sent beyond its login.
    pub ahead: BytesMut,
    /// Sequence id of the OK.
    pub seq: u8,
}

/// Why a client is not let in.
#[derive(Debug, thiserror::Error)]
pub enum NotLetIn {
    /// The connection failed, or what came is no login.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The login is refused; the client has been told.
    #[error("{0}")]
    Refused(&'static str),
}

impl Client<'_> {
    /// Greets the client and checks its login. The OK is left to the caller.
    pub async fn log_in(&mut self, admin: &Admin) -> Result<LoggedIn, NotLetIn> {
        let salt = challenge()?;
        let mut writer = PacketWriter::new(0);
        writer.write(&greeting(self.id, &salt));
        self.waits_for_client.store(true, Relaxed);
        writer.flush(self.stream).await?;
        let mut reader = PacketReader::new(LOGIN_BYTES_MAX);
        let first = self.first_packet(&mut reader).await?;
        let mut payload = first.to_vec();
        let login = match Login::restrict(&mut payload, OFFERED) {
            Ok(login) => login,
            Err(error) => return Err(self.turn_away(&reader, &error).await?),
        };
        let proof = Login::authentication(&payload, login.capabilities).map_err(io::Error::from)?;
        let proof = self.proof(&mut reader, &login, proof, &salt).await?;
        self.waits_for_client.store(false, Relaxed);
        let admitted = self.admits(admin, &login.user, &salt, &proof).await;
        let seq = reader.last_seq().wrapping_add(1);
        if let Err(reason) = admitted {
            let user = String::from_utf8_lossy(&login.user);
            self.send(seq, &Refusal::access_denied(&user).packet().encode())
                .await?;
            return Err(NotLetIn::Refused(reason));
        }
        if let Proof::Sha2(_) = proof {
            self.send(seq, &SHA2_DONE).await?;
        }
        let seq = seq.wrapping_add(u8::from(matches!(proof, Proof::Sha2(_))));
        let database = login.database.as_deref().map(String::from_utf8_lossy);
        Ok(LoggedIn {
            capabilities: login.capabilities,
            database: database.map(|name| name.into_owned()),
            ahead: reader.into_buffered(),
            seq,
        })
    }

    async fn send(&mut self, seq: u8, payload: &[u8]) -> io::Result<()> {
        let mut writer = PacketWriter::new(seq);
        writer.write(payload);
        writer.flush(self.stream).await
    }

    async fn first_packet(&mut self, reader: &mut PacketReader) -> Result<Bytes, NotLetIn> {
        let read = reader.read_only(self.stream, check_first_header).await;
        let error = match read {
            Ok(payload) => return Ok(payload),
            Err(error) => error,
        };
        let malformed = error.get_ref().and_then(|error| error.downcast_ref());
        let Some(&Malformed(reason)) = malformed else {
            return Err(error.into());
        };
        let refusal = ErrorKind::BadHandshake.packet("Bad handshake");
        self.send(1, &refusal.encode()).await?;
        Err(NotLetIn::Refused(reason))
    }

    /// Tells a client why its login cannot be read.
    async fn turn_away(
        &mut self,
        reader: &PacketReader,
        error: &LoginError,
    ) -> Result<NotLetIn, NotLetIn> {
        let refusal = ErrorKind::BadHandshake.packet(error.to_string());
        let seq = reader.last_seq().wrapping_add(1);
        self.send(seq, &refusal.encode()).await?;
        Ok(NotLetIn::Refused(match error {
            LoginError::Tls => "the client asks for TLS, which is not offered",
            LoginError::Compression => "the client compresses, which is not offered",
            LoginError::Old => "the client is older than MySQL 4.1",
            LoginError::Malformed(Malformed(reason)) => reason,
        }))
    }

    /// The proof of the password: that of the login, or of the plugin that the client is asked
    /// to use.
    async fn proof(
        &mut self,
        reader: &mut PacketReader,
        login: &Login,
        proof: Bytes,
        salt: &[u8],
    ) -> Result<Proof, NotLetIn> {
        let named = login.plugin.as_deref();
        let (plugin, proof_bytes) = match named {
            Some(plugin) if plugin == SHA2.as_bytes() => (SHA2, Proof::SHA2_BYTES),
            _ => (NATIVE, SCRAMBLE_BYTES),
        };
        // The proof of another plugin is none. An empty one is that of an empty password.
        let known = named.is_none_or(|named| named == plugin.as_bytes());
        if known && (proof.len() == proof_bytes || plugin == NATIVE) {
            return Ok(Proof::of(plugin == SHA2, proof));
        }
        let mut switch = BytesMut::new();
        switch.put_u8(SWITCH);
        for part in [plugin.as_bytes(), &[0], salt, &[0]] {
            switch.put_slice(part);
        }
        self.send(reader.last_seq().wrapping_add(1), &switch)
            .await?;
        let proof = reader.read(self.stream).await?;
        Ok(Proof::of(plugin == SHA2, proof))
    }

    /// Checks a proof, after the delay for its address.
    async fn admits(
        &self,
        admin: &Admin,
        user: &[u8],
        salt: &[u8],
        proof: &Proof,
    ) -> Result<(), &'static str> {
        let wrong_logins = &admin.wrong_logins;
        let turn = wrong_logins.turn(self.source, self.latest);
        sleep_until(turn.ok_or("too many wrong logins from its address")?).await;
        if !admin.login.admits(user, salt, proof) {
            wrong_logins.note_wrong(self.source);
            return Err("wrong user or password");
        }
        wrong_logins.note_right(self.source);
        Ok(())
    }
}

/// Protocol::HandshakeV10
fn greeting(id: u32, salt: &[u8; SCRAMBLE_BYTES]) -> BytesMut {
    let (head, tail) = salt.split_at(8);
    let [a, b, c, d, ..] = OFFERED.0.to_le_bytes();
    let mut payload = BytesMut::new();
    payload.put_u8(10);
    payload.put_slice(VERSION.as_bytes());
    payload.put_u8(0);
    payload.put_u32_le(id);
    payload.put_slice(head);
    payload.put_u8(0);
    payload.put_slice(&[a, b]);
    payload.put_u8(UTF8MB4);
    payload.put_u16_le(StatusFlags::SERVER_STATUS_AUTOCOMMIT.bits());
    payload.put_slice(&[c, d]);
    payload.put_u8(SCRAMBLE_BYTES as u8 + 1);
    payload.put_slice(&[0; 10]);
    payload.put_slice(tail);
    payload.put_u8(0);
    payload.put_slice(NATIVE.as_bytes());
    payload.put_u8(0);
    payload
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::wire::Greeting;

    #[test]
    fn the_greeting_is_one_that_the_relay_reads() {
        let salt = *b"abcdefghijklmnopqrst";
        let mut payload = greeting(9, &salt).to_vec();
        let greeting = Greeting::restrict(&mut payload, Capabilities::RELAYED).unwrap();
        assert_eq!(greeting.connection_id, 9);
        assert_eq!(greeting.server_version, VERSION);
        assert_eq!(greeting.capabilities, OFFERED);
        assert_eq!(&greeting.nonce[..], salt);
        assert_eq!(&greeting.plugin[..], NATIVE.as_bytes());
        assert!(!greeting.tls);
    }
}
