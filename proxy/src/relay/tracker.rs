//! Follows a session's answers, so that it is known when the store is idle.

use super::packet_heads::{asks_for_password, eof_status, is_of_stub, ok_status};
use crate::wire::{
    Capabilities, ErrPacket, FrameWalker, Malformed, PACKET_BYTES_MAX, PacketHead, StatusFlags,
    command, lenenc,
};
use std::collections::VecDeque;

/// Commands that may be outstanding before the client is no longer read.
pub const PIPELINED_COMMANDS_MAX: usize = 16 * 1024;

/// What a command's answer looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// One packet: OK, EOF, ERR, or a text.
    Single,
    /// OK, ERR, a request for a local file, or a result; more may follow.
    Results,
    /// The same, of a COM_STMT_EXECUTE with a cursor: its result may have no rows of its own.
    ResultsOrCursor,
    /// COM_STMT_PREPARE.
    Prepare,
    /// COM_STMT_FETCH: rows without column definitions.
    Rows,
    /// COM_FIELD_LIST: column definitions and an end.
    Fields,
    /// COM_CHANGE_USER: authentication packets both ways, then OK or ERR.
    Login,
}

/// Where the answer of the oldest outstanding command stands.
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
/// any --unknown command, replication, or what the protocol does not foresee--> Opaque (final)
/// ```
/// An ERR ends the command from every state. "Idle" is the next outstanding command's `Answer`,
/// if one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Answer(Answer),
    /// Column definitions that are still to come.
    Columns(u64),
    /// The EOF after column definitions.
    ColumnsEnd,
    Rows,
    /// Packets of a COM_STMT_PREPARE answer that are still to come.
    Definitions(u32),
    /// The client sends a file; whether the store has already answered with ERR.
    LocalFile {
        answered: bool,
    },
    /// The client may send an authentication packet, or the store another.
    ClientsLogin,
    /// Not followed any more: all is forwarded as it is, and the store is never known to be idle.
    Opaque,
}

/// What the client's next packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientTurn {
    /// A command.
    Command,
    /// A part of a local file; an empty packet ends it.
    LocalFile,
    /// Authentication data.
    Login,
    /// Not known before the store has answered: nothing may be read of it.
    Hold,
}

/// Follows one session: its commands as they are forwarded, and all bytes of the store.
#[derive(Debug)]
pub struct Tracker {
    capabilities: Capabilities,
    state: State,
    outstanding: VecDeque<Answer>,
    walker: FrameWalker,
    /// Whether a packet of the oldest outstanding command's answer has come.
    started: bool,
    /// Whether the result that is being sent may be a cursor.
    cursor_asked: bool,
    /// Whether the last packet, but for rows, was an ERR.
    erred: bool,
    /// Sequence id of the client's packet that has gone on with the answer since the store's last.
    client_seq: Option<u8>,
    /// What [`Tracker::next_answer_seq`] was before the bytes that must not reach the client.
    refused: Option<Option<u8>>,
    /// Whether one leg protects a password in clear and the other does not.
    unlike_legs: bool,
    status: StatusFlags,
    /// Commands that were forwarded.
    commands: u64,
    /// Id of the statement that was prepared last; none where that failed.
    prepared: Option<u32>,
    /// The last answer ended with the error of a function that has to be run by the lane.
    stub_ran: bool,
}

impl Tracker {
    /// A session that has just logged in.
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
            status,
            commands: 0,
            prepared: None,
            stub_ran: false,
        }
    }

    /// Whether the whole answer to the one outstanding command, which gives results,
    /// is still to come.
    #[inline]
    #[must_use]
    pub fn owes_whole_result(&self) -> bool {
        self.state == State::Answer(Answer::Results) && !self.started && self.outstanding.is_empty()
    }

    /// Whether the answer that has just come ended with the error of a stub.
    #[inline]
    #[must_use]
    pub fn stub_ran(&self) -> bool {
        self.stub_ran && self.idle()
    }

    /// Id of the statement that the client has prepared last at the store; none where that failed.
    #[must_use]
    pub fn prepared(&self) -> Option<u32> {
        self.prepared
    }

    /// Whether the store owes nothing and has sent all of its last packet.
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

    /// Status flags of the last OK or EOF that ended an answer. An ERR carries none: after a
    /// deadlock the transaction is gone although IN_TRANS is still set here.
    #[must_use]
    pub fn status(&self) -> StatusFlags {
        self.status
    }

    /// How many commands it has been told of.
    #[must_use]
    pub fn commands(&self) -> u64 {
        self.commands
    }

    /// How many commands wait for their answers behind the one that is being answered.
    #[cfg(any(test, fuzzing))]
    pub fn outstanding_commands(&self) -> usize {
        self.outstanding.len()
    }

    /// The same session, where a password in clear may pass on one of its legs only.
    #[must_use]
    pub fn over_unlike_legs(mut self, unlike: bool) -> Self {
        self.unlike_legs = unlike;
        self
    }

    /// What the session has negotiated.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// Takes over the status of an answer that the lane has written.
    pub fn set_status(&mut self, status: StatusFlags) {
        self.status = status;
    }

    /// Sequence id of the packet that would go on with the current answer, if it may go on with a
    /// packet of the proxy's: none while a packet has passed in part or nothing is owed.
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

    /// Whether nothing has followed the store's last ERR. If it then closes, it has said why.
    #[must_use]
    pub fn ends_with_error(&self) -> bool {
        let ended = !self.started || self.state == State::LocalFile { answered: true };
        self.erred && ended && self.walker.between_packets()
    }

    /// What the client's next packet is.
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

    /// A command is forwarded, or its first part. Of its body,
    /// a statement's id and one byte are enough.
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

    /// A command is forwarded, and does not ask for a cursor.
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

    /// A packet of the client is forwarded that goes on with the current answer.
    pub fn client_packet(&mut self, seq: u8) {
        self.client_seq = Some(seq);
    }

    /// The empty packet that ends a local file is forwarded.
    pub fn local_file_sent(&mut self) {
        match self.state {
            State::LocalFile { answered: true } => self.finish(),
            State::LocalFile { answered: false } => self.state = State::Answer(Answer::Results),
            _ => {}
        }
    }

    /// An authentication packet of the client is forwarded.
    pub fn login_sent(&mut self) {
        if self.state == State::ClientsLogin {
            self.state = State::Answer(Answer::Login);
        }
    }

    /// Bytes of the store, in order, cut anywhere.
    ///
    /// # Errors
    /// What must not reach the client: a request for a local file that it did not offer, or for a
    /// password that the other leg would expose. None of these bytes may be forwarded,
    /// and the session must end.
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
        // Rows are nearly all packets there are: they take the short way.
        if self.state == State::Rows && !matches!(packet.head.first(), Some(0xfe | 0xff)) {
            return Ok(());
        }
        // The rest of the read is not followed: an ERR would seem to end an answer.
        if packet.continuation || self.opaque() {
            return Ok(());
        }
        self.started = true;
        self.client_seq = None;
        self.erred = false;
        self.stub_ran = false;
        let Some(&first) = packet.head.first() else {
            // An empty packet where one with a meaning is due (each row has columns).
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
            // The store may go on by itself: "fast authentication worked", then OK.
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
                    // The store reads as file what was sent as commands.
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
        let status = eof_status(head).unwrap_or(self.status);
        // The flag alone tells nothing: MariaDB sets it also where a stored program has a cursor
        // of its own open. A procedure's result is followed by another answer,
        // which a client's cursor never is.
        if self.cursor_asked
            && status.contains(StatusFlags::SERVER_STATUS_CURSOR_EXISTS)
            && !status.contains(StatusFlags::SERVER_MORE_RESULTS_EXISTS)
        {
            self.status = status;
            self.finish();
        } else {
            self.state = State::Rows;
        }
    }

    /// A packet among the rows that starts with 0xFE or 0xFF and is no ERR.
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
            // A farewell, such as "connection was killed": belongs to no command.
            State::Idle => self.started = false,
            _ => self.finish(),
        }
    }

    fn keep_ok_status(&mut self, head: &[u8]) {
        self.status = ok_status(head).unwrap_or(self.status);
    }

    fn keep_eof_status(&mut self, head: &[u8]) {
        self.status = eof_status(head).unwrap_or(self.status);
    }

    /// Of a packet with header 0xFE that ends rows or fields.
    fn keep_end_status(&mut self, head: &[u8]) {
        if self.capabilities.has(Capabilities::DEPRECATE_EOF) {
            self.keep_ok_status(head);
        } else {
            self.keep_eof_status(head);
        }
    }

    fn result_done(&mut self) {
        if self
            .status
            .contains(StatusFlags::SERVER_MORE_RESULTS_EXISTS)
        {
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
