//! One side of a comparison: a session that keeps every packet of every answer.

use super::encode::{Parameter, execute, query, text};
use predictsql_proxy::wire::{Capabilities, HEADER_BYTES, command, lenenc};
use predictsql_tests::Wire;
use predictsql_tests::wire::{Login, Packet, packets};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use tokio_rustls::rustls::ClientConfig;

/// Longest part of a command that messages show.
const LABEL_BYTES_MAX: usize = 120;

/// An answer: what was asked, for messages, and what came.
pub type Answer = (String, Vec<Packet>);

/// How a side's sessions are opened.
#[derive(Clone)]
pub struct Client {
    pub address: SocketAddr,
    pub capabilities: Capabilities,
    /// For sessions in TLS.
    pub tls: Option<Arc<ClientConfig>>,
}

impl Client {
    /// As `root`; the rest is for scripts to say.
    pub fn login(&self) -> Login<'static> {
        Login {
            capabilities: self.capabilities,
            tls: self.tls.clone(),
            ..Login::default()
        }
    }
}

/// A session that records.
pub struct Tape {
    pub wire: Wire,
    pub client: Client,
    answers: Vec<Answer>,
}

impl Tape {
    /// The session that scripts start with; its login is kept too.
    pub fn open(client: &Client) -> Self {
        let login = Login {
            database: Some("fidelity"),
            attributes: &[("program_name", "fidelity"), ("ml.predict(", "")],
            ..client.login()
        };
        let wire = Wire::login_with(client.address, &login).unwrap();
        let mut tape = Self {
            wire,
            client: client.clone(),
            answers: Vec::new(),
        };
        let handshake = tape.wire.handshake().to_vec();
        tape.keep_handshake("login", handshake);
        tape
    }

    pub fn into_answers(self) -> Vec<Answer> {
        self.answers
    }

    /// Runs these at once, each in a session of its own, and keeps what each was told:
    /// for those that wait.
    pub fn at_once(&mut self, runs: &[&(dyn Fn(&mut Tape) + Sync)]) {
        let client = &self.client;
        let run = |run: &(dyn Fn(&mut Tape) + Sync)| {
            let mut other = Tape::open(client);
            run(&mut other);
            other.into_answers()
        };
        let answers: Vec<_> = thread::scope(|scope| {
            let sessions: Vec<_> = runs
                .iter()
                .map(|&one| scope.spawn(move || run(one)))
                .collect();
            sessions
                .into_iter()
                .map(|session| session.join().unwrap())
                .collect()
        });
        self.answers.extend(answers.into_iter().flatten());
    }

    /// Whether the session has what a script needs.
    pub fn has(&self, capabilities: Capabilities) -> bool {
        self.wire.capabilities().has(capabilities)
    }

    /// Whether the proxy still follows the session; nothing where that has ended. The statement is
    /// the proxy's own: one that it does not follow reaches the store, which knows no such syntax.
    pub fn is_followed(&mut self) -> Option<bool> {
        const SYNTAX: &[u8] = b"\xff\x28\x04";
        let answer = self.wire.command(&query("SHOW TASKS")).ok()?;
        Some(!answer[0].payload.starts_with(SYNTAX))
    }

    /// Logs in once more, by itself, and keeps what the server says: all but the greeting,
    /// which is another's test.
    #[track_caller]
    pub fn try_login(&mut self, login: &Login<'_>) {
        let handshake = Wire::handshake_with(self.client.address, login).unwrap();
        self.keep_handshake(login.user, handshake);
    }

    /// Goes on in another session.
    #[track_caller]
    pub fn login(&mut self, login: &Login<'_>) {
        self.wire = Wire::login_with(self.client.address, login).unwrap();
        let handshake = self.wire.handshake().to_vec();
        self.keep_handshake(login.user, handshake);
    }

    fn keep_handshake(&mut self, user: &str, mut handshake: Vec<Packet>) {
        handshake.remove(0);
        mask(&mut handshake, command::CHANGE_USER);
        self.answers.push((format!("login of {user:?}"), handshake));
    }

    /// Changes the user and keeps what the server says.
    #[track_caller]
    pub fn change_user(&mut self, login: &Login<'_>) {
        let answer = self.wire.change_user(login);
        let label = format!("change of user to {:?}", login.user);
        self.keep(command::CHANGE_USER, label, answer);
    }

    /// Keeps the answer to a command of that kind.
    #[track_caller]
    pub fn keep(&mut self, kind: u8, label: impl Into<String>, answer: io::Result<Vec<Packet>>) {
        let mut label: String = label.into();
        label.truncate(LABEL_BYTES_MAX);
        match answer {
            Ok(mut answer) => {
                mask(&mut answer, kind);
                self.answers.push((label, answer));
            }
            Err(error) => panic!("{error} at {label}"),
        }
    }

    /// Sends a command and keeps its answer.
    #[track_caller]
    pub fn command(&mut self, payload: &[u8]) {
        let answer = self.wire.command(payload);
        self.keep(payload[0], label(payload), answer);
    }

    /// Sends a command whose answer holds text cells that differ by nature, and keeps the rest.
    #[track_caller]
    pub fn command_but_for_cells(&mut self, payload: &[u8], cells: &[usize]) {
        let mut answer = self.wire.command(payload);
        if let Ok(packets) = &mut answer {
            mask_cells(packets, cells);
        }
        self.keep(payload[0], label(payload), answer);
    }

    #[track_caller]
    pub fn query(&mut self, sql: &str) {
        self.command(&query(sql));
    }

    /// A LOAD DATA LOCAL statement, and the file.
    #[track_caller]
    pub fn load(&mut self, sql: &str, file: &[u8]) {
        self.wire.local_file = file.to_vec();
        self.query(sql);
    }

    /// Prepares a statement; its id, or 0 where it was refused.
    #[track_caller]
    pub fn prepare(&mut self, sql: &str) -> u32 {
        self.prepare_bytes(sql.as_bytes(), sql)
    }

    /// The same of a text in any character set, shown as `label`.
    #[track_caller]
    pub fn prepare_bytes(&mut self, sql: &[u8], label: &str) -> u32 {
        let answer = self.wire.command(&text(command::STMT_PREPARE, sql));
        let id = match answer.as_deref() {
            Ok([Packet { payload, .. }, ..]) => match payload[..] {
                [0, a, b, c, d, ..] => u32::from_le_bytes([a, b, c, d]),
                _ => 0,
            },
            _ => 0,
        };
        self.keep(command::STMT_PREPARE, format!("prepare {label}"), answer);
        id
    }

    #[track_caller]
    pub fn execute(&mut self, id: u32, flags: u8, parameters: &[Parameter<'_>]) {
        self.command(&execute(id, flags, parameters));
    }

    /// Sends commands in one write, and then keeps their answers.
    #[track_caller]
    pub fn pipeline(&mut self, commands: &[Vec<u8>]) {
        self.in_chunks(commands, || usize::MAX);
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
    pub fn read_answers(&mut self, commands: &[Vec<u8>]) {
        for command in commands {
            // The server takes an empty packet for COM_SLEEP.
            let kind = command.first().copied().unwrap_or(command::SLEEP);
            let answer = self.wire.read_answer_to(command);
            self.keep(kind, label(command), answer);
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

    /// The same where the store closes and owes an answer:
    /// the proxy tells that to a client that waits.
    pub fn until_lost(&mut self, label: &str) {
        const LOST: &[u8] = b"\xff\x86\x04#08S01";
        self.until_closed(label);
        if let Some((_, rest)) = self.answers.last_mut() {
            rest.retain(|packet| !packet.payload.starts_with(LOST));
        }
    }
}

fn label(payload: &[u8]) -> String {
    let shown = &payload[..payload.len().min(LABEL_BYTES_MAX)];
    shown.escape_ascii().to_string()
}

/// What differs between two sessions however they are connected.
///
/// The store counts statements over all sessions: ids differ in answers to PREPARE and in errors
/// that name a statement (1243, 1421). A request for another plugin's proof ends with random
/// bytes. And variables that have changed are told in the order of their addresses in the store's
/// memory.
fn mask(answer: &mut [Packet], kind: u8) {
    for Packet { payload, .. } in &mut *answer {
        if let Some(sorted) = with_sorted_variables(payload) {
            *payload = sorted;
        }
        if kind == command::CHANGE_USER
            && payload.first() == Some(&0xfe)
            && let Some(plugin_end) = payload.iter().position(|&byte| byte == 0)
        {
            payload[plugin_end..].fill(0);
        }
    }
    let Some(Packet { payload, .. }) = answer.first_mut() else {
        return;
    };
    match payload[..] {
        [0, ..] if kind == command::STMT_PREPARE => payload[1..5].fill(0),
        [0xff, 0xdb, 0x04, ..] | [0xff, 0x8d, 0x05, ..] => {
            payload.retain(|byte| !byte.is_ascii_digit());
        }
        _ => {}
    }
}

/// An OK packet that tells of changed variables, with these in the order of their names.
fn with_sorted_variables(payload: &[u8]) -> Option<Vec<u8>> {
    const SESSION_STATE_CHANGED: u16 = 0x4000;
    const VARIABLE: u8 = 0;
    let mut input = match payload {
        [0x00 | 0xfe, rest @ ..] => rest,
        _ => return None,
    };
    let _affected_and_id = (
        lenenc::get_int(&mut input).ok()?,
        lenenc::get_int(&mut input).ok()?,
    );
    let status = lenenc::get_u16(&mut input).ok()?;
    let _warnings = lenenc::get_u16(&mut input).ok()?;
    let _info = lenenc::get_str(&mut input).ok()?;
    if status & SESSION_STATE_CHANGED == 0 {
        return None;
    }
    let mut sorted = payload[..payload.len() - input.len()].to_vec();
    let mut changes = lenenc::get_str(&mut input).ok()?;
    if !input.is_empty() {
        return None;
    }
    let (mut variables, mut others) = (Vec::new(), Vec::new());
    while let Ok(kind) = lenenc::get_u8(&mut changes) {
        let change = lenenc::get_str(&mut changes).ok()?;
        let same_kind = if kind == VARIABLE {
            &mut variables
        } else {
            &mut others
        };
        same_kind.push((kind, change));
    }
    variables.sort_unstable();
    let mut state = Vec::new();
    for (kind, change) in variables.into_iter().chain(others) {
        state.push(kind);
        lenenc::put_str(&mut state, change);
    }
    lenenc::put_str(&mut sorted, &state);
    Some(sorted)
}

/// Replaces cells of the rows of a text result, by their places.
fn mask_cells(answer: &mut [Packet], masked: &[usize]) {
    let Some(&columns) = answer[0].payload.first() else {
        return;
    };
    for Packet { payload, .. } in answer.iter_mut().skip(1 + usize::from(columns)) {
        let mut input = &payload[..];
        let read = |_| lenenc::get_cell(&mut input).ok();
        let Some(cells) = (0..columns).map(read).collect::<Option<Vec<_>>>() else {
            continue;
        };
        let mut kept = Vec::new();
        for (place, cell) in cells.into_iter().enumerate() {
            let cell = cell.filter(|_| !masked.contains(&place));
            lenenc::put_cell(&mut kept, cell);
        }
        *payload = kept;
    }
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
