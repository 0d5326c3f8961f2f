//! Splits a client's byte stream into commands, as far as the router inspects them.

use super::router::{LongHead, LongRoute};
use super::tracker::{ClientTurn, Tracker};
use super::{Route, Router};
use crate::wire::{HEADER_BYTES, PACKET_BYTES_MAX, command};

/// Why a walk over a client's bytes stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop<R> {
    /// All bytes may be forwarded.
    End,
    /// The next command is not complete.
    Incomplete,
    /// The meaning of the next bytes depends on the store's next packet.
    Hold,
    /// The next command is complete and routed to the lane.
    Lane(R),
    /// The next command is long, and not known to be the store's.
    Long(LongRoute),
}

/// Follows a client's packet framing.
#[derive(Debug)]
pub struct Framer {
    /// Bytes still missing of a packet whose start was forwarded.
    rest_bytes: usize,
    /// The last packet had the maximum length (16 MiB): the next packet continues its payload.
    continuation: bool,
    /// Maximum length of a command that is shown to the router as a whole.
    whole_bytes_max: usize,
}

/// Longest command that is shown to the router as a whole when it has arrived.
pub const WHOLE_BYTES_MAX: usize = 1 << 20;

/// Bytes of the body of a longer one that the router gets first: a statement id and a parameter
/// number.
const HEAD_BYTES: usize = 6;

/// Commands that the lane may answer or that may change its state. All others are forwarded
/// without inspection.
fn is_inspected(command: u8) -> bool {
    matches!(
        command,
        command::QUERY
            | command::INIT_DB
            | command::CHANGE_USER
            | command::STMT_PREPARE
            | command::STMT_EXECUTE
            | command::STMT_SEND_LONG_DATA
            | command::STMT_CLOSE
            | command::STMT_RESET
            | command::STMT_FETCH
            | command::STMT_BULK_EXECUTE
            | command::RESET_CONNECTION
    )
}

impl Framer {
    /// A framer at the start of a packet.
    #[must_use]
    pub fn new(inspect_bytes_max: usize) -> Self {
        Self {
            rest_bytes: 0,
            continuation: false,
            whole_bytes_max: inspect_bytes_max.min(WHOLE_BYTES_MAX),
        }
    }

    /// Goes on within a command that was forwarded in another way: after `rest_bytes` of a packet,
    /// another one `continues` it.
    pub fn resume(&mut self, rest_bytes: usize, continues: bool) {
        self.rest_bytes = rest_bytes;
        self.continuation = continues;
    }

    /// Returns how many bytes of `input` may be forwarded now, and why no more. Reports the
    /// commands among them to the tracker.
    #[inline]
    pub fn decide<R: Router>(
        &mut self,
        input: &[u8],
        tracker: &mut Tracker,
        router: &mut R,
    ) -> (usize, Stop<R::Routed>) {
        let mut at = 0;
        loop {
            if self.rest_bytes > 0 {
                let passed = self.rest_bytes.min(input.len() - at);
                self.rest_bytes -= passed;
                at += passed;
            }
            let rest = input.get(at..).unwrap_or_default();
            if rest.is_empty() {
                return (at, Stop::End);
            }
            if tracker.opaque() {
                return (input.len(), Stop::End);
            }
            let turn = tracker.client_turn();
            if turn == ClientTurn::Hold {
                return (at, Stop::Hold);
            }
            let Some((&[a, b, c, seq], payload)) = rest.split_first_chunk::<HEADER_BYTES>() else {
                return (at, Stop::Incomplete);
            };
            let length = u32::from_le_bytes([a, b, c, 0]) as usize;
            if turn != ClientTurn::Command {
                tracker.client_packet(seq);
            }
            match turn {
                ClientTurn::Command if !self.continuation => {
                    if let Some(stop) = self.command(length, payload, tracker, router) {
                        return (at, stop);
                    }
                }
                ClientTurn::LocalFile if !self.continuation && length == 0 => {
                    tracker.local_file_sent();
                }
                ClientTurn::Login => tracker.login_sent(),
                _ => {}
            }
            self.continuation = length == PACKET_BYTES_MAX;
            self.rest_bytes = HEADER_BYTES + length;
        }
    }

    #[inline]
    fn command<R: Router>(
        &self,
        length: usize,
        payload: &[u8],
        tracker: &mut Tracker,
        router: &mut R,
    ) -> Option<Stop<R::Routed>> {
        let Some(&command) = payload.first() else {
            if length > 0 {
                return Some(Stop::Incomplete);
            }
            // The store reads an empty packet as COM_SLEEP and answers with an error.
            tracker.command(command::SLEEP);
            return None;
        };
        if is_inspected(command) && length > self.whole_bytes_max {
            let head = payload
                .get(1..length.min(payload.len()))
                .unwrap_or_default();
            if head.len() < HEAD_BYTES.min(length - 1) {
                return Some(Stop::Incomplete);
            }
            let route = router.long_begins(LongHead {
                command,
                head,
                status: tracker.idle().then(|| tracker.status().flags()),
                packet_bytes: length,
            });
            if route != LongRoute::Forward {
                return Some(Stop::Long(route));
            }
        } else if is_inspected(command) && length > 0 {
            let Some(body) = payload.get(1..length) else {
                return Some(Stop::Incomplete);
            };
            if let Route::Lane(routed) = router.route(command, body) {
                return Some(Stop::Lane(routed));
            }
        }
        if length == 0 {
            tracker.command(command::SLEEP);
        } else {
            let body = payload.get(1..length.min(payload.len()));
            tracker.forwarded(command, body.unwrap_or_default());
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::relay::{Handled, SessionEnd, Takeover};
    use crate::wire::{Capabilities, PacketWriter, StatusFlags};
    use proptest::prelude::*;

    /// Routes every statement with an `!` to the lane; records what it was given, whole or in
    /// part.
    #[derive(Default)]
    struct Shown(Vec<Vec<u8>>, Vec<Vec<u8>>);

    impl Router for Shown {
        type Routed = ();

        fn route(&mut self, command: u8, body: &[u8]) -> Route<()> {
            self.0.push([&[command], body].concat());
            if body.contains(&b'!') {
                Route::Lane(())
            } else {
                Route::Forward
            }
        }

        fn passed_unseen(&mut self, command: u8, head: &[u8]) {
            self.1.push([&[command], head].concat());
        }

        async fn handle(&mut self, _takeover: Takeover<'_, ()>) -> Result<Handled, SessionEnd> {
            Ok(Handled::Answered)
        }
    }

    fn tracker() -> Tracker {
        Tracker::new(Capabilities::LOCAL_FILES, StatusFlags::empty())
    }

    fn packets(payloads: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for payload in payloads {
            let mut writer = PacketWriter::new(0);
            writer.write(payload);
            bytes.extend_from_slice(&writer.into_bytes());
        }
        bytes
    }

    #[test]
    fn the_lanes_command_and_what_follows_stay_behind() {
        let (mut framer, mut tracker, mut shown) = (Framer::new(100), tracker(), Shown::default());
        let first = packets(&[b"\x03SELECT 1", b"\x0e"]);
        let all = [&first[..], &packets(&[b"\x03SELECT !", b"\x0e"])].concat();
        let decided = framer.decide(&all, &mut tracker, &mut shown);
        assert_eq!(decided, (first.len(), Stop::Lane(())));
        assert_eq!(shown.0, [&b"\x03SELECT 1"[..], b"\x03SELECT !"]);
    }

    #[test]
    fn a_long_command_passes_unseen_in_parts() {
        let (mut framer, mut tracker, mut shown) = (Framer::new(100), tracker(), Shown::default());
        let long = [b"\x03!".as_slice(), &vec![b'x'; 2 * PACKET_BYTES_MAX]].concat();
        let all = packets(&[&long, b"\x03SELECT !"]);
        let mut at = 0;
        for chunk in all.chunks(60_000) {
            let (decided, stop) = framer.decide(chunk, &mut tracker, &mut shown);
            at += decided;
            if stop != Stop::End {
                assert_eq!(stop, Stop::Lane(()));
            }
        }
        assert_eq!(at, all.len() - 13);
        assert_eq!(shown.0.len(), 1);
    }

    #[test]
    fn the_head_of_a_long_command_is_told_once() {
        let (mut framer, mut tracker, mut shown) = (Framer::new(4), tracker(), Shown::default());
        let data = packets(&[
            b"\x18\x07\0\0\0\x02\0data",
            b"\x16longer",
            b"\x19\x07\0\0\0",
        ]);
        let (mut kept, mut at) = (Vec::new(), 0);
        for byte in &data {
            kept.push(*byte);
            let (decided, _) = framer.decide(&kept, &mut tracker, &mut shown);
            kept.drain(..decided);
            at += decided;
        }
        assert_eq!(at, data.len());
        assert!(shown.0.is_empty());
        assert_eq!(
            shown.1,
            [
                &b"\x18\x07\0\0\0\x02\0"[..],
                b"\x16longer",
                b"\x19\x07\0\0\0"
            ]
        );
    }

    #[test]
    fn a_local_file_is_not_a_command() {
        let (mut framer, mut tracker, mut shown) = (Framer::new(100), tracker(), Shown::default());
        let load = packets(&[b"\x03LOAD DATA"]);
        framer.decide(&load, &mut tracker, &mut shown);
        tracker.store_bytes(b"\x05\0\0\x01\xfbfile").unwrap();
        let file = packets(&[b"\x03DROP ! TABLE", b"", b"\x0e"]);
        let (decided, stop) = framer.decide(&file, &mut tracker, &mut shown);
        assert_eq!((decided, stop), (file.len(), Stop::End));
        assert_eq!(shown.0.len(), 1);
        tracker
            .store_bytes(b"\x07\0\0\x02\0\0\0\x02\0\0\0")
            .unwrap();
        assert!(!tracker.idle(), "the ping is still owed");
        tracker
            .store_bytes(b"\x07\0\0\x01\0\0\0\x02\0\0\0")
            .unwrap();
        assert!(tracker.idle());
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..8),
            chunk_bytes in 1_usize..60,
        ) {
            let commands: Vec<Vec<u8>> = bodies.iter()
                .map(|body| body.iter().map(|byte| byte & 0x5f).collect::<Vec<u8>>())
                .map(|body| [&[command::QUERY], &body[..]].concat())
                .filter(|command| !command.contains(&b'!'))
                .collect();
            let all = packets(&commands.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let (mut framer, mut tracker, mut shown) = (Framer::new(30), tracker(), Shown::default());
            let (mut kept, mut forwarded) = (Vec::new(), Vec::new());
            for chunk in all.chunks(chunk_bytes) {
                kept.extend_from_slice(chunk);
                let (decided, stop) = framer.decide(&kept, &mut tracker, &mut shown);
                prop_assert!(matches!(stop, Stop::End | Stop::Incomplete));
                forwarded.extend(kept.drain(..decided));
            }
            prop_assert_eq!(forwarded, all);
            let seen: Vec<_> = commands.into_iter().filter(|command| command.len() <= 30).collect();
            prop_assert_eq!(shown.0, seen);
        }

        #[test]
        fn any_bytes_pass_or_wait(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let (mut framer, mut tracker, mut shown) = (Framer::new(30), tracker(), Shown::default());
            let (decided, _) = framer.decide(&bytes, &mut tracker, &mut shown);
            prop_assert!(decided <= bytes.len());
        }
    }
}
