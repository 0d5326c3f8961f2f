//! Fuzzing of framer and tracker together, used as in a session.

use super::answers::{View, view};
use super::framing::Frames;
use super::input::{Input, pieces};
use crate::relay::framer::{Framer, Stop};
use crate::relay::tracker::{ClientTurn, Tracker};
use crate::relay::{Handled, Route, Router, SessionEnd, Takeover};
use crate::wire::{HEADER_BYTES, StatusFlags};

/// Minimum part of an uninspected command that the router gets.
const HEAD_BYTES: usize = 6;

/// Routes commands to the lane by a rule, and records what it was given.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wayward {
    /// One bit for each of the eight possible values of a body's checksum.
    lane: u8,
    inspect_bytes_max: usize,
    shown: Vec<Vec<u8>>,
    unseen: Vec<Vec<u8>>,
}

impl Router for Wayward {
    type Routed = ();

    fn route(&mut self, command: u8, body: &[u8]) -> Route<()> {
        assert!(body.len() < self.inspect_bytes_max);
        self.shown.push([&[command], body].concat());
        let checksum = body
            .iter()
            .fold(command, |sum, byte| sum.wrapping_add(*byte));
        if self.lane >> (checksum % 8) & 1 == 1 {
            Route::Lane(())
        } else {
            Route::Forward
        }
    }

    fn passed_unseen(&mut self, command: u8, head: &[u8]) {
        let head = head.get(..HEAD_BYTES).unwrap_or(head);
        self.unseen.push([&[command], head].concat());
    }

    async fn handle(&mut self, _takeover: Takeover<'_, ()>) -> Result<Handled, SessionEnd> {
        Ok(Handled::Answered)
    }
}

/// A session without its sockets.
#[derive(Debug)]
struct Session {
    framer: Framer,
    tracker: Tracker,
    router: Wayward,
    /// Client bytes not processed yet.
    kept: Vec<u8>,
    received_bytes: usize,
    /// Client bytes that were forwarded or given to the lane.
    frames: Frames,
    forwarded_bytes: usize,
    lane_bytes: usize,
    lane_due: bool,
    /// The buffered bytes wait for the store's next packet.
    held: bool,
}

/// Any bytes of both sides: the boundaries of reads have no effect, every byte is forwarded, given
/// to the lane, or buffered from the start of a packet on, and the lane gets whole commands while
/// the store is idle.
pub fn commands(data: &[u8]) {
    play(data);
}

/// Whether the session is followed to an end without outstanding answers.
#[cfg(test)]
pub(super) fn ends_idle(data: &[u8]) -> bool {
    play(data).is_some_and(|session| session.tracker.idle() && session.kept.is_empty())
}

/// The session's final state; none if the proxy ends it.
fn play(data: &[u8]) -> Option<Session> {
    let mut input = Input::new(data);
    let capabilities = input.capabilities();
    let (seed, inspect_bytes_max) = (input.byte(), usize::from(input.byte()) * 8);
    let lane = input.byte();
    let session = || Session {
        framer: Framer::new(inspect_bytes_max),
        tracker: Tracker::new(capabilities, StatusFlags::empty()),
        router: Wayward {
            lane,
            inspect_bytes_max,
            ..Wayward::default()
        },
        kept: Vec::new(),
        received_bytes: 0,
        frames: Frames::default(),
        forwarded_bytes: 0,
        lane_bytes: 0,
        lane_due: false,
        held: false,
    };
    let (mut whole, mut cut) = (session(), session());
    while let Some(record) = input.record() {
        if record.tag % 2 == 0 {
            whole.client_bytes(record.bytes);
            pieces(record.bytes, seed).for_each(|piece| cut.client_bytes(piece));
        } else {
            let followed = whole.tracker.store_bytes(record.bytes);
            let mut pieces = pieces(record.bytes, seed);
            let cut_followed = pieces.try_for_each(|piece| cut.tracker.store_bytes(piece));
            assert_eq!(followed, cut_followed);
            if followed.is_err() {
                return None;
            }
            whole.go_on();
            cut.go_on();
        }
        assert_eq!(whole.seen(), cut.seen());
        assert_eq!(whole.router, cut.router);
    }
    Some(whole)
}

impl Session {
    fn client_bytes(&mut self, bytes: &[u8]) {
        self.kept.extend_from_slice(bytes);
        self.received_bytes += bytes.len();
        self.go_on();
    }

    fn seen(&self) -> (View, usize, usize, bool) {
        let lane = (self.lane_bytes, self.lane_due);
        (view(&self.tracker), self.forwarded_bytes, lane.0, lane.1)
    }

    /// Processes as much as possible before more bytes arrive.
    fn go_on(&mut self) {
        while self.step() {}
        let accounted = self.forwarded_bytes + self.lane_bytes + self.kept.len();
        assert_eq!(accounted, self.received_bytes);
    }

    fn step(&mut self) -> bool {
        let turn = self.tracker.client_turn();
        if self.lane_due {
            if self.tracker.idle() {
                self.lane_answers();
                return true;
            }
            // Not a command after all: the store asked for a file.
            self.lane_due = !(turn == ClientTurn::LocalFile || self.tracker.opaque());
            return !self.lane_due;
        }
        if self.kept.is_empty() || (self.held && turn == ClientTurn::Hold) {
            return false;
        }
        let Self {
            framer,
            tracker,
            router,
            kept,
            ..
        } = self;
        let (decided, stop) = framer.decide(kept, tracker, router);
        assert!(decided <= kept.len());
        self.frames.feed(kept.get(..decided).unwrap_or_default());
        kept.drain(..decided);
        self.forwarded_bytes += decided;
        self.held = stop == Stop::Hold;
        match stop {
            Stop::End => assert!(self.kept.is_empty()),
            Stop::Incomplete => assert!(!self.kept.is_empty()),
            Stop::Hold => assert_eq!(self.tracker.client_turn(), ClientTurn::Hold),
            Stop::Lane(()) => self.lane_due = true,
            Stop::Long(route) => panic!("{route:?} of a router that looks at no part"),
        }
        assert!(stop == Stop::End || self.frames.between_packets());
        stop == Stop::Lane(())
    }

    fn lane_answers(&mut self) {
        self.lane_due = false;
        let Some((&[a, b, c, _], payload)) = self.kept.split_first_chunk::<HEADER_BYTES>() else {
            panic!("the lane's command has no header: {:?}", self.kept);
        };
        let length = u32::from_le_bytes([a, b, c, 0]) as usize;
        let command = payload.get(..length);
        assert_eq!(command, self.router.shown.last().map(Vec::as_slice));
        self.kept.drain(..HEADER_BYTES + length);
        self.lane_bytes += HEADER_BYTES + length;
    }
}
