//! Address of the store, and connection options for it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use mysql_async::OptsBuilder;
use thiserror::Error;

/// Address of the store: `mysql://HOST:PORT` or `unix:/path.sock`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreAddress {
    /// A host name or address, and a port.
    Tcp {
        /// Host name or address, without brackets.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// Path of a Unix socket.
    Unix(PathBuf),
}

impl StoreAddress {
    /// Whether the store's host is this machine.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp { host, .. } => {
                host == "localhost"
                    || host
                        .parse::<std::net::IpAddr>()
                        .is_ok_and(|address| address.is_loopback())
            }
        }
    }

    /// Connection options for `user`, without a default database.
    pub fn opts(&self, user: &str, password: Option<&str>) -> OptsBuilder {
        let builder = OptsBuilder::default()
            .user(Some(user))
            .pass(password)
            .prefer_socket(false)
            .tcp_nodelay(true);
        match self {
            Self::Tcp { host, port } => builder.ip_or_hostname(host.as_str()).tcp_port(*port),
            Self::Unix(path) => builder.socket(Some(path.to_string_lossy())),
        }
    }
}

impl fmt::Display for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "mysql://[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "mysql://{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The text is neither `mysql://HOST[:PORT]` nor `unix:/PATH`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{0}' is not a store's address: mysql://HOST:PORT or unix:/PATH is expected")]
pub struct AddressError(String);

impl FromStr for StoreAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        const PORT_DEFAULT: u16 = 3306;
        let wrong = || AddressError(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            let absolute = path.starts_with('/') && path.len() > 1;
            return absolute.then(|| Self::Unix(path.into())).ok_or_else(wrong);
        }
        let rest = text.strip_prefix("mysql://").ok_or_else(wrong)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']').ok_or_else(wrong)?;
                (host, after.strip_prefix(':'))
            }
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        let odd = |c: char| c.is_whitespace() || matches!(c, '@' | '/' | '?' | '#');
        if host.is_empty() || host.contains(odd) {
            return Err(wrong());
        }
        let port = port
            .map_or(Ok(PORT_DEFAULT), str::parse)
            .map_err(|_| wrong())?;
        Ok(Self::Tcp {
            host: host.to_owned(),
            port,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses_are_read_and_written_back() {
        for (text, back) in [
            ("mysql://db.example:3307", "mysql://db.example:3307"),
            ("mysql://db", "mysql://db:3306"),
            ("mysql://[::1]:3306/", "mysql://[::1]:3306"),
            ("unix:/run/m.sock", "unix:/run/m.sock"),
            ("unix:///run/m.sock", "unix:/run/m.sock"),
        ] {
            assert_eq!(text.parse::<StoreAddress>().unwrap().to_string(), back);
        }
        for bad in [
            "db:3306",
            "mysql://",
            "mysql://u:p@h:1",
            "mysql://h:x",
            "unix:",
            "unix:a",
        ] {
            assert!(bad.parse::<StoreAddress>().is_err(), "{bad}");
        }
    }
}
