//! Opens the store leg of a session.

use crate::account::{StoreAddress, connect_when_free, is_queue_full};
use crate::wire::Stream;
use std::io;
use std::time::Duration;
use tokio::net::{TcpStream, UnixStream};

/// Connects to the store.
///
/// # Errors
/// Errors of the kernel or the resolver; `TimedOut` after `timeout`.
pub async fn connect(store: &StoreAddress, timeout: Duration) -> io::Result<Stream> {
    let connecting = connect_when_free(timeout, is_queue_full, || connect_once(store));
    tokio::time::timeout(timeout, connecting)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn connect_once(store: &StoreAddress) -> io::Result<Stream> {
    match store {
        StoreAddress::Tcp { host, port } => {
            Stream::tcp(TcpStream::connect((host.as_str(), *port)).await?)
        }
        StoreAddress::Unix(path) => Ok(Stream::Unix(UnixStream::connect(path).await?)),
    }
}
