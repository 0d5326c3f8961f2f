//! Fuzzing of the tracker with arbitrary commands and store bytes.

use super::framing::Frames;
use super::input::{Input, Record, pieces};
use crate::relay::tracker::{ClientTurn, Tracker};
use crate::wire::{Capabilities, PACKET_BYTES_MAX, StatusFlags, packet_header};

/// Number of commands sent by the record that floods: more than may be outstanding.
const FLOOD_COMMANDS: usize = 20_000;

/// Observable state of a tracker.
pub(super) type View = (bool, bool, ClientTurn, StatusFlags, Option<u8>, u64);

pub(super) fn view(tracker: &Tracker) -> View {
    (
        tracker.idle(),
        tracker.opaque(),
        tracker.client_turn(),
        tracker.status().flags(),
        tracker.next_answer_seq(),
        tracker.commands(),
    )
}

/// Two trackers of one session, one of which gets the store's bytes in pieces.
struct Twins {
    whole: Tracker,
    cut: Tracker,
    seed: u8,
    frames: Frames,
    was_opaque: bool,
    /// Number of commands since the session was idle; at least the number outstanding.
    commands: usize,
}

/// Any conversation: the boundaries of reads have no effect, the store is not idle within a
/// packet, an opaque session stays opaque, no local file is requested without the capability, and
/// the number of outstanding commands is bounded.
pub fn answers(data: &[u8]) {
    let mut input = Input::new(data);
    let capabilities = input.capabilities();
    let seed = input.byte();
    let tracker = || Tracker::new(capabilities, StatusFlags::SERVER_STATUS_AUTOCOMMIT);
    let mut twins = Twins {
        whole: tracker(),
        cut: tracker(),
        seed,
        frames: Frames::default(),
        was_opaque: false,
        commands: 0,
    };
    while let Some(record) = input.record() {
        if !twins.play(record) {
            return;
        }
        twins.check(capabilities);
    }
}

impl Twins {
    /// Plays one record. False: the session ends.
    fn play(&mut self, record: Record<'_>) -> bool {
        match record.tag % 6 {
            0 | 1 => return self.store_bytes(record.bytes),
            2 => self.command(record.bytes),
            3 => (0..FLOOD_COMMANDS).for_each(|_| self.command(record.bytes)),
            4 if self.whole.client_turn() == ClientTurn::LocalFile => {
                self.whole.local_file_sent();
                self.cut.local_file_sent();
            }
            4 if self.whole.client_turn() == ClientTurn::Login => {
                self.whole.login_sent();
                self.cut.login_sent();
            }
            5 if self.frames.between_packets() => return self.huge_packet(record.bytes),
            _ => {}
        }
        true
    }

    fn command(&mut self, payload: &[u8]) {
        if self.whole.client_turn() == ClientTurn::Command {
            let (command, body) = payload.split_first().unwrap_or((&0, &[]));
            self.whole.forwarded(*command, body);
            self.cut.forwarded(*command, body);
            self.commands += 1;
        }
    }

    fn store_bytes(&mut self, bytes: &[u8]) -> bool {
        let whole = self.whole.store_bytes(bytes);
        let mut pieces = pieces(bytes, self.seed);
        let cut = pieces.try_for_each(|piece| self.cut.store_bytes(piece));
        assert_eq!(whole, cut);
        self.frames.feed(bytes);
        whole.is_ok()
    }

    /// A packet of 16 MiB that starts with `head`; the store's next packet continues its payload.
    fn huge_packet(&mut self, head: &[u8]) -> bool {
        let zeros = vec![0; 1 << 16];
        let mut goes_on = self.store_bytes(&packet_header(PACKET_BYTES_MAX, 1));
        goes_on = goes_on && self.store_bytes(head);
        let mut left = PACKET_BYTES_MAX - head.len();
        while goes_on && left > 0 {
            let part = zeros.get(..left.min(zeros.len())).unwrap_or_default();
            let whole = self.whole.store_bytes(part);
            assert_eq!(whole, self.cut.store_bytes(part));
            self.frames.feed(part);
            goes_on = whole.is_ok();
            left -= part.len();
        }
        goes_on
    }

    fn check(&mut self, capabilities: Capabilities) {
        let tracker = &self.whole;
        assert_eq!(view(tracker), view(&self.cut));
        if tracker.idle() {
            assert!(self.frames.between_packets(), "idle in mid-packet");
            assert_eq!(tracker.next_answer_seq(), None);
            self.commands = 0;
        }
        assert!(tracker.opaque() || !self.was_opaque, "opaque is final");
        assert!(!(tracker.opaque() && tracker.idle()));
        self.was_opaque = tracker.opaque();
        if !capabilities.has(Capabilities::LOCAL_FILES) {
            assert_ne!(tracker.client_turn(), ClientTurn::LocalFile);
        }
        let outstanding = self.whole.outstanding_commands();
        assert!(outstanding <= crate::relay::tracker::PIPELINED_COMMANDS_MAX);
        assert!(outstanding <= self.commands);
    }
}
