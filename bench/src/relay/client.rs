//! A client that costs next to nothing: it logs in, sends text queries, and counts rows.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use predictsql_proxy::wire::{
    Capabilities, FrameWalker, HEADER_BYTES, Malformed, PacketHead, command, lenenc, packet_header,
};

/// The account that the private store is started with. It has no password.
pub const USER: &str = "bench";
/// The database that sysbench fills.
pub const DATABASE: &str = "bench";

/// Longest wait for a byte, so that a contender that hangs ends the benchmark.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// One read: large enough that the client is never what a scan waits for.
const READ_BYTES: usize = 256 * 1024;
/// Longest packet of a login.
const LOGIN_PACKET_BYTES_MAX: usize = 4 * 1024;
/// Longest packet that the client offers to take, bytes.
const PACKET_OFFER_BYTES: u32 = 64 << 20;
/// utf8mb4_general_ci.
const CHARSET: u8 = 45;

/// A logged-in session.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    /// Connects and logs in.
    ///
    /// # Errors
    /// The connection fails, or the login is refused.
    pub fn login(address: SocketAddr, database: Option<&str>) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(READ_TIMEOUT))?;
        let mut client = Self {
            stream,
            buffer: Vec::new(),
        };
        if client.packet()?.first() == Some(&0xff) {
            return Err(io::Error::other("the server refuses the connection"));
        }
        let login = login_packet(database);
        client.stream.write_all(&login)?;
        match client.packet()?.first() {
            Some(0x00) => Ok(client),
            first => Err(io::Error::other(format!(
                "the login was answered with {first:02x?}"
            ))),
        }
    }

    /// Runs a statement and reads its only result.
    ///
    /// # Errors
    /// The connection fails, or the statement is refused.
    pub fn query(&mut self, statement: &str) -> io::Result<u64> {
        self.stream.write_all(&query_packet(statement))?;
        if self.buffer.len() < READ_BYTES {
            self.buffer.resize(READ_BYTES, 0);
        }
        let (mut walker, mut answer) = (FrameWalker::default(), Answer::Start);
        loop {
            let read = self.stream.read(&mut self.buffer)?;
            let bytes = self.buffer.get(..read).unwrap_or_default();
            if bytes.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            walker.walk(bytes, |packet| answer.packet(packet))?;
            if let Answer::Done { rows } = answer {
                return Ok(rows);
            }
        }
    }

    /// Sends a statement and leaves its answer to whoever reads from the connection,
    /// if anybody does.
    ///
    /// # Errors
    /// The connection fails.
    pub fn send(mut self, statement: &str) -> io::Result<TcpStream> {
        self.stream.write_all(&query_packet(statement))?;
        Ok(self.stream)
    }

    /// Gives the memory of answers back, for a client that is to idle.
    pub fn rest(&mut self) {
        self.buffer = Vec::new();
    }

    /// One packet of a login, where no other follows unasked.
    fn packet(&mut self) -> io::Result<Vec<u8>> {
        let mut header = [0; HEADER_BYTES];
        self.stream.read_exact(&mut header)?;
        let [a, b, c, _seq] = header;
        let length = u32::from_le_bytes([a, b, c, 0]) as usize;
        if length > LOGIN_PACKET_BYTES_MAX {
            return Err(Malformed("a packet of a login is too long").into());
        }
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload)?;
        Ok(payload)
    }
}

fn query_packet(statement: &str) -> Vec<u8> {
    let mut packet = packet_header(statement.len() + 1, 0).to_vec();
    packet.push(command::QUERY);
    packet.extend_from_slice(statement.as_bytes());
    packet
}

/// Where the answer to a query stands. EOF after columns is deprecated in these sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Start,
    Columns { left: u64 },
    Rows { rows: u64 },
    Done { rows: u64 },
}

impl Answer {
    fn packet(&mut self, packet: PacketHead<'_>) -> io::Result<()> {
        let first = packet.head.first().copied().unwrap_or_default();
        let ends = first == 0xfe && !packet.continuation;
        *self = match *self {
            _ if first == 0xff && !packet.continuation => {
                let text = String::from_utf8_lossy(packet.head.get(3..).unwrap_or_default());
                return Err(io::Error::other(format!("refused: {text}...")));
            }
            Self::Start if first == 0x00 => Self::Done { rows: 0 },
            Self::Start => Self::Columns {
                left: lenenc::get_int(&mut &packet.head[..])?,
            },
            Self::Columns { left } if left > 1 => Self::Columns { left: left - 1 },
            Self::Columns { .. } => Self::Rows { rows: 0 },
            Self::Rows { rows } if ends => Self::Done { rows },
            Self::Rows { rows } => Self::Rows { rows: rows + 1 },
            Self::Done { .. } => return Err(Malformed("a packet after the answer").into()),
        };
        Ok(())
    }
}

fn login_packet(database: Option<&str>) -> Vec<u8> {
    let mut capabilities = Capabilities::LONG_PASSWORD.0
        | Capabilities::PROTOCOL_41.0
        | Capabilities::SECURE_CONNECTION.0
        | Capabilities::PLUGIN_AUTH.0
        | Capabilities::DEPRECATE_EOF.0;
    if database.is_some() {
        capabilities |= Capabilities::CONNECT_WITH_DB.0;
    }
    // None of MariaDB's extended ones: the low half is all there is.
    let mut payload = (capabilities as u32).to_le_bytes().to_vec();
    payload.extend_from_slice(&PACKET_OFFER_BYTES.to_le_bytes());
    payload.push(CHARSET);
    payload.extend_from_slice(&[0; 23]);
    payload.extend_from_slice(USER.as_bytes());
    // The end of the name, and an empty proof.
    payload.extend_from_slice(&[0, 0]);
    if let Some(database) = database {
        payload.extend_from_slice(database.as_bytes());
        payload.push(0);
    }
    payload.extend_from_slice(b"mysql_native_password\0");
    let mut packet = packet_header(payload.len(), 1).to_vec();
    packet.extend_from_slice(&payload);
    packet
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use predictsql_proxy::wire::PacketWriter;

    fn follow(payloads: &[&[u8]]) -> io::Result<Answer> {
        let mut writer = PacketWriter::new(1);
        for payload in payloads {
            writer.write(payload);
        }
        let mut answer = Answer::Start;
        FrameWalker::default().walk(&writer.into_bytes(), |packet| answer.packet(packet))?;
        Ok(answer)
    }

    #[test]
    fn rows_are_counted_up_to_the_end_of_the_result() {
        let two_rows = follow(&[b"\x02", b"\x03def", b"\x03def", b"\x011", b"\xfb"]).unwrap();
        assert_eq!(two_rows, Answer::Rows { rows: 2 });
        let done = follow(&[b"\x01", b"\x03def", b"\x011", b"\xfe\0\0\x02\0\0\0"]).unwrap();
        assert_eq!(done, Answer::Done { rows: 1 });
        assert_eq!(
            follow(&[b"\0\0\0\x02\0\0\0"]).unwrap(),
            Answer::Done { rows: 0 }
        );
    }

    #[test]
    fn an_error_is_told() {
        let refused = follow(&[b"\xff\x7a\x04#42S02Table"]).unwrap_err();
        assert!(refused.to_string().contains("Table"), "{refused}");
    }
}
