//! One side of a comparison: a session that keeps every packet of every answer.

use predictsql_proxy::wire::{Capabilities, HEADER_BYTES, command};
use predictsql_tests::Wire;
use predictsql_tests::wire::{Login, Packet, packets};
use std::net::SocketAddr;

/// A parameter of a prepared statement.
#[derive(Clone, Copy)]
pub enum Parameter<'a> {
    Null,
    Int(i64),
    Double(f64),
    Text(&'a str),
    /// Its value was sent ahead by SEND_LONG_DATA.
    Long,
}

/// An answer: what was asked, for messages, and what came.
pub type Answer = (String, Vec<Packet>);

/// A session that records.
pub struct Tape {
    pub wire: Wire,
    pub address: SocketAddr,
    answers: Vec<Answer>,
}

impl Tape {
    pub fn open(address: SocketAddr, capabilities: Capabilities) -> Self {
        let login = Login {
            database: Some("fidelity"),
            capabilities,
            ..Login::default()
        };
        Self {
            wire: Wire::login_with(address, &login).unwrap(),
            address,
            answers: Vec::new(),
        }
    }

    pub fn into_answers(self) -> Vec<Answer> {
        self.answers
    }

    /// Keeps the answer to a command of that kind.
    #[track_caller]
    pub fn keep(
        &mut self,
        kind: u8,
        label: impl Into<String>,
        answer: std::io::Result<Vec<Packet>>,
    ) -> Vec<Packet> {
        let mut label: String = label.into();
        label.truncate(120);
        match answer {
            Ok(answer) => {
                let mut kept = answer.clone();
                mask(&mut kept, kind);
                self.answers.push((label, kept));
                answer
            }
            Err(error) => panic!("{error} at {label}"),
        }
    }

    /// Sends a command and keeps its answer.
    #[track_caller]
    pub fn command(&mut self, payload: &[u8]) -> Vec<Packet> {
        let shown = &payload[..payload.len().min(100)];
        let label = shown.escape_ascii().to_string();
        let answer = self.wire.command(payload);
        self.keep(payload[0], label, answer)
    }

    #[track_caller]
    pub fn query(&mut self, sql: &str) -> Vec<Packet> {
        self.command(&query(sql))
    }

    /// A LOAD DATA LOCAL statement, and the file.
    #[track_caller]
    pub fn load(&mut self, sql: &str, file: &[u8]) -> Vec<Packet> {
        self.wire.local_file = file.to_vec();
        self.query(sql)
    }

    /// Prepares a statement; its id, or 0 where it was refused.
    #[track_caller]
    pub fn prepare(&mut self, sql: &str) -> u32 {
        let answer = self.command(&prepare(sql));
        match answer[0].payload[..] {
            [0, a, b, c, d, ..] => u32::from_le_bytes([a, b, c, d]),
            _ => 0,
        }
    }

    #[track_caller]
    pub fn execute(&mut self, id: u32, flags: u8, parameters: &[Parameter<'_>]) -> Vec<Packet> {
        self.command(&execute(id, flags, parameters))
    }

    /// Sends commands in one write, and then keeps their answers.
    #[track_caller]
    pub fn pipeline(&mut self, commands: &[Vec<u8>]) {
        let bytes: Vec<u8> = commands
            .iter()
            .flat_map(|command| packets(command, 0))
            .collect();
        self.wire.send_raw(&bytes).unwrap();
        self.read_answers(commands);
    }

    /// Sends commands in writes of `chunk_bytes`, and then keeps their answers.
    #[track_caller]
    pub fn in_chunks(&mut self, commands: &[Vec<u8>], mut chunk_bytes: impl FnMut() -> usize) {
        let bytes: Vec<u8> = commands
            .iter()
            .flat_map(|command| packets(command, 0))
            .collect();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(chunk_bytes().clamp(1, rest.len()));
            self.wire.send_raw(chunk).unwrap();
            rest = after;
        }
        self.read_answers(commands);
    }

    #[track_caller]
    fn read_answers(&mut self, commands: &[Vec<u8>]) {
        for command in commands {
            let answer = self.wire.read_answer(command[0]);
            self.keep(command[0], command.escape_ascii().to_string(), answer);
        }
    }

    /// Keeps whatever comes until the server closes.
    pub fn until_closed(&mut self, label: &str) {
        let mut rest = Vec::new();
        while let Ok(packet) = self.wire.read_packet() {
            rest.push(packet);
        }
        self.answers.push((label.to_owned(), rest));
    }
}

/// The store counts statements over all sessions: ids differ in answers to PREPARE and in errors
/// that name a statement (1243, 1421).
/// And a change of user brings 20 random bytes, after the plugin's name.
fn mask(answer: &mut [Packet], kind: u8) {
    let Some(Packet { payload, .. }) = answer.first_mut() else {
        return;
    };
    match payload[..] {
        [0, ..] if kind == command::STMT_PREPARE => payload[1..5].fill(0),
        [0xfe, ..] if kind == command::CHANGE_USER => payload[23..43].fill(0),
        [0xff, 0xdb, 0x04, ..] | [0xff, 0x8d, 0x05, ..] => {
            payload.retain(|byte| !byte.is_ascii_digit());
        }
        _ => {}
    }
}

pub fn query(sql: &str) -> Vec<u8> {
    [&[command::QUERY], sql.as_bytes()].concat()
}

pub fn prepare(sql: &str) -> Vec<u8> {
    [&[command::STMT_PREPARE], sql.as_bytes()].concat()
}

/// A command about a prepared statement: kind, id, rest.
pub fn about(kind: u8, id: u32, rest: &[u8]) -> Vec<u8> {
    [&[kind], &id.to_le_bytes()[..], rest].concat()
}

pub fn execute(id: u32, flags: u8, parameters: &[Parameter<'_>]) -> Vec<u8> {
    let mut payload = about(command::STMT_EXECUTE, id, &[flags, 1, 0, 0, 0]);
    if parameters.is_empty() {
        return payload;
    }
    let mut nulls = vec![0_u8; parameters.len().div_ceil(8)];
    let (mut types, mut values) = (Vec::new(), Vec::new());
    for (index, parameter) in parameters.iter().enumerate() {
        types.extend(match parameter {
            Parameter::Null => [6, 0],
            Parameter::Int(_) => [8, 0],
            Parameter::Double(_) => [5, 0],
            Parameter::Text(_) | Parameter::Long => [253, 0],
        });
        match parameter {
            Parameter::Null => nulls[index / 8] |= 1 << (index % 8),
            Parameter::Int(value) => values.extend(value.to_le_bytes()),
            Parameter::Double(value) => values.extend(value.to_le_bytes()),
            Parameter::Text(text) => {
                assert!(text.len() < 251);
                values.push(text.len() as u8);
                values.extend(text.as_bytes());
            }
            Parameter::Long => {}
        }
    }
    payload.extend(nulls);
    payload.push(1);
    payload.extend(types);
    payload.extend(values);
    payload
}

/// Shows where two answers differ.
pub fn difference(direct: &[Packet], proxied: &[Packet]) -> String {
    let same = direct
        .iter()
        .zip(proxied)
        .take_while(|(a, b)| a == b)
        .count();
    let (a, b) = (direct.get(same), proxied.get(same));
    let at = match (a, b) {
        (Some(a), Some(b)) => a
            .payload
            .iter()
            .zip(&b.payload)
            .take_while(|(a, b)| a == b)
            .count(),
        _ => 0,
    };
    format!(
        "packet {same} of {} and {}, byte {at} after {HEADER_BYTES}:\n direct {a:?}\nproxied {b:?}",
        direct.len(),
        proxied.len()
    )
}
