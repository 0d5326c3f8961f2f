//! Non-blocking transfer of bytes between a leg and memory.

use crate::wire::Stream;
use bytes::{Buf, BytesMut};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Reads the available bytes.
#[inline]
pub fn poll_read(
    stream: &mut Stream,
    scratch: &mut [u8],
    context: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut buffer = ReadBuf::new(scratch);
    ready!(Pin::new(stream).poll_read(context, &mut buffer))?;
    Poll::Ready(Ok(buffer.filled().len()))
}

/// Writes the bytes buffered here and in TLS, and frees the buffer.
#[inline]
pub fn poll_drain(
    stream: &mut Stream,
    waiting: &mut BytesMut,
    context: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    if waiting.is_empty() {
        return Pin::new(stream).poll_flush(context);
    }
    while !waiting.is_empty() {
        let written = ready!(Pin::new(&mut *stream).poll_write(context, waiting))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        waiting.advance(written);
    }
    *waiting = BytesMut::new();
    Pin::new(stream).poll_flush(context)
}

/// Writes as much as the stream takes now; only the rest is copied.
#[inline]
pub fn forward(
    stream: &mut Stream,
    waiting: &mut BytesMut,
    mut bytes: &[u8],
    context: &mut Context<'_>,
) -> io::Result<()> {
    while !bytes.is_empty() {
        match Pin::new(&mut *stream).poll_write(context, bytes) {
            Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(Ok(written)) => bytes = bytes.get(written..).unwrap_or_default(),
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Pending => {
                waiting.extend_from_slice(bytes);
                return Ok(());
            }
        }
    }
    Ok(())
}
