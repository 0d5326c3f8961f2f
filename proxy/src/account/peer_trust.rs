//! Whether a store on a Unix socket lets the proxy's own system user in without a password.
//!
//! Accounts of the plugin `unix_socket` (`auth_socket`) are opened to whoever owns the socket's other
//! end. Behind a proxy that is always the proxy, so such an account would be open to every client.

use std::time::Duration;

use mysql_async::{Conn, OptsBuilder};

use super::StoreAddress;

/// Longest wait for the store's answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// The account that the store opens to this process without its password, if there is one under
/// the name of the process's system user. A store that does not answer is not asked again.
pub async fn trusted_user(store: &StoreAddress) -> Option<String> {
    if !matches!(store, StoreAddress::Unix(_)) {
        return None;
    }
    let user = system_user()?;
    // Nobody's password: only an account that looks at none accepts it.
    let wrong = format!("not a password: {:?}", std::time::SystemTime::now());
    let opts: OptsBuilder = store.opts(&user, Some(&wrong));
    let login = tokio::time::timeout(ANSWER_TIME_MAX, Conn::new(opts)).await;
    let conn = login.ok()?.ok()?;
    if let Err(error) = conn.disconnect().await {
        tracing::debug!(%error, "closing the probe of the store's trust");
    }
    Some(user)
}

/// The name of the effective user in `/etc/passwd`.
fn system_user() -> Option<String> {
    let uid = rustix::process::geteuid().as_raw().to_string();
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, id) = (fields.next()?, fields.next()?, fields.next()?);
        (id == uid).then(|| name.to_owned())
    })
}
