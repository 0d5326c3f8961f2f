//! Listen addresses of the endpoints for operators.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

/// Listen address of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Endpoint {
    /// Disabled.
    Off,
    /// This address; it is an error if it is in use.
    At(SocketAddr),
    /// This address if it is free: a default that must not prevent the start of a second proxy.
    IfFree(SocketAddr),
}

impl Endpoint {
    /// Binds the address, if there is one.
    ///
    /// # Errors
    /// The address that cannot be listened on, and the system's error.
    pub(crate) fn bind(
        self,
        name: &str,
    ) -> Result<Option<std::net::TcpListener>, (SocketAddr, std::io::Error)> {
        let (Self::At(listen) | Self::IfFree(listen)) = self else {
            return Ok(None);
        };
        let bound = std::net::TcpListener::bind(listen).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok((listener.local_addr()?, listener))
        });
        match (bound, self) {
            (Ok((address, listener)), _) => {
                tracing::info!("{name}: listening on {address}");
                Ok(Some(listener))
            }
            (Err(error), Self::IfFree(_)) => {
                tracing::warn!(%error, "{name}: off, since {listen} cannot be listened on");
                Ok(None)
            }
            (Err(error), _) => Err((listen, error)),
        }
    }
}

/// A text that is neither an address nor `off`.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is neither ADDRESS:PORT nor off")]
pub struct EndpointError(String);

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        if text.eq_ignore_ascii_case("off") {
            return Ok(Self::Off);
        }
        let address = text.parse().map(Self::At);
        address.map_err(|_| EndpointError(text.to_owned()))
    }
}

impl TryFrom<String> for Endpoint {
    type Error = EndpointError;

    fn try_from(text: String) -> Result<Self, EndpointError> {
        text.parse()
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        endpoint.to_string()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => formatter.write_str("off"),
            Self::At(address) | Self::IfFree(address) => address.fmt(formatter),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_shown_reads_back() {
        for text in ["off", "127.0.0.1:9307", "[::1]:0"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        assert_eq!("OFF".parse::<Endpoint>().unwrap(), Endpoint::Off);
        for text in ["", "9307", "localhost:9307", "on"] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }
}
