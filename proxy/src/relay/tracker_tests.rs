//! Tests of the tracker: answers are generated from a model of the protocol and split anywhere.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::wire::{PacketWriter, encode_eof, encode_ok, encode_result_end};
use proptest::prelude::*;

const AUTOCOMMIT: StatusFlags = StatusFlags::SERVER_STATUS_AUTOCOMMIT;

/// One result of a statement.
#[derive(Debug, Clone)]
enum ResultModel {
    Ok {
        info: Vec<u8>,
    },
    /// Whether a stored program has its own cursor open; MariaDB reports it like a client's
    /// cursor.
    Rows {
        columns: u8,
        rows: Vec<Vec<u8>>,
        stored_cursor: bool,
    },
}

/// A command and its answer.
#[derive(Debug, Clone)]
enum Exchange {
    /// A statement or its execution; whether an ERR ends the last result.
    Results {
        command: u8,
        results: Vec<ResultModel>,
        fails: bool,
    },
    /// An execution that asked for a cursor and got one; whether it failed after the column
    /// definitions.
    Cursor {
        columns: u8,
        fails: bool,
    },
    /// An execution that asked for a cursor and got result sets.
    NoCursor {
        results: Vec<ResultModel>,
        fails: bool,
    },
    Prepare {
        parameters: u16,
        columns: u16,
    },
    Fetch {
        rows: Vec<Vec<u8>>,
    },
    FieldList {
        columns: u8,
    },
    /// PING, INIT_DB ... answered by OK.
    Single(u8),
    /// SET_OPTION, DEBUG, answered by EOF.
    End(u8),
    Statistics,
    Error(u8),
    /// STMT_CLOSE, SEND_LONG_DATA: no answer.
    Silent(u8),
}

/// Packets of an answer under construction.
struct Answering {
    capabilities: Capabilities,
    writer: PacketWriter,
    reports_progress: bool,
}

impl Answering {
    fn packet(&mut self, payload: &[u8]) {
        if self.reports_progress {
            self.writer
                .write(b"\xff\xff\xff\x01\x01\x02\x10\x00\x00\x03abc");
        }
        self.writer.write(payload);
    }

    fn definitions(&mut self, count: u64) {
        for _ in 0..count {
            self.packet(
                b"\x03def\x00\x00\x00\x01a\x00\x0c\x3f\x00\x01\x00\x00\x00\x08\x81\x00\x00\x00\x00",
            );
        }
    }

    fn eof_after_definitions(&mut self, status: StatusFlags) {
        if !self.capabilities.has(Capabilities::DEPRECATE_EOF) {
            self.packet(&encode_eof(status, 0));
        }
    }

    fn end(&mut self, status: StatusFlags) {
        self.packet(&encode_result_end(self.capabilities, status, 3));
    }

    fn error(&mut self) {
        self.packet(&ErrPacket::new(1064, b"42000", "no").encode());
    }

    fn result(&mut self, result: &ResultModel, more: bool, fails: bool) {
        let more = if more {
            StatusFlags::SERVER_MORE_RESULTS_EXISTS
        } else {
            StatusFlags::empty()
        };
        match result {
            ResultModel::Ok { .. } if fails => self.error(),
            ResultModel::Ok { info } => {
                self.packet(&encode_ok(u64::MAX, 1 << 40, AUTOCOMMIT | more, 1, info));
            }
            ResultModel::Rows {
                columns,
                rows,
                stored_cursor,
            } => {
                let status = if *stored_cursor {
                    AUTOCOMMIT | more | StatusFlags::SERVER_STATUS_CURSOR_EXISTS
                } else {
                    AUTOCOMMIT | more
                };
                self.packet(&[*columns]);
                self.definitions((*columns).into());
                self.eof_after_definitions(status);
                rows.iter().for_each(|row| self.packet(row));
                if fails {
                    self.error();
                } else {
                    self.end(status);
                }
            }
        }
    }

    fn results(&mut self, results: &[ResultModel], fails: bool, more_after: bool) {
        for (index, result) in results.iter().enumerate() {
            let last = index + 1 == results.len();
            self.result(result, !last || more_after, last && fails);
        }
    }

    fn cursor(&mut self, columns: u8, fails: bool) {
        self.packet(&[columns]);
        self.definitions(columns.into());
        if fails {
            // In place of the EOF after the column definitions.
            self.error();
        } else {
            self.end(AUTOCOMMIT | StatusFlags::SERVER_STATUS_CURSOR_EXISTS);
        }
    }
}

impl Exchange {
    fn tell(&self, tracker: &mut Tracker) {
        const READ_ONLY: u8 = 1;
        match self {
            Self::Cursor { .. } | Self::NoCursor { .. } => {
                tracker.forwarded(command::STMT_EXECUTE, &[1, 0, 0, 0, READ_ONLY]);
            }
            _ => tracker.forwarded(self.command(), &[1, 0, 0, 0, 0]),
        }
    }

    fn command(&self) -> u8 {
        match self {
            Self::Cursor { .. } | Self::NoCursor { .. } => command::STMT_EXECUTE,
            Self::Results { command, .. }
            | Self::Single(command)
            | Self::End(command)
            | Self::Error(command)
            | Self::Silent(command) => *command,
            Self::Prepare { .. } => command::STMT_PREPARE,
            Self::Fetch { .. } => command::STMT_FETCH,
            Self::FieldList { .. } => command::FIELD_LIST,
            Self::Statistics => command::STATISTICS,
        }
    }

    fn answer(&self, capabilities: Capabilities) -> Vec<u8> {
        let mut answering = Answering {
            capabilities,
            writer: PacketWriter::new(1),
            reports_progress: capabilities.has(Capabilities::MARIADB_PROGRESS),
        };
        match self {
            Self::Results { results, fails, .. } => answering.results(results, *fails, false),
            Self::Cursor { columns, fails } => answering.cursor(*columns, *fails),
            // For a procedure: its OK or ERR comes after all results.
            Self::NoCursor { results, fails } => {
                answering.results(results, false, true);
                answering.result(&ResultModel::Ok { info: Vec::new() }, false, *fails);
            }
            Self::Prepare {
                parameters,
                columns,
            } => {
                let [a, b] = columns.to_le_bytes();
                let [c, d] = parameters.to_le_bytes();
                answering.packet(&[0, 1, 0, 0, 0, a, b, c, d, 0, 0, 0]);
                for count in [*parameters, *columns] {
                    answering.definitions(count.into());
                    if count > 0 {
                        answering.eof_after_definitions(AUTOCOMMIT);
                    }
                }
            }
            Self::Fetch { rows } => {
                rows.iter().for_each(|row| answering.packet(row));
                answering.end(AUTOCOMMIT);
            }
            Self::FieldList { columns } => {
                answering.definitions((*columns).into());
                answering.end(AUTOCOMMIT);
            }
            Self::Single(_) => answering.packet(&encode_ok(0, 0, AUTOCOMMIT, 0, b"")),
            Self::End(_) => answering.packet(&encode_eof(AUTOCOMMIT, 0)),
            Self::Statistics => answering.packet(b"Uptime: 1  Threads: 2"),
            Self::Error(_) => answering.error(),
            Self::Silent(_) => {}
        }
        answering.writer.into_bytes().to_vec()
    }
}

/// A text or binary row that cannot be mistaken for an ERR or, being short, for an EOF.
fn row() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![Just(0x00), Just(0xfb), 1_u8..0xfb];
    (first, prop::collection::vec(any::<u8>(), 0..40))
        .prop_map(|(first, rest)| [&[first], &rest[..]].concat())
}

fn result() -> impl Strategy<Value = ResultModel> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..30).prop_map(|info| ResultModel::Ok { info }),
        (1_u8..5, prop::collection::vec(row(), 0..6), any::<bool>()).prop_map(
            |(columns, rows, stored_cursor)| ResultModel::Rows {
                columns,
                rows,
                stored_cursor
            }
        ),
    ]
}

fn exchange() -> impl Strategy<Value = Exchange> {
    let statements = prop_oneof![
        Just(command::QUERY),
        Just(command::STMT_EXECUTE),
        Just(command::STMT_BULK_EXECUTE)
    ];
    let any_answered = prop_oneof![
        Just(command::QUERY),
        Just(command::STMT_PREPARE),
        Just(command::STMT_FETCH),
        Just(command::FIELD_LIST),
        Just(command::PING)
    ];
    prop_oneof![
        4 => (statements, prop::collection::vec(result(), 1..4), any::<bool>()).prop_map(
            |(command, results, fails)| Exchange::Results { command, results, fails }
        ),
        1 => (1_u8..5, any::<bool>())
            .prop_map(|(columns, fails)| Exchange::Cursor { columns, fails }),
        1 => (prop::collection::vec(result(), 0..3), any::<bool>())
            .prop_map(|(results, fails)| Exchange::NoCursor { results, fails }),
        2 => (0_u16..4, 0_u16..4)
            .prop_map(|(parameters, columns)| Exchange::Prepare { parameters, columns }),
        1 => prop::collection::vec(row(), 0..6).prop_map(|rows| Exchange::Fetch { rows }),
        1 => (0_u8..4).prop_map(|columns| Exchange::FieldList { columns }),
        1 => prop_oneof![Just(command::PING), Just(command::INIT_DB), Just(command::STMT_RESET)]
            .prop_map(Exchange::Single),
        1 => prop_oneof![Just(command::SET_OPTION), Just(command::DEBUG)].prop_map(Exchange::End),
        1 => Just(Exchange::Statistics),
        1 => any_answered.prop_map(Exchange::Error),
        1 => prop_oneof![Just(command::STMT_CLOSE), Just(command::STMT_SEND_LONG_DATA)]
            .prop_map(Exchange::Silent),
    ]
}

fn capabilities(deprecate_eof: bool, progress: bool) -> Capabilities {
    let mut capabilities = Capabilities::PROTOCOL_41;
    if deprecate_eof {
        capabilities = capabilities.or(Capabilities::DEPRECATE_EOF);
    }
    if progress {
        capabilities = capabilities.or(Capabilities::MARIADB_PROGRESS);
    }
    capabilities
}

proptest! {
    #[test]
    fn idle_exactly_between_answers(
        exchanges in prop::collection::vec(exchange(), 1..6),
        deprecate_eof: bool, progress: bool, chunk_bytes in 1_usize..60,
    ) {
        let capabilities = capabilities(deprecate_eof, progress);
        let mut tracker = Tracker::new(capabilities, StatusFlags::empty());
        for exchange in &exchanges {
            prop_assert!(tracker.idle());
            exchange.tell(&mut tracker);
            let answer = exchange.answer(capabilities);
            let mut left = answer.len();
            for chunk in answer.chunks(chunk_bytes) {
                prop_assert!(!tracker.idle(), "{exchange:?}");
                tracker.store_bytes(chunk).unwrap();
                left -= chunk.len();
                prop_assert_eq!(tracker.idle(), left == 0, "{:?}", exchange);
            }
            prop_assert!(tracker.idle());
        }
    }

    #[test]
    fn pipelined_answers_are_told_apart(
        exchanges in prop::collection::vec(exchange(), 1..8),
        deprecate_eof: bool, progress: bool, chunk_bytes in 1_usize..60,
    ) {
        let capabilities = capabilities(deprecate_eof, progress);
        let mut tracker = Tracker::new(capabilities, StatusFlags::empty());
        let mut answers = Vec::new();
        for exchange in &exchanges {
            exchange.tell(&mut tracker);
            answers.extend(exchange.answer(capabilities));
        }
        let mut left = answers.len();
        for chunk in answers.chunks(chunk_bytes) {
            tracker.store_bytes(chunk).unwrap();
            left -= chunk.len();
            prop_assert_eq!(tracker.idle(), left == 0);
        }
        prop_assert!(tracker.idle());
    }

    #[test]
    fn any_bytes_are_followed_or_let_go(
        commands in prop::collection::vec(any::<u8>(), 0..6),
        bytes in prop::collection::vec(any::<u8>(), 0..300), capabilities: u64, chunk_bytes in 1_usize..40,
    ) {
        let mut tracker = Tracker::new(Capabilities(capabilities), StatusFlags::empty());
        commands.into_iter().for_each(|command| tracker.command(command));
        for chunk in bytes.chunks(chunk_bytes) {
            let _ = tracker.store_bytes(chunk);
            let _ = (tracker.client_turn(), tracker.next_answer_seq(), tracker.idle());
        }
    }
}

fn packet(seq: u8, payload: &[u8]) -> Vec<u8> {
    let mut writer = PacketWriter::new(seq);
    writer.write(payload);
    writer.into_bytes().to_vec()
}

#[test]
fn a_huge_row_that_starts_like_an_end_is_a_row() {
    for deprecate_eof in [false, true] {
        let capabilities = capabilities(deprecate_eof, false);
        let mut tracker = Tracker::new(capabilities, AUTOCOMMIT);
        tracker.command(command::STMT_FETCH);
        let mut row = vec![0xfe];
        row.resize(PACKET_BYTES_MAX + 3, 0xff);
        // The continuation starts like an ERR but is none.
        for chunk in packet(1, &row).chunks(65_536) {
            tracker.store_bytes(chunk).unwrap();
            assert!(!tracker.idle());
        }
        let end = encode_result_end(capabilities, AUTOCOMMIT, 0);
        tracker.store_bytes(&packet(3, &end)).unwrap();
        assert!(tracker.idle());
    }
}

#[test]
fn a_local_file_that_was_not_offered_is_refused() {
    let mut tracker = Tracker::new(capabilities(true, false), AUTOCOMMIT);
    tracker.command(command::QUERY);
    assert!(tracker.store_bytes(&packet(1, b"\xfb/etc/passwd")).is_err());
}

#[test]
fn an_error_before_the_file_is_sent_waits_for_its_end() {
    let offered = capabilities(true, false).or(Capabilities::LOCAL_FILES);
    let mut tracker = Tracker::new(offered, AUTOCOMMIT);
    tracker.command(command::QUERY);
    tracker.store_bytes(&packet(1, b"\xfbfile")).unwrap();
    assert_eq!(tracker.client_turn(), ClientTurn::LocalFile);
    let error = ErrPacket::new(1290, b"HY000", "no").encode();
    tracker.store_bytes(&packet(2, &error)).unwrap();
    assert_eq!(tracker.client_turn(), ClientTurn::LocalFile);
    tracker.local_file_sent();
    assert!(tracker.idle());
}

#[test]
fn changing_user_holds_the_client_until_its_turn() {
    let mut tracker = Tracker::new(capabilities(true, false), AUTOCOMMIT);
    tracker.command(command::CHANGE_USER);
    assert_eq!(tracker.client_turn(), ClientTurn::Hold);
    let switch = b"\xfemysql_native_password\0abcdefghijklmnopqrst\0";
    tracker.store_bytes(&packet(1, switch)).unwrap();
    assert_eq!(tracker.client_turn(), ClientTurn::Login);
    tracker.login_sent();
    assert_eq!(tracker.client_turn(), ClientTurn::Hold);
    let ok = encode_ok(0, 0, AUTOCOMMIT, 0, b"");
    tracker.store_bytes(&packet(3, &ok)).unwrap();
    assert!(tracker.idle());
    assert_eq!(tracker.client_turn(), ClientTurn::Command);
}

#[test]
fn changing_user_ends_where_the_store_sends_two_packets_in_a_row() {
    let (ok, denied) = (
        encode_ok(0, 0, AUTOCOMMIT, 0, b""),
        ErrPacket::new(1045, b"28000", "Access denied").encode(),
    );
    for last in [ok, denied] {
        let mut tracker = Tracker::new(capabilities(true, false), StatusFlags::empty());
        tracker.command(command::CHANGE_USER);
        let switch = b"\xfecaching_sha2_password\0abcdefghijklmnopqrst\0";
        tracker.store_bytes(&packet(1, switch)).unwrap();
        assert_eq!(tracker.client_turn(), ClientTurn::Login);
        tracker.login_sent();
        tracker.store_bytes(&packet(3, b"\x01\x03")).unwrap();
        assert!(!tracker.idle() && !tracker.opaque());
        tracker.store_bytes(&packet(4, &last)).unwrap();
        assert!(tracker.idle());
        assert_eq!(tracker.client_turn(), ClientTurn::Command);
    }
}

#[test]
fn a_password_is_not_asked_for_over_unlike_legs() {
    let switch = b"\xfecaching_sha2_password\0abcdefghijklmnopqrst\0";
    let asking: [&[u8]; 2] = [b"\x01\x04", b"\xfesha256_password\0abcdefghijklmnopqrst\0"];
    for asks in asking {
        for unlike in [false, true] {
            let tracker = Tracker::new(capabilities(true, false), StatusFlags::empty());
            let mut tracker = tracker.over_unlike_legs(unlike);
            tracker.command(command::CHANGE_USER);
            tracker.store_bytes(&packet(1, switch)).unwrap();
            tracker.login_sent();
            tracker.client_packet(2);
            assert_eq!(tracker.store_bytes(&packet(3, asks)).is_err(), unlike);
            // If the packet is refused, the client has not received it.
            assert_eq!(tracker.next_answer_seq(), Some(if unlike { 3 } else { 4 }));
        }
    }
}

#[test]
fn the_proxys_own_packet_follows_what_the_client_sent_last() {
    let offered = capabilities(true, false).or(Capabilities::LOCAL_FILES);
    let mut tracker = Tracker::new(offered, AUTOCOMMIT);
    tracker.command(command::QUERY);
    assert_eq!(tracker.next_answer_seq(), Some(1));
    tracker.store_bytes(&packet(1, b"\xfbfile")).unwrap();
    assert_eq!(tracker.next_answer_seq(), Some(2));
    tracker.client_packet(7);
    tracker.local_file_sent();
    assert_eq!(tracker.next_answer_seq(), Some(8));
    let more = encode_ok(0, 0, StatusFlags::SERVER_MORE_RESULTS_EXISTS, 0, b"");
    tracker.store_bytes(&packet(8, &more)).unwrap();
    assert_eq!(tracker.next_answer_seq(), Some(9));
}

#[test]
fn an_error_behind_what_is_not_followed_ends_nothing() {
    let mut tracker = Tracker::new(capabilities(true, false), AUTOCOMMIT);
    let error = ErrPacket::new(1064, b"42000", "no").encode();
    tracker
        .store_bytes(&[packet(0, b""), packet(1, &error)].concat())
        .unwrap();
    assert!(tracker.opaque() && !tracker.idle());
}

#[test]
fn replication_and_unknown_commands_are_not_followed() {
    for command in [command::BINLOG_DUMP, command::BINLOG_DUMP_GTID, 0x21, 0xfe] {
        let mut tracker = Tracker::new(capabilities(true, false), AUTOCOMMIT);
        tracker.command(command);
        assert!(tracker.opaque() && !tracker.idle());
        tracker.store_bytes(b"anything").unwrap();
    }
}

#[test]
fn a_farewell_to_an_idle_session_is_no_answer() {
    let mut tracker = Tracker::new(capabilities(true, false), AUTOCOMMIT);
    let killed = ErrPacket::new(1927, b"70100", "Connection was killed").encode();
    tracker.store_bytes(&packet(0, &killed)).unwrap();
    assert!(tracker.idle());
    assert_eq!(tracker.next_answer_seq(), None);
}
