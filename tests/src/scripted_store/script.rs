//! What a scripted store is told to be, and what it records of logins.

use crate::authority::Pair;

/// A way to prove a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plugin {
    /// The default of MySQL 8.
    CachingSha2,
    /// Its predecessor without a cache.
    Sha256,
    /// The default before.
    Native,
}

impl Plugin {
    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::CachingSha2 => "caching_sha2_password",
            Self::Sha256 => "sha256_password",
            Self::Native => "mysql_native_password",
        }
    }
}

/// How a password was proved, or was to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// No password was given.
    Empty,
    /// `mysql_native_password`.
    Native,
    /// `caching_sha2_password` by the cache: the password itself was not needed.
    Fast,
    /// The password in clear, over a secure connection.
    Clear,
    /// The password under the store's RSA key.
    Rsa,
    /// The account wants TLS and the connection has none.
    TlsRequired,
}

/// An account of the store. Its host part is any.
#[derive(Debug, Clone)]
pub struct Account {
    /// User name.
    pub user: String,
    /// Its password; empty for none.
    pub password: String,
    /// How it proves it.
    pub plugin: Plugin,
    /// Whether its logins must be over TLS (`REQUIRE SSL`).
    pub requires_tls: bool,
}

impl Account {
    /// An account that may log in over any connection.
    pub fn new(user: &str, password: &str, plugin: Plugin) -> Self {
        Self {
            user: user.to_owned(),
            password: password.to_owned(),
            plugin,
            requires_tls: false,
        }
    }

    /// The same, with `REQUIRE SSL`.
    #[must_use]
    pub fn require_tls(mut self) -> Self {
        self.requires_tls = true;
        self
    }
}

/// What the store is like.
#[derive(Debug, Clone)]
pub struct Script {
    /// Whom it knows.
    pub accounts: Vec<Account>,
    /// The plugin of the greeting (`authentication_policy`);
    /// accounts of another are asked to switch.
    pub default_plugin: Plugin,
    /// Whether it offers TLS.
    pub tls: Option<Pair>,
    /// Whether it has an RSA key pair: without one, plain legs have no full authentication.
    pub rsa: bool,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            accounts: Vec::new(),
            default_plugin: Plugin::CachingSha2,
            tls: None,
            rsa: true,
        }
    }
}

/// How an attempt to log in went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The user name that was given.
    pub user: String,
    /// How the password came.
    pub way: Way,
    /// Whether it came over TLS.
    pub tls: bool,
    /// Whether it was let in.
    pub granted: bool,
}
