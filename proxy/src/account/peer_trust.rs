//! Checks whether a store on a Unix socket accepts the proxy's own system user without a password.
//!
//! The plugin `unix_socket` (`auth_socket`) authenticates the system user of the process at the
//! other end of the socket. Behind a proxy that process is always the proxy, so such an account
//! would be open to every client.

use std::time::Duration;

use mysql_async::{Conn, Error, OptsBuilder};

use super::StoreAddress;
use super::busy::{connect_when_free, is_queue_full_for_account};

/// Timeout for the store's answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// Error codes with which a store rejects a login. Other errors at login (too many connections, an
/// expired password, an exhausted quota) do not concern the account, or come after authentication
/// succeeded.
const REFUSALS: [u16; 7] = [
    1045, // ER_ACCESS_DENIED_ERROR
    1130, // ER_HOST_NOT_PRIVILEGED
    1251, // ER_NOT_SUPPORTED_AUTH_MODE
    1524, // ER_PLUGIN_IS_NOT_LOADED
    1698, // ER_ACCESS_DENIED_NO_PASSWORD_ERROR
    3118, // ER_ACCOUNT_HAS_BEEN_LOCKED of MySQL
    4151, // ER_ACCOUNT_HAS_BEEN_LOCKED of MariaDB
];

/// Whether the store accepts a login of this process without a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerTrust {
    /// It does, for the account with this name, the name of the process's system user.
    Trusted(String),
    /// It does not: it rejected the login, or it is not on a Unix socket and cannot identify the
    /// system user.
    Refused,
    /// Unknown, for this reason.
    Unknown(String),
}

/// Tests whether the store accepts the process's system user without its password.
pub async fn peer_trust(store: &StoreAddress) -> PeerTrust {
    if !matches!(store, StoreAddress::Unix(_)) {
        return PeerTrust::Refused;
    }
    match system_user() {
        Ok(user) => peer_trust_of(store, user).await,
        Err(reason) => PeerTrust::Unknown(reason),
    }
}

async fn peer_trust_of(store: &StoreAddress, user: String) -> PeerTrust {
    // A wrong password: only an account that ignores passwords accepts it.
    let wrong = format!("not a password: {:?}", std::time::SystemTime::now());
    let opts: OptsBuilder = store.opts(&user, Some(&wrong));
    // A separate task: the client library panics if the store requests a plugin that it was built
    // without.
    let login = tokio::spawn(connect_when_free(
        ANSWER_TIME_MAX,
        is_queue_full_for_account,
        move || Conn::new(opts.clone()),
    ));
    let conn = match tokio::time::timeout(ANSWER_TIME_MAX, login).await {
        Ok(Ok(Ok(conn))) => conn,
        Ok(Ok(Err(Error::Server(error)))) if REFUSALS.contains(&error.code) => {
            return PeerTrust::Refused;
        }
        Ok(Ok(Err(error))) => return PeerTrust::Unknown(error.to_string()),
        Ok(Err(_)) => {
            let plugin =
                "its account asks for an authentication plugin that the proxy does not have";
            return PeerTrust::Unknown(plugin.to_owned());
        }
        Err(_) => {
            let seconds = ANSWER_TIME_MAX.as_secs();
            return PeerTrust::Unknown(format!("no answer in {seconds} s"));
        }
    };
    if let Err(error) = conn.disconnect().await {
        tracing::debug!(%error, "closing the probe of the store's trust");
    }
    PeerTrust::Trusted(user)
}

/// Name of the effective user in `/etc/passwd`, or why it is unknown.
fn system_user() -> Result<String, String> {
    let uid = rustix::process::geteuid().as_raw().to_string();
    let passwd = std::fs::read_to_string("/etc/passwd")
        .map_err(|error| format!("/etc/passwd cannot be read: {error}"))?;
    user_name(&passwd, &uid).ok_or_else(|| format!("system user {uid} has no name in /etc/passwd"))
}

fn user_name(passwd: &str, uid: &str) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, id) = (fields.next()?, fields.next()?, fields.next()?);
        (id == uid).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::wire::{ErrPacket, PacketWriter};
    use tokio::net::UnixListener;

    /// Result of the check for a store whose first packet is this error.
    async fn greeted_by(error: ErrPacket) -> PeerTrust {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let greeting = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut writer = PacketWriter::new(0);
            writer.write(&error.encode());
            writer.flush(&mut stream).await.unwrap();
        });
        let trust = peer_trust_of(&StoreAddress::Unix(path), "somebody".to_owned()).await;
        greeting.await.unwrap();
        trust
    }

    #[tokio::test]
    async fn only_a_login_turned_away_is_a_refusal() {
        let denied = ErrPacket::new(1045, b"28000", "Access denied");
        assert_eq!(greeted_by(denied).await, PeerTrust::Refused);
        let full = ErrPacket::new(1040, b"08004", "Too many connections");
        assert!(matches!(greeted_by(full).await, PeerTrust::Unknown(_)));
    }

    #[tokio::test]
    async fn a_store_that_cannot_be_asked_is_not_taken_for_safe() {
        let directory = tempfile::tempdir().unwrap();
        let nowhere = StoreAddress::Unix(directory.path().join("none.sock"));
        let trust = peer_trust_of(&nowhere, "somebody".to_owned()).await;
        assert!(matches!(trust, PeerTrust::Unknown(_)), "{trust:?}");
    }

    #[test]
    fn a_user_without_a_name_is_not_found() {
        let passwd = "root:x:0:0::/root:/bin/sh\nodd\nme:x:1000:1000::/:/bin/sh\n";
        assert_eq!(user_name(passwd, "1000").as_deref(), Some("me"));
        assert_eq!(user_name(passwd, "100"), None);
    }
}
