//! How sessions are logged in: who, with what, asking for what.

use std::sync::Arc;

use predictsql_proxy::wire::{Capabilities, command, lenenc};
use tokio_rustls::rustls::ClientConfig;

use super::auth;

/// How to log in.
#[derive(Debug, Clone)]
pub struct Login<'a> {
    /// User name.
    pub user: &'a str,
    /// Password, for mysql_native_password; 32 bytes for client_ed25519.
    pub password: &'a str,
    /// Initial database.
    pub database: Option<&'a str>,
    /// What the client asks for.
    pub capabilities: Capabilities,
    /// Collation id of the session.
    pub charset: u8,
    /// Plugin that the client names, if it has PLUGIN_AUTH.
    pub plugin: &'a str,
    /// Connection attributes, if it has CONNECT_ATTRS.
    pub attributes: &'a [(&'a str, &'a str)],
    /// For a session in TLS.
    pub tls: Option<Arc<ClientConfig>>,
}

/// CLIENT_LONG_FLAG, CLIENT_TRANSACTIONS and CLIENT_PS_MULTI_RESULTS,
/// which nothing here depends on.
const CUSTOMARY: Capabilities = Capabilities(0x4 | 0x2000 | 0x4_0000);
/// CLIENT_CONNECT_ATTRS.
const CONNECT_ATTRIBUTES: Capabilities = Capabilities(0x10_0000);
/// utf8mb4_general_ci.
const CHARSET: u8 = 45;

impl Default for Login<'_> {
    fn default() -> Self {
        let capabilities = [
            Capabilities::LONG_PASSWORD,
            Capabilities::PROTOCOL_41,
            Capabilities::SECURE_CONNECTION,
            Capabilities::PLUGIN_AUTH,
            Capabilities::MULTI_STATEMENTS,
            Capabilities::MULTI_RESULTS,
            Capabilities::LOCAL_FILES,
        ];
        Self {
            user: "root",
            password: "",
            database: None,
            capabilities: capabilities.into_iter().fold(CUSTOMARY, Capabilities::or),
            charset: CHARSET,
            plugin: auth::NATIVE,
            attributes: &[],
            tls: None,
        }
    }
}

/// The 20 random bytes of a greeting: 8 after the connection id, 12 after the capabilities.
pub fn nonce(greeting: &[u8]) -> Vec<u8> {
    let version_end = greeting.iter().position(|&byte| byte == 0).unwrap();
    let first = version_end + 1 + 4;
    let second = first + 8 + 1 + 2 + 1 + 2 + 2 + 1 + 10;
    [&greeting[first..first + 8], &greeting[second..second + 12]].concat()
}

/// Where a request for TLS ends: it is a login's start.
pub const TLS_REQUEST_BYTES: usize = 32;

/// What follows the greeting.
pub fn login_payload(login: &Login<'_>, asked: Capabilities, nonce: &[u8]) -> Vec<u8> {
    let [a, b, c, d, e, f, g, h] = asked.0.to_le_bytes();
    let mut payload = vec![a, b, c, d];
    payload.extend((64_u32 << 20).to_le_bytes());
    payload.push(login.charset);
    payload.extend([0; 19]);
    payload.extend([e, f, g, h]);
    payload.extend(login.user.as_bytes());
    payload.push(0);
    push_proof(&mut payload, login, nonce);
    if let Some(database) = login.database {
        payload.extend(database.as_bytes());
        payload.push(0);
    }
    push_plugin_and_attributes(&mut payload, login, asked);
    payload
}

/// COM_CHANGE_USER.
pub fn change_user_payload(login: &Login<'_>, has: Capabilities, nonce: &[u8]) -> Vec<u8> {
    let mut payload = [&[command::CHANGE_USER], login.user.as_bytes(), b"\0"].concat();
    push_proof(&mut payload, login, nonce);
    payload.extend(login.database.unwrap_or_default().as_bytes());
    payload.extend([0, login.charset, 0]);
    push_plugin_and_attributes(&mut payload, login, has);
    payload
}

/// One byte for its length is what both ways of telling it have in common.
fn push_proof(payload: &mut Vec<u8>, login: &Login<'_>, nonce: &[u8]) {
    let proof = auth::proof(login.plugin.as_bytes(), login.password, nonce);
    payload.push(u8::try_from(proof.len()).unwrap());
    payload.extend(proof);
}

fn push_plugin_and_attributes(payload: &mut Vec<u8>, login: &Login<'_>, has: Capabilities) {
    if has.has(Capabilities::PLUGIN_AUTH) {
        payload.extend(login.plugin.as_bytes());
        payload.push(0);
    }
    if has.has(CONNECT_ATTRIBUTES) {
        let mut attributes = Vec::new();
        for (name, value) in login.attributes {
            for text in [name, value] {
                lenenc::put_str(&mut attributes, text.as_bytes());
            }
        }
        lenenc::put_str(payload, &attributes);
    }
}
