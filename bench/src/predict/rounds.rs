//! The rounds: each contender does the same work in turn, and what each did is held together.

use std::time::Instant;

use super::case::Case;
use super::child::LoopProcess;
use super::error::BenchError;
use super::gpu::Watch;
use super::job::{Done, Order};
use super::report::{Round, Series};
use super::shop::{Answer, Shop};
use crate::cpu;

/// How far a probability through SQL may be from the bare loop's: both round, and batches of other
/// sizes add up in another order.
const PROBABILITY_ERROR_MAX: f64 = 1e-4;

/// Who is measured, ready to begin.
pub struct Contenders<'c> {
    /// Looks at the GPU, if models run on one.
    pub watch: Option<Watch>,
    /// The product.
    pub shop: Shop,
    /// The bare loop, and its order.
    pub bare: (LoopProcess, Order),
    /// The loop in Python, and its order.
    pub python: Option<(LoopProcess, Order)>,
    /// The model that all of them run, and its images.
    pub case: &'c Case,
    /// Images of one round.
    pub images: usize,
}

/// What the rounds gave.
#[derive(Default)]
pub struct Measured {
    /// Through SQL.
    pub sql: Series,
    /// The bare loop.
    pub bare: Series,
    /// Python's loop.
    pub python: Option<Series>,
    /// Labels of Python's last round that are the bare loop's.
    pub python_agrees: Option<usize>,
}

#[derive(Clone, Copy)]
enum Turn {
    Sql,
    Bare,
    Python,
}

impl Contenders<'_> {
    /// One round that does not count, in which probabilities are compared; then `rounds` that do.
    ///
    /// # Errors
    /// A contender fails, or an answer through SQL is not the bare loop's.
    pub fn measure(mut self, rounds: usize) -> Result<Measured, BenchError> {
        let mut measured = Measured {
            python: self.python.as_ref().map(|_| Series::default()),
            ..Measured::default()
        };
        self.compare_probabilities()?;
        for round in 0..rounds {
            let mut turns = [Turn::Sql, Turn::Bare, Turn::Python];
            turns.rotate_left(round % 3);
            // Who goes first changes within a turn of the three, too.
            if round / 3 % 2 == 1 {
                turns.reverse();
            }
            self.round(&turns, &mut measured)?;
            println!("round {} of {rounds}: {}", round + 1, self.line(&measured));
        }
        self.shop.disconnect();
        Ok(measured)
    }

    fn round(&mut self, turns: &[Turn], measured: &mut Measured) -> Result<(), BenchError> {
        let (mut sql, mut bare, mut python) = (None, None, None);
        for turn in turns {
            match turn {
                Turn::Sql => {
                    let pids = self.shop.pids();
                    let (answer, round) = timed(
                        (&pids, self.watch.as_ref()),
                        || self.shop.predict(self.images),
                        |a| a.seconds,
                    )?;
                    measured.sql.0.push(round);
                    sql = Some(answer);
                }
                Turn::Bare => {
                    let (done, round) = follow(&mut self.bare, self.watch.as_ref())?;
                    measured.bare.0.push(round);
                    bare = Some(done);
                }
                Turn::Python => {
                    let Some(contender) = &mut self.python else {
                        continue;
                    };
                    let (done, round) = follow(contender, self.watch.as_ref())?;
                    measured.python.get_or_insert_default().0.push(round);
                    python = Some(done);
                }
            }
        }
        let (Some(sql), Some(bare)) = (sql, bare) else {
            return Err(BenchError::Worthless("a contender had no turn".to_owned()));
        };
        self.compare(&sql, &bare)?;
        measured.python_agrees = python.map(|python| {
            let pairs = python.labels.iter().zip(&bare.labels);
            pairs.filter(|(a, b)| a == b).count()
        });
        Ok(())
    }

    /// The probabilities of one class through SQL must be the bare loop's.
    fn compare_probabilities(&mut self) -> Result<(), BenchError> {
        let label = self.case.watched_label();
        let class = self.case.answer(label).unwrap_or_default();
        let sql = self.shop.probabilities(class, self.images)?;
        let (process, order) = &mut self.bare;
        let bare = process.follow(&Order {
            probability_of: Some(label),
            ..*order
        })?;
        if bare.probabilities.len() != self.images {
            let text = "the bare loop gave no probabilities".to_owned();
            return Err(BenchError::Worthless(text));
        }
        let (mut least, mut greatest, mut difference) = (f64::INFINITY, f64::NEG_INFINITY, 0.0);
        for (id, bare) in (1..).zip(&bare.probabilities) {
            let bare = f64::from(*bare);
            let Some(Some(sql)) = sql.by_id.get(&id) else {
                let text = format!("image {id} has no probability of '{class}'");
                return Err(BenchError::Worthless(text));
            };
            (least, greatest) = (bare.min(least), bare.max(greatest));
            difference = (sql - bare).abs().max(difference);
        }
        println!(
            "probabilities of '{class}': {least:.6} to {greatest:.6}; through SQL they differ from \
             the bare loop's by {difference:.1e} at most"
        );
        match difference <= PROBABILITY_ERROR_MAX {
            true => Ok(()),
            false => Err(BenchError::Worthless(format!(
                "probabilities through SQL differ by up to {difference} from the bare loop's"
            ))),
        }
    }

    /// Every label through SQL must be the bare loop's.
    fn compare(&self, sql: &Answer<Option<String>>, bare: &Done) -> Result<(), BenchError> {
        let agrees = |(id, label): &(u64, &usize)| {
            sql.by_id.get(id).map(Option::as_deref) == Some(self.case.answer(**label))
        };
        let agreed = (1..).zip(&bare.labels).filter(agrees).count();
        if agreed == self.images {
            return Ok(());
        }
        Err(BenchError::Worthless(format!(
            "only {agreed} of {} predictions through SQL are the bare loop's",
            self.images
        )))
    }

    fn line(&self, measured: &Measured) -> String {
        let rate = |name: &str, series: &Series| {
            let last = series.0.last()?;
            Some(format!("{name} {:.0}", self.images as f64 / last.seconds))
        };
        let rates = [
            rate("sql", &measured.sql),
            rate("bare", &measured.bare),
            measured.python.as_ref().and_then(|p| rate("python", p)),
        ];
        let rates: Vec<String> = rates.into_iter().flatten().collect();
        format!("{} images/s", rates.join(", "))
    }
}

fn follow(
    contender: &mut (LoopProcess, Order),
    watch: Option<&Watch>,
) -> Result<(Done, Round), BenchError> {
    let (process, order) = contender;
    let pids = [process.pid()];
    timed(
        (&pids, watch),
        || process.follow(order),
        |done| done.seconds,
    )
}

/// Runs `work` and takes the CPU time of `pids`, and of all others, meanwhile.
fn timed<T>(
    (pids, watch): (&[u32], Option<&Watch>),
    work: impl FnOnce() -> Result<T, BenchError>,
    seconds: impl FnOnce(&T) -> f64,
) -> Result<(T, Round), BenchError> {
    let clocks = || -> Result<(f64, f64), BenchError> {
        let own = pids.iter().map(|pid| cpu::process_seconds(*pid));
        Ok((own.sum::<Result<f64, _>>()?, cpu::machine_seconds()?))
    };
    let (own_before, all_before) = clocks()?;
    let begin = Instant::now();
    let done = work()?;
    let gpu_percent = watch.and_then(|watch| watch.percent_since(begin));
    let (own_after, all_after) = clocks()?;
    let cpu_seconds = own_after - own_before;
    let round = Round {
        seconds: seconds(&done),
        cpu_seconds,
        gpu_percent,
        others_seconds: (all_after - all_before - cpu_seconds).max(0.0),
    };
    Ok((done, round))
}
