//! Follows a session's answers to determine when the store is idle.

use super::packet_heads::{asks_for_password, eof_status, is_of_stub, ok_status};
use super::session_status::SessionStatus;
use crate::wire::{
    Capabilities, ErrPacket, FrameWalker, Malformed, PACKET_BYTES_MAX, PacketHead, StatusFlags,
    command, lenenc,
};
use std::collections::VecDeque;

/// Maximum outstanding commands; at this limit the client is no longer read.
pub const PIPELINED_COMMANDS_MAX: usize = 16 * 1024;

/// Shape of a command's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// One packet: OK, EOF, ERR, or a text.
    Single,
    /// OK, ERR, a LOCAL INFILE request, or a result set; more may follow.
    Results,
    /// Like `Results`, for a COM_STMT_EXECUTE with a cursor: its result set may have no rows.
    ResultsOrCursor,
    /// COM_STMT_PREPARE.
    Prepare,
    /// COM_STMT_FETCH: rows without column definitions.
    Rows,
    /// COM_FIELD_LIST: column definitions and an end packet.
    Fields,
    /// COM_CHANGE_USER: authentication packets both ways, then OK or ERR.
    Login,
}

/// Position in the answer of the oldest outstanding command.
///
/// ```text
///                    +--------------------- more results ----------------------+
///                    v                                                         |
/// Idle --command--> Answer(Results) --column count--> Columns --EOF or none--> Rows --end--> Idle
///                    |  ^    |                           |                                   ^
///                    |  |    +--0xFB--> LocalFile        +--EOF of a cursor that was asked for-+
///                    |  +--empty packet-----+                                                |
///                    +--OK / ERR---------------------------------------------------------- --+
/// Idle --command--> Answer(Prepare) --OK--> Definitions(n) --n packets--> Idle
/// Idle --command--> Answer(Login) <--> ClientsLogin, either to OK / ERR --> Idle
/// Idle --command--> Answer(Rows | Fields) --end--> Idle       Answer(Single) --any packet--> Idle
/// any --unknown command, replication, or a protocol violation--> Opaque (final)
/// ```
/// An ERR ends the command from every state. "Idle" stands for the `Answer` of the next
/// outstanding command, if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Answer(Answer),
    /// Number of column definitions still to come.
    Columns(u64),
    /// The EOF after column definitions.
    ColumnsEnd,
    Rows,
    /// Number of packets of a COM_STMT_PREPARE answer still to come.
    Definitions(u32),
    /// The client sends a file; whether the store has already answered with ERR.
    LocalFile {
        answered: bool,
    },
    /// The client may send an authentication packet, or the store another one.
    ClientsLogin,
    /// No longer followed: everything is forwarded unchanged, and the store counts as never idle.
    Opaque,
}

/// Kind of the client's next packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientTurn {
    /// A command.
    Command,
    /// Part of a local file; an empty packet ends it.
    LocalFile,
    /// Authentication data.
    Login,
    /// Unknown until the store answers: the client's bytes must not be interpreted.
    Hold,
}

/// Follows one session: its forwarded commands, and all bytes from the store.
#[derive(Debug)]
pub struct Tracker {
    capabilities: Capabilities,
    state: State,
    outstanding: VecDeque<Answer>,
    walker: FrameWalker,
    /// Whether a packet of the oldest outstanding command's answer has arrived.
    started: bool,
    /// Whether the current result set may be a cursor.
    cursor_asked: bool,
    /// Whether the last packet, rows excluded, was an ERR.
    erred: bool,
    /// Sequence id of the client packet that continued the answer since the store's last packet.
    client_seq: Option<u8>,
    /// Value of [`Tracker::next_answer_seq`] before the bytes that must not reach the client.
    refused: Option<Option<u8>>,
    /// Whether one leg protects a cleartext password and the other does not.
    unlike_legs: bool,
    status: SessionStatus,
    /// Number of forwarded commands.
    commands: u64,
    /// Id of the last prepared statement; none if preparing failed.
    prepared: Option<u32>,
    /// The last answer ended with the error of a function that the lane has to run.
    stub_ran: bool,
}

impl Tracker {
    /// State of a session that has just logged in.
    #[must_use]
    pub fn new(capabilities: Capabilities, status: StatusFlags) -> Self {
        Self {
            capabilities,
            state: State::Idle,
            outstanding: VecDeque::new(),
            walker: FrameWalker::default(),
            started: false,
            cursor_asked: false,
            erred: false,
            client_seq: None,
            refused: None,
            unlike_legs: false,
            status: SessionStatus::new(status),
            commands: 0,
            prepared: None,
            stub_ran: false,
        }
    }

    /// Whether exactly one command is outstanding, it returns results, and none of its answer has
    /// arrived.
    #[inline]
    #[must_use]
    pub fn owes_whole_result(&self) -> bool {
        self.state == State::Answer(Answer::Results) && !self.started && self.outstanding.is_empty()
    }

    /// Whether the answer that just ended was a stub's error.
    #[inline]
    #[must_use]
    pub fn stub_ran(&self) -> bool {
        self.stub_ran && self.idle()
    }

    /// Id of the last statement that the client prepared at the store; none if preparing failed.
    #[must_use]
    pub fn prepared(&self) -> Option<u32> {
        self.prepared
    }

    /// Whether no answer is outstanding and the store's last packet is complete.
    #[inline]
    #[must_use]
    pub fn idle(&self) -> bool {
        self.state == State::Idle && self.walker.between_packets()
    }

    /// Whether the session is no longer followed.
    #[must_use]
    pub fn opaque(&self) -> bool {
        self.state == State::Opaque
    }

    /// Status of the session.
    #[must_use]
    pub fn status(&self) -> SessionStatus {
        self.status
    }

    /// Number of commands reported to the tracker.
    #[must_use]
    pub fn commands(&self) -> u64 {
        self.commands
    }

    /// Number of commands queued behind the one being answered.
    #[cfg(any(test, fuzzing))]
    pub fn outstanding_commands(&self) -> usize {
        self.outstanding.len()
    }

    /// Sets whether a cleartext password may pass on only one of the session's legs.
    #[must_use]
    pub fn over_unlike_legs(mut self, unlike: bool) -> Self {
        self.unlike_legs = unlike;
        self
    }

    /// Capabilities negotiated for the session.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// Sets the status that the lane leaves.
    pub fn set_status(&mut self, status: SessionStatus) {
        self.status = status;
    }

    /// Sequence id of the next packet of the current answer, if the proxy may write that packet;
    /// none while a packet is partly forwarded or no answer is due.
    #[must_use]
    pub fn next_answer_seq(&self) -> Option<u8> {
        if let Some(before) = self.refused {
            return before;
        }
        match self.state {
            State::Idle | State::Opaque => None,
            _ if !self.walker.between_packets() => None,
            _ if !self.started => Some(1),
            _ => Some(
                self.client_seq
                    .map_or(self.walker.next_seq(), |seq| seq.wrapping_add(1)),
            ),
        }
    }

    /// Whether nothing followed the store's last ERR. If the store then closes, it stated why.
    #[must_use]
    pub fn ends_with_error(&self) -> bool {
        let ended = !self.started || self.state == State::LocalFile { answered: true };
        self.erred && ended && self.walker.between_packets()
    }

    /// Kind of the client's next packet.
    #[inline]
    #[must_use]
    pub fn client_turn(&self) -> ClientTurn {
        match self.state {
            State::LocalFile { .. } => ClientTurn::LocalFile,
            State::ClientsLogin => ClientTurn::Login,
            State::Answer(Answer::Login) => ClientTurn::Hold,
            _ if self.outstanding.back() == Some(&Answer::Login)
                || self.outstanding.len() >= PIPELINED_COMMANDS_MAX =>
            {
                ClientTurn::Hold
            }
            _ => ClientTurn::Command,
        }
    }

    /// Reports a forwarded command, or its first part. Of its body, a statement id and one byte
    /// are enough.
    #[inline]
    pub fn forwarded(&mut self, command: u8, body: &[u8]) {
        match (command, body) {
            (command::STMT_EXECUTE, &[_, _, _, _, cursor, ..]) if cursor != 0 => {
                self.commands += 1;
                self.owe(Answer::ResultsOrCursor);
            }
            _ => self.command(command),
        }
    }

    /// Reports a forwarded command that does not ask for a cursor.
    #[inline]
    pub fn command(&mut self, command: u8) {
        self.commands += 1;
        let answer = match command {
            command::QUERY | command::STMT_EXECUTE | command::STMT_BULK_EXECUTE => Answer::Results,
            command::PROCESS_INFO => Answer::Results,
            command::STMT_PREPARE => Answer::Prepare,
            command::STMT_FETCH => Answer::Rows,
            command::FIELD_LIST => Answer::Fields,
            command::CHANGE_USER => Answer::Login,
            command::QUIT | command::STMT_SEND_LONG_DATA | command::STMT_CLOSE => return,
            command::SLEEP
            | command::INIT_DB
            | command::CREATE_DB
            | command::DROP_DB
            | command::REFRESH
            | command::SHUTDOWN
            | command::STATISTICS
            | command::CONNECT
            | command::PROCESS_KILL
            | command::DEBUG
            | command::PING
            | command::TIME
            | command::DELAYED_INSERT
            | command::CONNECT_OUT
            | command::REGISTER_SLAVE
            | command::STMT_RESET
            | command::SET_OPTION
            | command::DAEMON
            | command::RESET_CONNECTION => Answer::Single,
            _ => return self.lose(),
        };
        self.owe(answer);
    }

    #[inline]
    fn owe(&mut self, answer: Answer) {
        match self.state {
            State::Opaque => {}
            State::Idle => self.state = State::Answer(answer),
            _ => self.outstanding.push_back(answer),
        }
    }

    /// Reports a forwarded client packet that continues the current answer.
    pub fn client_packet(&mut self, seq: u8) {
        self.client_seq = Some(seq);
    }

    /// Reports the forwarded empty packet that ends a local file.
    pub fn local_file_sent(&mut self) {
        match self.state {
            State::LocalFile { answered: true } => self.finish(),
            State::LocalFile { answered: false } => self.state = State::Answer(Answer::Results),
            _ => {}
        }
    }

    /// Reports a forwarded authentication packet of the client.
    pub fn login_sent(&mut self) {
        if self.state == State::ClientsLogin {
            self.state = State::Answer(Answer::Login);
        }
    }

    /// Processes bytes from the store, in order and split anywhere.
    ///
    /// # Errors
    /// Bytes that must not reach the client: a request for a local file although the client did
    /// not offer the capability, or for a password that the other leg would expose. None of these
    /// bytes may be forwarded, and the session must end.
    #[inline]
    pub fn store_bytes(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        if self.state == State::Opaque {
            return Ok(());
        }
        let before = self.next_answer_seq();
        let mut walker = std::mem::take(&mut self.walker);
        let walked = walker.walk(bytes, |packet| self.packet(packet));
        self.walker = walker;
        if walked.is_err() {
            self.refused = Some(before);
        }
        walked
    }

    #[inline]
    fn packet(&mut self, packet: PacketHead<'_>) -> Result<(), Malformed> {
        // Nearly all packets are rows: this is their fast path.
        if self.state == State::Rows && !matches!(packet.head.first(), Some(0xfe | 0xff)) {
            return Ok(());
        }
        // The rest of this read is not followed: an ERR would seem to end an answer.
        if packet.continuation || self.opaque() {
            return Ok(());
        }
        self.started = true;
        self.client_seq = None;
        self.erred = false;
        self.stub_ran = false;
        let Some(&first) = packet.head.first() else {
            // An empty packet where a packet with content is due (each row has columns).
            self.lose();
            return Ok(());
        };
        if first == ErrPacket::HEADER && packet.length < PACKET_BYTES_MAX {
            self.erred = true;
            self.error(packet.head);
            return Ok(());
        }
        match self.state {
            State::Answer(answer) => self.answer(answer, first, packet),
            // The store may continue without the client: "fast authentication worked", then OK.
            State::ClientsLogin => self.answer(Answer::Login, first, packet),
            State::Columns(left) => {
                self.columns_left(left - 1);
                Ok(())
            }
            State::ColumnsEnd => {
                self.columns_end(first, packet.head);
                Ok(())
            }
            State::Rows => {
                self.row_end(packet);
                Ok(())
            }
            State::Definitions(left) => {
                self.definitions_left(left - 1);
                Ok(())
            }
            State::Opaque => Ok(()),
            State::Idle | State::LocalFile { .. } => {
                self.lose();
                Ok(())
            }
        }
    }

    fn answer(
        &mut self,
        answer: Answer,
        first: u8,
        packet: PacketHead<'_>,
    ) -> Result<(), Malformed> {
        let head = packet.head;
        match answer {
            Answer::Single => {
                match first {
                    0x00 => self.keep_ok_status(head),
                    0xfe => self.keep_eof_status(head),
                    _ => {}
                }
                self.finish();
            }
            Answer::Results | Answer::ResultsOrCursor => {
                self.cursor_asked = answer == Answer::ResultsOrCursor;
                return self.results(first, head);
            }
            Answer::Prepare => self.prepare_answered(first, head),
            Answer::Rows => {
                self.state = State::Rows;
                self.row_end(packet);
            }
            Answer::Fields => {
                if first == 0xfe {
                    self.keep_end_status(head);
                    self.finish();
                }
            }
            Answer::Login => match first {
                0x00 => {
                    self.keep_ok_status(head);
                    self.finish();
                }
                _ if self.unlike_legs && asks_for_password(packet) => {
                    return Err(Malformed(
                        "the change of user takes the password itself, which only one leg of the session protects: \
                         use TLS on both or on none",
                    ));
                }
                _ => self.state = State::ClientsLogin,
            },
        }
        Ok(())
    }

    fn results(&mut self, first: u8, head: &[u8]) -> Result<(), Malformed> {
        match first {
            0x00 => {
                self.keep_ok_status(head);
                self.result_done();
            }
            lenenc::NULL => {
                if !self.capabilities.has(Capabilities::LOCAL_FILES) {
                    return Err(Malformed(
                        "the store asked for a local file although the client offers none",
                    ));
                }
                if self.outstanding.is_empty() {
                    self.state = State::LocalFile { answered: false };
                } else {
                    // The store reads as file content what was sent as commands.
                    self.lose();
                }
            }
            _ => match lenenc::get_int(&mut &head[..]) {
                Ok(columns) if first != 0xfe => self.columns_left(columns),
                _ => self.lose(),
            },
        }
        Ok(())
    }

    fn columns_left(&mut self, left: u64) {
        self.state = match left {
            0 if self.capabilities.has(Capabilities::DEPRECATE_EOF) => State::Rows,
            0 => State::ColumnsEnd,
            _ => State::Columns(left),
        };
    }

    fn columns_end(&mut self, first: u8, head: &[u8]) {
        if first != 0xfe {
            return self.lose();
        }
        let status = eof_status(head).unwrap_or(self.status.flags());
        // The flag alone is not enough: MariaDB also sets it while a stored program has its own
        // cursor open. A procedure's result is followed by another answer; a client's cursor never
        // is.
        if self.cursor_asked
            && status.contains(StatusFlags::SERVER_STATUS_CURSOR_EXISTS)
            && !status.contains(StatusFlags::SERVER_MORE_RESULTS_EXISTS)
        {
            self.status.set(status);
            self.finish();
        } else {
            self.state = State::Rows;
        }
    }

    /// A packet among the rows that starts with 0xFE or 0xFF and is not an ERR.
    fn row_end(&mut self, packet: PacketHead<'_>) {
        let end_bytes_max = if self.capabilities.has(Capabilities::DEPRECATE_EOF) {
            PACKET_BYTES_MAX - 1
        } else {
            8
        };
        if packet.head.first() == Some(&0xfe) && packet.length <= end_bytes_max {
            self.keep_end_status(packet.head);
            self.result_done();
        }
    }

    fn prepare_answered(&mut self, first: u8, head: &[u8]) {
        self.prepared = lenenc::get_u32(&mut head.get(1..).unwrap_or_default()).ok();
        let mut input = head.get(5..).unwrap_or_default();
        let (Ok(columns), Ok(parameters)) =
            (lenenc::get_u16(&mut input), lenenc::get_u16(&mut input))
        else {
            return self.lose();
        };
        if first != 0x00 {
            return self.lose();
        }
        let mut packets = u32::from(columns) + u32::from(parameters);
        if !self.capabilities.has(Capabilities::DEPRECATE_EOF) {
            packets += u32::from(columns > 0) + u32::from(parameters > 0);
        }
        self.definitions_left(packets);
    }

    fn definitions_left(&mut self, left: u32) {
        match left {
            0 => self.finish(),
            _ => self.state = State::Definitions(left),
        }
    }

    fn error(&mut self, head: &[u8]) {
        let code = lenenc::get_u16(&mut head.get(1..).unwrap_or_default());
        let reports = self.capabilities.has(Capabilities::MARIADB_PROGRESS)
            || self.capabilities.has(Capabilities::PROGRESS_OBSOLETE);
        self.stub_ran = is_of_stub(head);
        match self.state {
            _ if reports && code == Ok(ErrPacket::PROGRESS_CODE) => {}
            State::Answer(Answer::Prepare) => {
                self.prepared = None;
                self.finish();
            }
            State::LocalFile { .. } => self.state = State::LocalFile { answered: true },
            // An unsolicited ERR, such as "connection was killed": belongs to no command.
            State::Idle => self.started = false,
            _ => self.finish(),
        }
    }

    fn keep_ok_status(&mut self, head: &[u8]) {
        let _ = ok_status(head).map(|flags| self.status.set(flags));
    }

    fn keep_eof_status(&mut self, head: &[u8]) {
        let _ = eof_status(head).map(|flags| self.status.set(flags));
    }

    /// Keeps the status of a packet with header 0xFE that ends rows or fields.
    fn keep_end_status(&mut self, head: &[u8]) {
        if self.capabilities.has(Capabilities::DEPRECATE_EOF) {
            self.keep_ok_status(head);
        } else {
            self.keep_eof_status(head);
        }
    }

    fn result_done(&mut self) {
        let status = self.status.flags();
        if status.contains(StatusFlags::SERVER_MORE_RESULTS_EXISTS) {
            self.state = State::Answer(Answer::Results);
        } else {
            self.finish();
        }
    }

    fn finish(&mut self) {
        self.started = false;
        self.state = self
            .outstanding
            .pop_front()
            .map_or(State::Idle, State::Answer);
    }

    fn lose(&mut self) {
        self.state = State::Opaque;
        self.outstanding = VecDeque::new();
    }
}

#[cfg(test)]
#[path = "tracker_tests.rs"]
mod tests;
