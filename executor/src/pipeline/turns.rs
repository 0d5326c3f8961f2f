//! Queue of waiting work with fair queueing: each caller's work in order, and callers in turn.
//!
//! Each piece has a cost, its duration. A virtual clock advances by the share of one caller, so it
//! is slower the more callers wait. A caller that begins to wait starts at the clock's time, or at
//! the end of its last work by that clock if that is later. The next piece is the one that would
//! end first. So a small piece of a new caller passes all callers that have more work, callers
//! with much work get equal time, and no caller starves.

use std::collections::VecDeque;

use crate::caller::CallerId;

/// Idle callers are remembered up to this number, until the clock has passed their end.
const IDLE_MIN: usize = 64;

/// Priority among one caller's pieces, regardless of arrival order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Begun in the last stage.
    Ending,
    /// Waiting for the last stage: nearly finished work leaves before new work begins.
    Last,
    /// Begun in another stage.
    Begun,
    Waiting,
}

#[derive(Debug)]
pub(super) struct Turns<T> {
    callers: Vec<Turn<T>>,
    /// The virtual clock, in nanoseconds.
    now: u64,
}

#[derive(Debug)]
struct Turn<T> {
    caller: CallerId,
    /// Virtual start time of its next piece.
    start: u64,
    pieces: VecDeque<Piece<T>>,
}

#[derive(Debug)]
struct Piece<T> {
    rank: Rank,
    cost_ns: u64,
    work: T,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self {
            callers: Vec::new(),
            now: 0,
        }
    }
}

impl<T> Turns<T> {
    /// Adds a caller's piece behind those of the same rank.
    pub(super) fn push(&mut self, caller: CallerId, rank: Rank, cost_ns: u64, work: T) {
        let now = self.now;
        let turn = self.turn(caller);
        if turn.pieces.is_empty() {
            turn.start = turn.start.max(now);
        }
        let place = turn.pieces.partition_point(|piece| piece.rank <= rank);
        let piece = Piece {
            rank,
            cost_ns,
            work,
        };
        turn.pieces.insert(place, piece);
    }

    /// Removes the next piece.
    pub(super) fn pop(&mut self) -> Option<T> {
        let end = |turn: &Turn<T>| {
            let next = turn.pieces.front()?;
            Some(turn.start.saturating_add(next.cost_ns))
        };
        let waiting = self.callers.iter().enumerate();
        let ends = waiting.filter_map(|(index, turn)| Some((end(turn)?, index)));
        let (_, index) = ends.min()?;
        let callers = self.callers.iter().filter(|t| !t.pieces.is_empty());
        let callers = callers.count().max(1) as u64;
        let turn = self.callers.get_mut(index)?;
        let piece = turn.pieces.pop_front()?;
        turn.start = turn.start.saturating_add(piece.cost_ns);
        self.now = self.now.saturating_add(piece.cost_ns / callers);
        Some(piece.work)
    }

    /// Removes each waiting piece, of any caller, for which `takes` returns true; its cost is
    /// charged to its caller.
    pub(super) fn take_along(&mut self, mut takes: impl FnMut(&T) -> bool) -> Vec<T> {
        let mut taken = Vec::new();
        for turn in &mut self.callers {
            let mut index = 0;
            while let Some(piece) = turn.pieces.get(index) {
                if !takes(&piece.work) {
                    index += 1;
                    continue;
                }
                turn.start = turn.start.saturating_add(piece.cost_ns);
                taken.extend(turn.pieces.remove(index).map(|piece| piece.work));
            }
        }
        taken
    }

    /// Corrects the estimated cost of a caller's work.
    pub(super) fn settle(&mut self, caller: CallerId, said_ns: u64, took_ns: u64) {
        let now = self.now;
        let turn = self.turn(caller);
        if turn.pieces.is_empty() {
            turn.start = turn.start.max(now);
        }
        turn.start = turn.start.saturating_sub(said_ns).saturating_add(took_ns);
    }

    /// Removes all waiting work.
    pub(super) fn take_all(&mut self) -> Vec<T> {
        let pieces = self.callers.drain(..).flat_map(|turn| turn.pieces);
        pieces.map(|piece| piece.work).collect()
    }

    fn turn(&mut self, caller: CallerId) -> &mut Turn<T> {
        if let Some(index) = self.callers.iter().position(|t| t.caller == caller) {
            return &mut self.callers[index];
        }
        if self.callers.len() >= IDLE_MIN {
            let now = self.now;
            self.callers
                .retain(|turn| !turn.pieces.is_empty() || turn.start > now);
        }
        let index = self.callers.len();
        self.callers.push(Turn {
            caller,
            start: self.now,
            pieces: VecDeque::new(),
        });
        &mut self.callers[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The given number of scans with a thousand pieces each, the first begun by `threads`.
    fn scans(count: usize, threads: usize) -> Turns<String> {
        let mut turns = Turns::default();
        for scan in 0..count {
            let caller = CallerId::new();
            for _ in 0..1000 {
                turns.push(caller, Rank::Waiting, 10_000, format!("scan {scan}"));
            }
        }
        for _ in 0..threads {
            assert!(turns.pop().is_some());
        }
        turns
    }

    /// Number of pieces served before this one.
    fn before(turns: &mut Turns<String>, wanted: &str) -> usize {
        std::iter::from_fn(|| turns.pop())
            .take_while(|work| work != wanted)
            .count()
    }

    #[test]
    fn a_small_piece_is_next_whatever_the_scans() {
        for scans_count in [1, 2, 16, 64] {
            for begun in [0, 1, 2, 15, 100, 1001] {
                let mut turns = scans(scans_count, begun.min(scans_count * 999));
                for one in ["one", "two"] {
                    // First decoded, then inferred.
                    let caller = CallerId::new();
                    for (rank, work) in [(Rank::Waiting, "decode"), (Rank::Last, "infer")] {
                        turns.push(caller, rank, 100, work.to_string());
                        let passed = before(&mut turns, work);
                        assert!(
                            passed <= 1,
                            "{scans_count} scans, {begun} begun: {one} waits for {passed} to {work}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn scans_share_equally_however_many_pieces_they_bring_at_once() {
        let mut turns = Turns::default();
        let callers: Vec<_> = (0..3).map(|_| CallerId::new()).collect();
        // The second caller pushes ten pieces at a time, the third pieces of twice the cost.
        let push = |turns: &mut Turns<usize>, scan: usize| {
            for _ in 0..[1, 10, 1][scan] {
                turns.push(callers[scan], Rank::Waiting, [10, 10, 20][scan], scan);
            }
        };
        (0..3).for_each(|scan| push(&mut turns, scan));
        let mut time = [0; 3];
        let mut left = [1, 10, 1];
        for _ in 0..3000 {
            let scan = turns.pop().expect("there is always work");
            time[scan] += [10, 10, 20][scan];
            left[scan] -= 1;
            if left[scan] == 0 {
                left[scan] = [1, 10, 1][scan];
                push(&mut turns, scan);
            }
        }
        let (least, most) = (time.iter().min().unwrap(), time.iter().max().unwrap());
        assert!(most - least <= 100, "{time:?}");
    }

    #[test]
    fn many_small_statements_do_not_keep_a_scan_waiting_for_ever() {
        let mut turns = Turns::default();
        let scan = CallerId::new();
        turns.push(scan, Rank::Waiting, 10_000, "scan");
        let mut scanned = 0;
        // Three clients, each with a new statement as soon as its last one is answered.
        for _ in 0..3 {
            turns.push(CallerId::new(), Rank::Waiting, 1_000, "one");
        }
        for _ in 0..1000 {
            match turns.pop() {
                Some("scan") => {
                    scanned += 1;
                    turns.push(scan, Rank::Waiting, 10_000, "scan");
                }
                _ => turns.push(CallerId::new(), Rank::Waiting, 1_000, "one"),
            }
        }
        // A quarter of the time would be 32.
        assert!((16..=40).contains(&scanned), "{scanned}");
    }

    #[test]
    fn a_callers_work_leaves_in_the_order_of_the_stages() {
        let mut turns = Turns::default();
        let caller = CallerId::new();
        for (rank, work) in [
            (Rank::Waiting, "e"),
            (Rank::Last, "b"),
            (Rank::Begun, "d"),
            (Rank::Waiting, "f"),
            (Rank::Last, "c"),
            (Rank::Ending, "a"),
        ] {
            turns.push(caller, rank, 1, work);
        }
        let order: String = std::iter::from_fn(|| turns.pop()).collect();
        assert_eq!(order, "abcdef");
    }

    #[test]
    fn what_took_longer_than_it_was_said_to_counts() {
        let mut turns = Turns::default();
        let (slow, quick) = (CallerId::new(), CallerId::new());
        let mut served = [0, 0];
        for (index, caller) in [slow, quick].into_iter().enumerate() {
            turns.push(caller, Rank::Waiting, 10, index);
        }
        for _ in 0..400 {
            let index = turns.pop().expect("there is always work");
            served[index] += 1;
            let caller = [slow, quick][index];
            turns.push(caller, Rank::Waiting, 10, index);
            turns.settle(caller, 10, [30, 10][index]);
        }
        assert!((95..=105).contains(&served[0]), "{served:?}");
    }

    #[test]
    fn pieces_are_taken_along_and_callers_forgotten() {
        let mut turns = Turns::default();
        for number in 0..1000 {
            turns.push(CallerId::new(), Rank::Last, 10, number);
        }
        let even = turns.take_along(|number| number % 2 == 0);
        assert_eq!(even.len(), 500);
        assert!(std::iter::from_fn(|| turns.pop()).all(|number| number % 2 == 1));
        for _ in 0..10 * IDLE_MIN {
            turns.push(CallerId::new(), Rank::Last, 10, 0);
            assert_eq!(turns.pop(), Some(0));
        }
        assert!(
            turns.callers.len() <= 2 * IDLE_MIN,
            "{}",
            turns.callers.len()
        );
    }
}
