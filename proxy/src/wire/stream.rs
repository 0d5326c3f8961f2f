//! One leg of a session: a connected byte stream to a client or to the store.

use futures_util::FutureExt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

/// Idle time before TCP keep-alive probes start, so that legs to vanished hosts are detected.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// Time between keep-alive probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// A connected leg.
#[derive(Debug)]
pub enum Stream {
    /// TCP, with NODELAY and keep-alive.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
    /// TLS over one of the others.
    Tls(Box<TlsStream<Stream>>),
    /// Remains after a failed TLS handshake: every use returns `NotConnected`.
    Broken,
}

impl Stream {
    /// Wraps a TCP connection and sets its options.
    ///
    /// # Errors
    /// The kernel's error if the connection is already closed.
    pub fn tcp(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let keepalive = socket2::TcpKeepalive::new()
            .with_time(KEEPALIVE_IDLE)
            .with_interval(KEEPALIVE_INTERVAL);
        socket2::SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
        Ok(Self::Tcp(stream))
    }

    /// The peer's address for log lines.
    #[must_use]
    pub fn peer(&self) -> String {
        match self {
            Self::Tcp(stream) => stream
                .peer_addr()
                .map_or_else(|_| "unknown".to_owned(), |address| address.to_string()),
            Self::Unix(_) => "unix socket".to_owned(),
            Self::Tls(stream) => stream.get_ref().0.peer(),
            Self::Broken => "unknown".to_owned(),
        }
    }

    /// Whether the peer has closed the connection or its write side, even if unread data remains.
    /// Based on readiness already reported by the kernel; makes no system call.
    #[must_use]
    pub fn peer_has_ended(&self) -> bool {
        let told = match self {
            Self::Tcp(stream) => stream.ready(Interest::READABLE).now_or_never(),
            Self::Unix(stream) => stream.ready(Interest::READABLE).now_or_never(),
            Self::Tls(stream) => return stream.get_ref().0.peer_has_ended(),
            Self::Broken => return true,
        };
        told.is_some_and(|told| told.map_or(true, Ready::is_read_closed))
    }

    /// Whether the leg is encrypted.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Whether a server accepts a cleartext password here: the leg cannot be overheard.
    #[must_use]
    pub fn is_private(&self) -> bool {
        matches!(self, Self::Tls(_) | Self::Unix(_))
    }

    /// Switches to TLS as the server. None of the TLS handshake may have been read yet.
    ///
    /// # Errors
    /// Protocol errors of the client, or no common parameters. The leg is then
    /// [`Broken`](Self::Broken).
    pub async fn accept_tls(&mut self, acceptor: &TlsAcceptor) -> io::Result<()> {
        let plain = std::mem::replace(self, Self::Broken);
        let stream = acceptor.accept(plain).await?;
        *self = Self::Tls(Box::new(stream.into()));
        Ok(())
    }

    /// Switches to TLS as the client of a server called `name`.
    ///
    /// # Errors
    /// The server's certificate is rejected, or the handshake fails. The leg is then
    /// [`Broken`](Self::Broken).
    pub async fn connect_tls(
        &mut self,
        connector: &TlsConnector,
        name: ServerName<'static>,
    ) -> io::Result<()> {
        let plain = std::mem::replace(self, Self::Broken);
        let stream = connector.connect(name, plain).await?;
        *self = Self::Tls(Box::new(stream.into()));
        Ok(())
    }
}

fn broken<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
}

impl AsyncRead for Stream {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(context, buffer),
            Self::Broken => broken(),
        }
    }
}

impl AsyncWrite for Stream {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write(context, bytes),
            Self::Broken => broken(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, buffers),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(context, buffers),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(context, buffers),
            Self::Broken => broken(),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            // Sockets do not buffer.
            Self::Tcp(_) | Self::Unix(_) => Poll::Ready(Ok(())),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(context),
            Self::Broken => broken(),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
            Self::Broken => broken(),
        }
    }
}
