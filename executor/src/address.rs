//! Addresses of workers and external servers: `HOST:PORT`. A name may stand for several, which
//! come and go.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Where one server or several are reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    /// A name in lower case, or an IP address.
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// A text that is no address.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoAddress;

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.parse::<IpAddr>() {
            Ok(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            _ => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl FromStr for Address {
    type Err = NoAddress;

    fn from_str(given: &str) -> Result<Self, NoAddress> {
        one(given).ok_or(NoAddress)
    }
}

fn one(given: &str) -> Option<Address> {
    let (host, port) = given.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let host = match host.strip_prefix('[') {
        Some(host) => {
            let host = host.strip_suffix(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            host
        }
        None => host,
    };
    let is_name = |host: &str| {
        let may_be = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        !host.is_empty() && host.bytes().all(may_be)
    };
    let known = is_name(host) || host.parse::<IpAddr>().is_ok();
    known.then(|| Address {
        host: host.to_ascii_lowercase(),
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_with_ports_are_addresses() {
        for given in [
            "127.0.0.1:8001",
            "[::1]:8001",
            "workers.ml.svc:9",
            "gpu-1:1",
        ] {
            assert_eq!(one(given).unwrap().to_string(), given);
        }
        for given in [
            "",
            ":1",
            "host",
            "host:",
            "host:0",
            "host:70000",
            "http://h:1",
            "a b:1",
            "[x]:1",
        ] {
            assert_eq!(one(given), None, "{given}");
        }
    }
}
