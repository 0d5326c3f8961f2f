//! A raw client of the protocol: shows every packet of an answer as it came,
//! for comparison byte for byte.
//!
//! It blocks, and it reads answers by rules of its own,
//! so that the proxy's reading is not its own judge.

mod auth;
mod login;
mod query;
mod transport;

pub use login::Login;
pub use query::Answer;

use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use predictsql_proxy::wire::{
    Capabilities, EofPacket, ErrPacket, Greeting, OkPacket, PACKET_BYTES_MAX, StatusFlags, command,
    lenenc, packet_header,
};

use crate::eventually::DEADLINE;
use login::{TLS_REQUEST_BYTES, change_user_payload, login_payload, nonce};
use transport::Transport;

/// One packet of the wire.
#[derive(Clone, PartialEq, Eq)]
pub struct Packet {
    /// Sequence id.
    pub seq: u8,
    /// What follows the header.
    pub payload: Vec<u8>,
}

/// Short, and readable where it is text.
impl std::fmt::Debug for Packet {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = &self.payload[..self.payload.len().min(200)];
        let (seq, length) = (self.seq, self.payload.len());
        write!(formatter, "#{seq} {length} B \"{}\"", shown.escape_ascii())
    }
}

/// What one read takes at most.
const READ_BYTES: usize = 1 << 16;
/// A local file is sent in packets of this size.
const LOCAL_PACKET_BYTES: usize = 10_000;

/// An error as the client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlError {
    /// Number, such as 1064.
    pub code: u16,
    /// Five characters.
    pub sqlstate: String,
    /// The sentence.
    pub message: String,
}

/// Why there is no session.
#[derive(Debug)]
pub enum LoginError {
    /// The server said no.
    Refused(SqlError),
    /// The connection failed.
    Io(io::Error),
}

impl From<io::Error> for LoginError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A session.
pub struct Wire {
    stream: BufReader<Transport>,
    capabilities: Capabilities,
    connection_id: u32,
    handshake: Vec<Packet>,
    last_seq: u8,
    /// The random bytes that the server sent last.
    nonce: Vec<u8>,
    /// MariaDB's reports of progress, which come when they come: they are no part of an answer,
    /// and its packets are numbered as if there had been none.
    pub progress: Vec<Packet>,
    /// Reports within the answer under way.
    reports: u8,
    /// Whether the answer under way may be a cursor.
    cursor_asked: bool,
    /// What is sent when the server asks for a local file.
    pub local_file: Vec<u8>,
}

impl Wire {
    /// Connects and logs in with the usual capabilities.
    ///
    /// # Errors
    /// See [`LoginError`].
    pub fn login(
        address: SocketAddr,
        user: &str,
        password: &str,
        database: Option<&str>,
    ) -> Result<Self, LoginError> {
        let login = Login {
            user,
            password,
            database,
            ..Login::default()
        };
        Self::login_with(address, &login)
    }

    /// Connects and logs in.
    ///
    /// # Errors
    /// See [`LoginError`].
    pub fn login_with(address: SocketAddr, login: &Login<'_>) -> Result<Self, LoginError> {
        let mut wire = Self::connect(address, login.capabilities)?;
        wire.authenticate(login)?;
        Ok(wire)
    }

    /// Connects and tries to log in: what the server says, whether it lets the client in or not.
    ///
    /// # Errors
    /// The connection fails.
    pub fn handshake_with(address: SocketAddr, login: &Login<'_>) -> io::Result<Vec<Packet>> {
        let mut wire = Self::connect(address, login.capabilities)?;
        match wire.authenticate(login) {
            Ok(()) | Err(LoginError::Refused(_)) => Ok(wire.handshake),
            Err(LoginError::Io(error)) => Err(error),
        }
    }

    fn connect(address: SocketAddr, capabilities: Capabilities) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        Ok(Self {
            stream: BufReader::with_capacity(READ_BYTES, Transport::Plain(stream)),
            capabilities,
            connection_id: 0,
            handshake: Vec::new(),
            last_seq: 0,
            nonce: Vec::new(),
            progress: Vec::new(),
            reports: 0,
            cursor_asked: false,
            local_file: Vec::new(),
        })
    }

    fn authenticate(&mut self, login: &Login<'_>) -> Result<(), LoginError> {
        let mut greeting = self.handshake_packet()?;
        self.nonce = nonce(&greeting);
        let facts =
            Greeting::restrict(&mut greeting, Capabilities(u64::MAX)).map_err(io::Error::from)?;
        self.connection_id = facts.connection_id;
        if login.database.is_some() {
            self.capabilities = self.capabilities.or(Capabilities::CONNECT_WITH_DB);
        }
        if login.tls.is_some() {
            self.capabilities = self.capabilities.or(Capabilities::SSL);
        }
        let asked = self.capabilities;
        self.capabilities = asked.and(facts.capabilities.or(Capabilities::LONG_PASSWORD));
        let payload = login_payload(login, asked, &self.nonce);
        if let Some(config) = &login.tls {
            self.send_after(&payload[..TLS_REQUEST_BYTES])?;
            let tcp = self.socket().try_clone()?;
            let tls = Transport::begin_tls(tcp, config)?;
            self.stream = BufReader::with_capacity(READ_BYTES, tls);
            self.last_seq = self.last_seq.wrapping_add(1);
        }
        self.send_after(&payload)?;
        loop {
            let payload = self.handshake_packet()?;
            match payload.first() {
                Some(&OkPacket::HEADER) => return Ok(()),
                Some(&EofPacket::HEADER) => self.switch_plugin(&payload, login.password)?,
                _ => return Err(LoginError::Io(io::ErrorKind::InvalidData.into())),
            }
        }
    }

    /// Answers the server's request for another plugin's proof of the password.
    fn switch_plugin(&mut self, request: &[u8], password: &str) -> io::Result<()> {
        let mut input = &request[1..];
        let plugin = lenenc::get_nul_str(&mut input).map_err(io::Error::from)?;
        self.nonce = input.to_vec();
        let proof = auth::proof(plugin, password, &self.nonce);
        self.send_after(&proof)
    }

    /// The command that changes the user. Plugin and attributes are part of it as far as the
    /// session has the capabilities for them.
    pub fn change_user_command(&self, login: &Login<'_>) -> Vec<u8> {
        change_user_payload(login, self.capabilities, &self.nonce)
    }

    /// Changes the user, and reads what the server says to it.
    ///
    /// # Errors
    /// The connection ends.
    pub fn change_user(&mut self, login: &Login<'_>) -> io::Result<Vec<Packet>> {
        self.send(&self.change_user_command(login))?;
        let mut answer = Vec::new();
        self.change_user_answer(login.password, &mut answer)?;
        Ok(answer)
    }

    fn change_user_answer(&mut self, password: &str, answer: &mut Vec<Packet>) -> io::Result<()> {
        loop {
            self.next(answer)?;
            if last(answer).first() != Some(&EofPacket::HEADER) {
                return Ok(());
            }
            let request = last(answer).to_vec();
            self.switch_plugin(&request, password)?;
        }
    }

    fn handshake_packet(&mut self) -> Result<Vec<u8>, LoginError> {
        let packet = self.read_packet()?;
        self.handshake.push(packet.clone());
        if ErrPacket::is_err(&packet.payload) {
            return Err(LoginError::Refused(sql_error(&packet.payload)));
        }
        Ok(packet.payload)
    }

    /// The packets of the server's side of the handshake.
    pub fn handshake(&self) -> &[Packet] {
        &self.handshake
    }

    /// The server's id of the session.
    pub fn connection_id(&self) -> u32 {
        self.connection_id
    }

    /// What was negotiated.
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// The socket.
    pub fn socket(&self) -> &TcpStream {
        self.stream.get_ref().socket()
    }

    /// The next packet.
    ///
    /// # Errors
    /// The connection ends, or nothing comes for long.
    pub fn read_packet(&mut self) -> io::Result<Packet> {
        let mut header = [0; 4];
        self.stream.read_exact(&mut header)?;
        let [a, b, c, seq] = header;
        let mut payload = vec![0; u32::from_le_bytes([a, b, c, 0]) as usize];
        self.stream.read_exact(&mut payload)?;
        self.last_seq = seq;
        Ok(Packet { seq, payload })
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The connection has ended.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        let stream = self.stream.get_mut();
        stream.write_all(bytes)?;
        stream.flush()
    }

    /// Sends a command: `payload` with its command byte.
    ///
    /// # Errors
    /// The connection has ended.
    pub fn send(&mut self, payload: &[u8]) -> io::Result<()> {
        self.send_raw(&packets(payload, 0))
    }

    /// Sends a payload under the sequence id that follows the last packet read.
    ///
    /// # Errors
    /// The connection has ended.
    pub fn send_after(&mut self, payload: &[u8]) -> io::Result<()> {
        let seq = self.last_seq.wrapping_add(1);
        self.send_raw(&packets(payload, seq))
    }

    /// Sends a command and reads its whole answer.
    ///
    /// # Errors
    /// The connection ends.
    pub fn command(&mut self, payload: &[u8]) -> io::Result<Vec<Packet>> {
        self.send(payload)?;
        self.read_answer_to(payload)
    }

    /// Reads the whole answer to that command.
    ///
    /// # Errors
    /// The connection ends, or the answer follows no protocol.
    pub fn read_answer_to(&mut self, payload: &[u8]) -> io::Result<Vec<Packet>> {
        // The server takes an empty packet for COM_SLEEP.
        let kind = payload.first().copied().unwrap_or(command::SLEEP);
        self.cursor_asked =
            kind == command::STMT_EXECUTE && payload.get(5).is_some_and(|&flags| flags != 0);
        let answer = self.read_answer(kind);
        self.cursor_asked = false;
        answer
    }

    /// Reads the whole answer to a command of that kind, which does not ask for a cursor.
    ///
    /// # Errors
    /// The connection ends, or the answer follows no protocol.
    pub fn read_answer(&mut self, kind: u8) -> io::Result<Vec<Packet>> {
        let mut answer = Vec::new();
        self.reports = 0;
        match kind {
            command::STMT_CLOSE | command::STMT_SEND_LONG_DATA | command::QUIT => {}
            command::STMT_PREPARE => self.prepare_answer(&mut answer)?,
            command::FIELD_LIST | command::STMT_FETCH => {
                self.until_end(&mut answer)?;
            }
            command::QUERY
            | command::STMT_EXECUTE
            | command::PROCESS_INFO
            | command::STMT_BULK_EXECUTE => {
                while self
                    .result(&mut answer)?
                    .intersects(StatusFlags::SERVER_MORE_RESULTS_EXISTS)
                {}
            }
            // A change of user may ask for another scramble.
            command::CHANGE_USER => self.change_user_answer("", &mut answer)?,
            _ => self.next(&mut answer)?,
        }
        Ok(answer)
    }

    /// One packet, and the packets that go on with its payload.
    fn next(&mut self, answer: &mut Vec<Packet>) -> io::Result<()> {
        let mut first = true;
        loop {
            let mut packet = self.read_packet()?;
            if first && self.is_report(&packet.payload) {
                self.reports = self.reports.wrapping_add(1);
                self.progress.push(packet);
                continue;
            }
            first = false;
            packet.seq = packet.seq.wrapping_sub(self.reports);
            let whole = packet.payload.len() < PACKET_BYTES_MAX;
            answer.push(packet);
            if whole {
                return Ok(());
            }
        }
    }

    /// An ERR of code 65535 is a report of progress.
    fn is_report(&self, payload: &[u8]) -> bool {
        self.capabilities.has(Capabilities::MARIADB_PROGRESS)
            && payload.starts_with(b"\xff\xff\xff")
    }

    fn result(&mut self, answer: &mut Vec<Packet>) -> io::Result<StatusFlags> {
        self.next(answer)?;
        let columns = match last(answer) {
            [OkPacket::HEADER, ..] => return Ok(ok(last(answer))?.status),
            [ErrPacket::HEADER, ..] => return Ok(StatusFlags::empty()),
            [0xfb, ..] => {
                let file = std::mem::take(&mut self.local_file);
                for part in file.chunks(LOCAL_PACKET_BYTES) {
                    self.send_after(part)?;
                    self.last_seq = self.last_seq.wrapping_add(1);
                }
                self.send_after(&[])?;
                self.next(answer)?;
                return Ok(ok(last(answer)).map_or(StatusFlags::empty(), |ok| ok.status));
            }
            mut head => lenenc::get_int(&mut head).map_err(io::Error::from)?,
        };
        for _ in 0..columns {
            self.next(answer)?;
        }
        if !self.capabilities.has(Capabilities::DEPRECATE_EOF) {
            self.next(answer)?;
            if ErrPacket::is_err(last(answer)) {
                return Ok(StatusFlags::empty());
            }
            // MariaDB sets the flag also for a cursor within a procedure,
            // whose results have more behind them.
            let status = eof_status(last(answer))?;
            if self.cursor_asked
                && status.contains(StatusFlags::SERVER_STATUS_CURSOR_EXISTS)
                && !status.contains(StatusFlags::SERVER_MORE_RESULTS_EXISTS)
            {
                return Ok(status);
            }
        }
        self.until_end(answer)
    }

    /// Rows or columns until EOF, the OK in its place, or ERR.
    fn until_end(&mut self, answer: &mut Vec<Packet>) -> io::Result<StatusFlags> {
        loop {
            let first_of_payload = answer.len();
            self.next(answer)?;
            let one_packet = answer.len() == first_of_payload + 1;
            match last(answer) {
                [ErrPacket::HEADER, ..] if one_packet => return Ok(StatusFlags::empty()),
                [EofPacket::HEADER, ..] if one_packet && self.ends_rows(last(answer)) => {
                    if self.capabilities.has(Capabilities::DEPRECATE_EOF) {
                        return Ok(ok(last(answer))?.status);
                    }
                    return eof_status(last(answer));
                }
                _ => {}
            }
        }
    }

    /// A row may start with 0xFE only if its first cell is longer than 16 MiB.
    fn ends_rows(&self, payload: &[u8]) -> bool {
        self.capabilities.has(Capabilities::DEPRECATE_EOF) || payload.len() < 9
    }

    fn prepare_answer(&mut self, answer: &mut Vec<Packet>) -> io::Result<()> {
        self.next(answer)?;
        let &[OkPacket::HEADER, _, _, _, _, a, b, c, d, ..] = last(answer) else {
            return Ok(());
        };
        for count in [u16::from_le_bytes([c, d]), u16::from_le_bytes([a, b])] {
            for _ in 0..count {
                self.next(answer)?;
            }
            if count > 0 && !self.capabilities.has(Capabilities::DEPRECATE_EOF) {
                self.next(answer)?;
            }
        }
        Ok(())
    }
}

/// A payload as packets, the first with sequence id `seq`.
pub fn packets(payload: &[u8], seq: u8) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + 8);
    for index in 0..packet_count(payload) {
        let start = usize::from(index) * PACKET_BYTES_MAX;
        let part = &payload[start..payload.len().min(start + PACKET_BYTES_MAX)];
        bytes.extend(packet_header(part.len(), seq.wrapping_add(index)));
        bytes.extend_from_slice(part);
    }
    bytes
}

fn packet_count(payload: &[u8]) -> u8 {
    u8::try_from(payload.len() / PACKET_BYTES_MAX + 1).unwrap()
}

fn last(answer: &[Packet]) -> &[u8] {
    answer.last().map_or(&[], |packet| &packet.payload)
}

fn ok(payload: &[u8]) -> io::Result<OkPacket> {
    OkPacket::parse(payload).map_err(io::Error::from)
}

fn eof_status(payload: &[u8]) -> io::Result<StatusFlags> {
    match payload {
        &[EofPacket::HEADER, _, _, a, b, ..] => {
            Ok(StatusFlags::from_bits_retain(u16::from_le_bytes([a, b])))
        }
        _ => Err(io::Error::other("an EOF packet was due")),
    }
}

fn sql_error(payload: &[u8]) -> SqlError {
    let error = ErrPacket::parse(payload).unwrap();
    SqlError {
        code: error.code,
        sqlstate: text(&error.sqlstate),
        message: text(&error.message),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
