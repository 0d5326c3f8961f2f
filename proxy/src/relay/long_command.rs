//! One long command, from its first packet until it is forwarded or given to the lane.

use super::held::{Held, HeldAccount, Reserved};
use super::router::{LongRoute, Router};
use crate::wire::{HEADER_BYTES, PACKET_BYTES_MAX};
use bytes::{Buf, Bytes, BytesMut};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Bytes of the body that are kept: a statement's id, a parameter's number, flags.
const HEAD_BYTES: usize = 16;

/// What happens with a long command.
#[derive(Debug)]
pub enum Stage {
    /// Its packets are received.
    Receiving,
    /// It is read into memory, for the lane.
    Gathering(Reserved, BytesMut),
    /// It is forwarded to the store; what follows what is held is the framer's.
    Releasing,
}

/// Why a command is not answered by the lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is longer than `inspect_bytes_max`.
    TooLong {
        /// The limit.
        bytes_max: usize,
    },
    /// The memory for long commands is used up.
    NoMemory,
    /// The disk space for long commands is used up, or cannot be used.
    NoDisk,
}

/// A command whose packets arrive.
#[derive(Debug)]
pub struct LongCommand {
    pub stage: Stage,
    pub route: LongRoute,
    /// Set where the command is not answered: its bytes are dropped.
    pub refusal: Option<Refusal>,
    held: Held,
    /// The command byte, and the first bytes of the body.
    head: Vec<u8>,
    /// Bytes still missing of the current packet.
    rest_bytes: usize,
    /// Another packet follows.
    continues: bool,
    payload_bytes: usize,
    first_seq: u8,
    last_seq: u8,
}

impl LongCommand {
    /// A command of which nothing has been received.
    pub fn new(route: LongRoute, account: &Arc<HeldAccount>) -> Self {
        Self {
            stage: Stage::Receiving,
            route,
            refusal: None,
            held: Held::new(Arc::clone(account)),
            head: Vec::new(),
            rest_bytes: 0,
            continues: true,
            payload_bytes: 0,
            first_seq: 0,
            last_seq: 0,
        }
    }

    /// Takes the command's bytes from the start of `input`, and shows them to the router. Returns
    /// how many; the rest begins with an incomplete header, or with the next command.
    pub fn feed<R: Router>(&mut self, input: &[u8], router: &mut R) -> usize {
        let mut at = 0;
        loop {
            let rest = input.get(at..).unwrap_or_default();
            if self.rest_bytes > 0 {
                let (payload, _) = rest.split_at(self.rest_bytes.min(rest.len()));
                if payload.is_empty() {
                    return at;
                }
                self.payload(payload, router);
                at += payload.len();
                continue;
            }
            if !self.continues {
                return at;
            }
            let Some(header @ &[a, b, c, seq]) = rest.first_chunk::<HEADER_BYTES>() else {
                return at;
            };
            self.rest_bytes = u32::from_le_bytes([a, b, c, 0]) as usize;
            self.continues = self.rest_bytes == PACKET_BYTES_MAX;
            if self.head.is_empty() {
                self.first_seq = seq;
            }
            self.last_seq = seq;
            self.keep(header);
            at += HEADER_BYTES;
        }
    }

    fn payload<R: Router>(&mut self, payload: &[u8], router: &mut R) {
        let body = match self.payload_bytes {
            0 => payload.get(1..).unwrap_or_default(),
            _ => payload,
        };
        if self.route == LongRoute::Look && router.look(body) {
            self.route = LongRoute::Lane;
        }
        let missing = (1 + HEAD_BYTES).saturating_sub(self.head.len());
        self.head.extend(payload.iter().take(missing));
        self.rest_bytes -= payload.len();
        self.payload_bytes += payload.len();
        self.keep(payload);
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.refusal.is_none() {
            self.held.push(bytes);
        }
    }

    /// Whether all packets have been received.
    pub fn is_complete(&self) -> bool {
        self.rest_bytes == 0 && !self.continues
    }

    /// Length of what has been received of the command byte and the body.
    pub fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }

    /// The command byte, and the first bytes of the body.
    pub fn head(&self) -> (u8, &[u8]) {
        self.head
            .split_first()
            .map_or((0, &[]), |(c, body)| (*c, body))
    }

    /// Sequence ids of the first and of the last packet.
    pub fn seqs(&self) -> (u8, u8) {
        (self.first_seq, self.last_seq)
    }

    /// Where the next bytes stand: missing bytes of the packet, and whether another packet
    /// follows.
    pub fn position(&self) -> (usize, bool) {
        (self.rest_bytes, self.continues)
    }

    /// Drops what is held, and what is still to come.
    pub fn refuse(&mut self, refusal: Refusal, account: &Arc<HeldAccount>) {
        self.refusal = Some(refusal);
        self.held = Held::new(Arc::clone(account));
    }

    /// Ready when more bytes may be received.
    ///
    /// # Errors
    /// No more can be kept.
    pub fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.held.poll_room(context)
    }

    /// The next bytes to forward; none after the last.
    ///
    /// # Errors
    /// Bytes are lost.
    pub fn poll_release(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        self.held.poll_take(context)
    }

    /// Begins to read the command into memory that has been reserved.
    pub fn gather(&mut self, reserved: Reserved) {
        let packets = self.payload_bytes / PACKET_BYTES_MAX + 1;
        let bytes = self.payload_bytes + packets * HEADER_BYTES;
        self.stage = Stage::Gathering(reserved, BytesMut::with_capacity(bytes));
    }

    /// The whole payload.
    ///
    /// # Errors
    /// Bytes are lost.
    pub fn poll_gathered(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        while let Some(block) = ready!(self.held.poll_take(context))? {
            if let Stage::Gathering(_, gathered) = &mut self.stage {
                gathered.extend_from_slice(&block);
            }
        }
        match std::mem::replace(&mut self.stage, Stage::Receiving) {
            Stage::Gathering(reserved, packets) => {
                Poll::Ready(Ok(reserved.hold(joined(packets).freeze())))
            }
            Stage::Receiving | Stage::Releasing => {
                Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()))
            }
        }
    }
}

/// The payload of some packets, in their place.
fn joined(mut packets: BytesMut) -> BytesMut {
    let first = packets
        .first_chunk::<HEADER_BYTES>()
        .copied()
        .unwrap_or_default();
    packets.advance(HEADER_BYTES.min(packets.len()));
    if length(first) < PACKET_BYTES_MAX {
        return packets;
    }
    let (mut to, mut from) = (PACKET_BYTES_MAX, PACKET_BYTES_MAX);
    while let Some(&header) = packets.get(from..).and_then(|rest| rest.first_chunk()) {
        from += HEADER_BYTES;
        let end = (from + length(header)).min(packets.len());
        packets.copy_within(from..end, to);
        to += end - from;
        from = end;
    }
    packets.truncate(to);
    packets
}

fn length([a, b, c, _]: [u8; HEADER_BYTES]) -> usize {
    u32::from_le_bytes([a, b, c, 0]) as usize
}
