//! Limit of the bytes that a session may send, since received data is held in memory.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::sync::CancellationToken;

/// Maximum total bytes from one session: statements are short.
const SESSION_BYTES_MAX: usize = 4 << 20;
/// Maximum bytes from a client before it has logged in.
const LOGIN_BYTES_MAX: usize = 64 << 10;

/// Reads the client's bytes up to a limit; then reports the end of the stream.
pub struct Capped<R> {
    reader: R,
    read_bytes: usize,
    /// Cancelled when the client has logged in.
    let_in: CancellationToken,
}

impl<R> Capped<R> {
    /// Limits `reader`.
    pub fn new(reader: R, let_in: CancellationToken) -> Self {
        Self {
            reader,
            read_bytes: 0,
            let_in,
        }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Capped<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let capped = self.get_mut();
        let bytes_max = match capped.let_in.is_cancelled() {
            true => SESSION_BYTES_MAX,
            false => LOGIN_BYTES_MAX,
        };
        let left = bytes_max.saturating_sub(capped.read_bytes);
        if left == 0 {
            return Poll::Ready(Ok(()));
        }
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(left.min(buffer.remaining())));
        ready!(Pin::new(&mut capped.reader).poll_read(context, &mut part))?;
        let read = part.filled().len();
        buffer.advance(read);
        capped.read_bytes += read;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn strangers_may_send_less() {
        let let_in = CancellationToken::new();
        let mut capped = Capped::new(tokio::io::repeat(7), let_in.clone());
        let mut read = Vec::new();
        capped.read_to_end(&mut read).await.unwrap();
        assert_eq!(read.len(), LOGIN_BYTES_MAX);
        let_in.cancel();
        capped.read_to_end(&mut read).await.unwrap();
        assert_eq!(read.len(), SESSION_BYTES_MAX);
    }
}
