//! Feeds the inputs of a statement to models: in pieces of a bounded size, several at once, and
//! their answers in order.
//!
//! Whoever has inputs (rows of a stream, keys of a harvest, labelled rows of an EVALUATE) is a
//! [`Feed`]: it cuts them into pieces that fit a [`Room`]. A [`Pump`] decides when the next piece
//! is cut and how long it may be, has it answered by the future that its caller makes of it, and
//! gives the answered pieces back in the order in which they were cut.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use predictsql_optimizer::schedule::Schedule;

/// Bytes of the rows of a piece, beyond which it takes no further input.
const PIECE_BYTES: usize = 512 * 1024;

/// What a piece may still take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    inputs: usize,
    bytes: usize,
}

impl Room {
    /// Room for so many inputs, at least one.
    pub fn for_inputs(inputs: usize) -> Self {
        Self {
            inputs: inputs.max(1),
            bytes: PIECE_BYTES,
        }
    }

    /// Takes the room of an input whose row holds so many bytes of memory.
    pub fn take(&mut self, bytes: usize) {
        self.inputs = self.inputs.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Takes the room of an input that is too long to be held, and is the last of its piece.
    pub fn take_long(&mut self) {
        self.take(PIECE_BYTES);
    }

    /// Nothing fits any more.
    pub fn is_full(&self) -> bool {
        self.inputs == 0 || self.bytes == 0
    }
}

/// Some inputs, with what their answers are for.
pub trait Piece {
    /// Number of inputs, or of rows that have them.
    fn inputs(&self) -> usize;
}

/// Where inputs come from.
pub trait Feed: Sized {
    /// Some of them.
    type Piece: Piece;
    /// Why they cannot be had.
    type Error;

    /// The next inputs, as many as are here and fit; `None` at the end. By value, so that nothing
    /// is lost where answers are taken while it waits. It is not polled while answers are taken,
    /// so that it must hold nothing across a wait that others wait for.
    ///
    /// # Errors
    /// The feed's own.
    fn next(
        self,
        room: Room,
    ) -> impl Future<Output = Result<Option<(Self, Self::Piece)>, Self::Error>> + Send;
}

/// A piece that is being cut.
type Coming<'f, F> = Pin<
    Box<
        dyn Future<Output = Result<Option<(F, <F as Feed>::Piece)>, <F as Feed>::Error>>
            + Send
            + 'f,
    >,
>;

/// Has the inputs of one statement answered.
pub struct Pump<'f, F, A, M, W>
where
    F: Feed,
    W: Future,
{
    schedule: Schedule,
    may_take: M,
    answer: A,
    answered: &'f AtomicU64,
    coming: Option<Coming<'f, F>>,
    /// Pieces cut so far.
    cut: usize,
    /// Their numbers of inputs, of those that are under way.
    inputs: VecDeque<u64>,
    under_way: FuturesOrdered<W>,
}

impl<'f, F, A, M, W, D> Pump<'f, F, A, M, W>
where
    F: Feed + Send + 'f,
    A: FnMut(F::Piece) -> W,
    M: Fn() -> bool,
    W: Future<Output = Result<D, F::Error>>,
{
    /// A pump of all inputs of `feed`. `may_take`: whether the memory that pieces come from allows
    /// another one beside those under way. `answer` has a piece answered. `answered` counts the
    /// inputs that were.
    pub fn new(
        schedule: Schedule,
        feed: F,
        may_take: M,
        answer: A,
        answered: &'f AtomicU64,
    ) -> Self {
        let mut pump = Self {
            schedule,
            may_take,
            answer,
            answered,
            coming: None,
            cut: 0,
            inputs: VecDeque::new(),
            under_way: FuturesOrdered::new(),
        };
        pump.ask(feed);
        pump
    }

    /// The next answered piece, in order; `None` once there are no more. It may be dropped while
    /// it waits: nothing is lost.
    ///
    /// # Errors
    /// Of the feed, or of answering.
    pub async fn next(&mut self) -> Result<Option<D>, F::Error> {
        loop {
            let room = self.under_way.is_empty()
                || self.under_way.len() < self.schedule.chunks_in_flight && (self.may_take)();
            tokio::select! {
                biased;
                Some(done) = self.under_way.next(), if !self.under_way.is_empty() => {
                    let inputs = self.inputs.pop_front().unwrap_or_default();
                    let done = done?;
                    self.answered.fetch_add(inputs, Relaxed);
                    return Ok(Some(done));
                }
                taken = wait(&mut self.coming), if room && self.coming.is_some() => {
                    self.coming = None;
                    if let Some((feed, piece)) = taken? {
                        self.inputs.push_back(piece.inputs() as u64);
                        self.under_way.push_back((self.answer)(piece));
                        self.cut += 1;
                        self.ask(feed);
                    }
                }
                else => return Ok(None),
            }
        }
    }

    /// Begins to cut the next piece.
    fn ask(&mut self, feed: F) {
        let room = Room::for_inputs(self.schedule.chunk_rows(self.cut));
        self.coming = Some(Box::pin(feed.next(room)));
    }
}

/// Waits for what is coming; for ever where nothing is.
async fn wait<F: Future + Unpin>(coming: &mut Option<F>) -> F::Output {
    match coming {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Mutex;
    use std::sync::atomic::AtomicUsize;

    use proptest::prelude::*;

    use super::*;

    /// Inputs of so many bytes each.
    struct Lengths(VecDeque<usize>);

    struct Lengthy(Vec<usize>);

    impl Piece for Lengthy {
        fn inputs(&self) -> usize {
            self.0.len()
        }
    }

    impl Feed for Lengths {
        type Piece = Lengthy;
        type Error = &'static str;

        async fn next(mut self, mut room: Room) -> Result<Option<(Self, Lengthy)>, &'static str> {
            tokio::task::yield_now().await;
            let mut piece = Vec::new();
            while !room.is_full()
                && let Some(bytes) = self.0.pop_front()
            {
                if bytes == 13 {
                    return Err("no input");
                }
                room.take(bytes);
                piece.push(bytes);
            }
            Ok((!piece.is_empty()).then_some((self, Lengthy(piece))))
        }
    }

    fn run<T>(work: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(work)
    }

    /// All answered pieces, where each takes as many turns as its first input has bytes.
    fn pumped(
        lengths: &[usize],
        schedule: Schedule,
        may_take: bool,
    ) -> (Result<Vec<Vec<usize>>, &'static str>, usize, u64) {
        let feed = Lengths(lengths.iter().copied().collect());
        let (now, most) = (AtomicUsize::new(0), Mutex::new(0));
        let answer = |piece: Lengthy| {
            let (now, most) = (&now, &most);
            let under_way = now.fetch_add(1, Relaxed) + 1;
            let mut most = most.lock().unwrap();
            *most = under_way.max(*most);
            async move {
                for _ in 0..piece.0.first().copied().unwrap_or(0) % 7 {
                    tokio::task::yield_now().await;
                }
                now.fetch_sub(1, Relaxed);
                Ok(piece.0)
            }
        };
        let answered = AtomicU64::new(0);
        let pieces = run(async {
            let mut pump = Pump::new(schedule, feed, || may_take, answer, &answered);
            let mut pieces = Vec::new();
            while let Some(piece) = pump.next().await? {
                pieces.push(piece);
            }
            Ok(pieces)
        });
        let most = *most.lock().unwrap();
        (pieces, most, answered.load(Relaxed))
    }

    proptest! {
        #[test]
        fn all_inputs_are_answered_in_order_in_pieces_that_are_bounded(
            lengths in prop::collection::vec(
                prop_oneof![0..12_usize, 100_000..700_000_usize], 0..60),
            batch in 1..9_usize,
            threads in 1..3_usize,
            may_take in any::<bool>(),
        ) {
            let schedule = Schedule::new(batch, threads, None);
            let (pieces, most, answered) = pumped(&lengths, schedule, may_take);
            let pieces = pieces.unwrap();
            prop_assert_eq!(pieces.concat(), lengths.clone());
            prop_assert_eq!(answered, lengths.len() as u64);
            for piece in &pieces {
                prop_assert!(piece.len() <= batch);
                let (_, before) = piece.split_last().unwrap();
                prop_assert!(before.iter().sum::<usize>() < PIECE_BYTES);
            }
            let at_once = if may_take { threads * 4 } else { 1 };
            prop_assert!(most <= at_once, "{most} pieces at once");
        }
    }

    #[test]
    fn an_error_of_the_feed_ends_it() {
        let schedule = Schedule::new(1, 1, None);
        let (pieces, _, answered) = pumped(&[1, 13, 1], schedule, true);
        assert_eq!(pieces, Err("no input"));
        assert!(answered <= 1);
    }

    #[test]
    fn the_first_pieces_of_a_limited_statement_are_small() {
        let (pieces, ..) = pumped(&[1; 20], Schedule::new(8, 1, Some(2)), true);
        let sizes: Vec<usize> = pieces.unwrap().iter().map(Vec::len).collect();
        assert_eq!(sizes, [2, 4, 8, 6]);
    }
}
