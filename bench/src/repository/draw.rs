//! From a description to what an evaluation would have measured: answers drawn by chance,
//! calibrated as measured ones are.

use std::sync::Arc;

use clap::ValueEnum;
use predictsql_catalog::{
    CostCurve, Device, ImageOptions, Layout, Model, ModelInput, ModelOptions, ModelStatistics,
    Normalisation, Output, Task, TaskConstraints, TaskInput, TaskKind, TaskStatistics, Vote,
};
use predictsql_executor::evaluation::RowsMax;
use predictsql_optimizer::planner::calibrate::{self, Answer};
use predictsql_optimizer::planner::certificate::Counts;
use predictsql_optimizer::planner::{Decision, Metric};

use super::{Described, Dice, Repository};

/// Whether models fail on the same inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Errors {
    /// Each model fails by its own chance
    Independent,
    /// Inputs that are hard for one model are hard for others, and are mistaken for the same
    Correlated,
}

/// Share of a model's luck that it has in common with others, where errors are correlated.
const SHARED_LUCK: f64 = 0.6;
/// How often models that fail on an input take it for the same class, where they know that.
const SHARED_MISTAKES: f64 = 0.5;

/// Numbers of rows to draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rows {
    /// That calibrations are fitted on.
    pub cal: usize,
    /// That plans are searched on.
    pub plan: usize,
    /// That certify.
    pub cert: usize,
    /// That nothing of the planner sees.
    pub held_out: usize,
}

impl Rows {
    /// As EVALUATE shares labelled rows out, without held-out ones.
    pub fn of(labelled: usize) -> Self {
        let most = RowsMax::default();
        Self {
            cal: (labelled * 3 / 10).min(most.cal),
            plan: (labelled * 3 / 10).min(most.plan),
            cert: (labelled * 4 / 10).min(most.cert),
            held_out: 0,
        }
    }
}

/// A task with its models, as a catalog would have them after an evaluation.
#[derive(Debug, Clone)]
pub struct Drawn {
    /// The task: one class for each of the repository's.
    pub task: Task,
    /// Its models.
    pub models: Vec<Arc<Model>>,
    /// What was measured.
    pub statistics: TaskStatistics,
    /// True outcomes of rows that nothing was measured on.
    pub held_out: Vec<u16>,
    /// The models' votes on these.
    pub held_out_votes: Vec<Vec<Vote>>,
}

impl Drawn {
    /// The same with fewer rows for planning, and calibrations that were fitted on as many as
    /// before.
    pub fn with(&self, rows: Rows) -> Self {
        let mut less = self.clone();
        let first = |truths: &[u16], rows| truths.iter().copied().take(rows).collect();
        less.statistics.plan = first(&self.statistics.plan, rows.plan);
        less.statistics.cert = first(&self.statistics.cert, rows.cert);
        for measured in &mut less.statistics.models {
            let measured = Arc::make_mut(measured);
            measured.plan.truncate(rows.plan);
            measured.cert.truncate(rows.cert);
        }
        less
    }

    /// How a decision answers the rows that nothing was measured on; rows alike count alike.
    pub fn held_out_metric(&self, decision: &Decision, metric: Metric) -> Option<f64> {
        let mut counts = Counts::default();
        let needed = |outcome: u16| {
            usize::from(outcome)
                .checked_sub(1)
                .is_some_and(|class| decision.blocks.needs(class))
        };
        for (row, truth) in self.held_out.iter().enumerate() {
            let answer = decision.answer(|voter| {
                let place = self.models.iter().position(|m| m.id == voter.model.id);
                let votes = place.and_then(|place| self.held_out_votes.get(place));
                votes
                    .and_then(|votes| votes.get(row))
                    .copied()
                    .unwrap_or_default()
            });
            let is_right = decision.blocks.are_alike(answer, *truth);
            counts.rows += 1;
            counts.right += u64::from(is_right);
            counts.needed += u64::from(needed(*truth));
            counts.claimed += u64::from(needed(answer));
            counts.found += u64::from(is_right && needed(*truth));
        }
        counts.observed(metric)
    }
}

/// What models have in common on a row.
struct Row {
    truth: u16,
    /// Standard normal: low is hard.
    luck: f64,
    mistaken_for: u16,
}

impl Repository {
    /// Draws an evaluation. All classes are equally frequent.
    pub fn draw(&self, rows: Rows, errors: Errors, seed: u64) -> Drawn {
        let mut dice = Dice::new(seed, 0xD4A3);
        let parts = [rows.cal, rows.plan, rows.cert, rows.held_out].map(|count| {
            let row = |_| Row {
                truth: self.outcome(dice.below(self.classes.len())),
                luck: dice.normal(),
                mistaken_for: self.outcome(dice.below(self.classes.len())),
            };
            (0..count).map(row).collect::<Vec<Row>>()
        });
        let truths = |part: &[Row]| part.iter().map(|row| row.truth).collect::<Vec<u16>>();
        let [cal, plan, cert, held_out] = &parts;
        let task = task(&self.classes);
        let (mut models, mut measured, mut held_out_votes) = (Vec::new(), Vec::new(), Vec::new());
        for (id, described) in (1..).zip(&self.models) {
            let answering = Answering::new(self, described, errors);
            let mut dice = Dice::new(seed, id << 20);
            let answers: Vec<Answer> = cal.iter().map(|r| answering.answer(r, &mut dice)).collect();
            let calibration = calibrate::fit(self.classes.len(), &answering.outcomes, &answers);
            let mut votes = |part: &[Row]| -> Vec<Vote> {
                let vote = |row| {
                    let answer = answering.answer(row, &mut dice);
                    let score = calibration.score(answer.label, answer.log_odds, answer.margin);
                    let outcome = answering.outcomes.get(answer.label).copied().unwrap_or(0);
                    Vote::new((score * f32::from(Vote::SCORE_MAX)).round() as u16, outcome)
                };
                part.iter().map(vote).collect()
            };
            let (plan, cert) = (votes(plan), votes(cert));
            held_out_votes.push(votes(held_out));
            let costs = vec![CostCurve {
                device: Device::Cpu,
                seconds_by_batch: vec![(1, described.latency_ms / 1e3)],
                load_seconds: 0.0,
                memory_bytes: 0,
            }];
            measured.push(Arc::new(ModelStatistics {
                model: id,
                calibration,
                plan,
                cert,
                costs,
            }));
            models.push(Arc::new(model(id, described, &task)));
        }
        Drawn {
            statistics: TaskStatistics {
                task: task.name.clone(),
                task_version: task.version,
                epoch: 1,
                population: self.source.clone(),
                plan: truths(plan).into(),
                cert: truths(cert).into(),
                models: measured,
            },
            task,
            models,
            held_out: truths(held_out),
            held_out_votes,
        }
    }

    fn outcome(&self, class: usize) -> u16 {
        u16::try_from(class + 1).unwrap_or(u16::MAX)
    }
}

/// How a model answers rows.
struct Answering {
    /// Of its labels.
    outcomes: Vec<u16>,
    /// The normal quantile of its accuracy on each: it is right where its luck is below.
    reach: Vec<f64>,
    errors: Errors,
}

impl Answering {
    fn new(repository: &Repository, described: &Described, errors: Errors) -> Self {
        let known = repository
            .classes
            .iter()
            .enumerate()
            .filter_map(|(place, class)| {
                let accuracy = described.covers.get(class)?;
                Some((repository.outcome(place), normal_quantile(*accuracy)))
            });
        let (outcomes, reach) = known.unzip();
        Self {
            outcomes,
            reach,
            errors,
        }
    }

    fn answer(&self, row: &Row, dice: &mut Dice) -> Answer {
        let shared = match self.errors {
            Errors::Independent => 0.0,
            Errors::Correlated => SHARED_LUCK,
        };
        let luck = shared.sqrt() * row.luck + (1.0 - shared).sqrt() * dice.normal();
        let label = self.outcomes.iter().position(|o| *o == row.truth);
        let reach = label.and_then(|label| self.reach.get(label));
        let is_right = reach.is_some_and(|reach| luck < *reach);
        let mean = match (is_right, label) {
            (true, _) => 3.5,
            (false, Some(_)) => 1.2,
            (false, None) => 0.3,
        };
        let log_odds = mean + 1.5 * dice.normal();
        Answer {
            label: label
                .filter(|_| is_right)
                .unwrap_or_else(|| self.mistake(row, dice)),
            log_odds: log_odds as f32,
            margin: (0.9 * log_odds + 0.3 * dice.normal()) as f32,
            truth: row.truth,
        }
    }

    fn mistake(&self, row: &Row, dice: &mut Dice) -> usize {
        let same = self
            .outcomes
            .iter()
            .position(|o| *o == row.mistaken_for && *o != row.truth);
        let is_shared = self.errors == Errors::Correlated && dice.uniform() < SHARED_MISTAKES;
        let own = loop {
            let own = dice.below(self.outcomes.len());
            if self.outcomes.len() == 1 || self.outcomes.get(own) != Some(&row.truth) {
                break own;
            }
        };
        same.filter(|_| is_shared).unwrap_or(own)
    }
}

/// Where the standard normal distribution has that much to its left, by bisection over a series of
/// its integral (Marsaglia 2004); within 4.5 deviations.
fn normal_quantile(share: f64) -> f64 {
    let left = |x: f64| {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= x * x / f64::from(2 * n + 1);
            sum += term;
        }
        0.5 + sum * (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt()
    };
    let (mut low, mut high) = (-4.5, 4.5);
    for _ in 0..50 {
        let middle = f64::midpoint(low, high);
        if left(middle) < share {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

fn task(classes: &[String]) -> Task {
    Task {
        name: "t".to_owned(),
        kind: TaskKind::Classification,
        input: TaskInput::Image,
        classes: classes.to_vec(),
        accuracy_slack_points: 1.0,
        constraints: TaskConstraints::default(),
        image_roots: Vec::new(),
        version: 1,
    }
}

fn model(id: u64, described: &Described, task: &Task) -> Model {
    let knows = |class: &&String| described.covers.contains_key(*class);
    let covers: Vec<String> = task.classes.iter().filter(knows).cloned().collect();
    Model {
        id,
        name: described.name.clone(),
        version: "1".to_owned(),
        task: task.name.clone(),
        uri: String::new(),
        sha256: String::new(),
        bytes: 0,
        options: ModelOptions {
            input: ModelInput::Image(ImageOptions {
                layout: Layout::Nchw,
                height: 224,
                width: 224,
                channels: 3,
                normalisation: Normalisation {
                    mean: vec![0.5; 3],
                    std: vec![0.25; 3],
                },
                preprocessing: Default::default(),
            }),
            labels: covers.clone(),
            other: None,
            output: Output::Logits,
            output_name: None,
            accuracy: None,
        },
        covers,
        seconds_per_image: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: Rows = Rows {
        cal: 400,
        plan: 4_000,
        cert: 10,
        held_out: 20,
    };

    #[test]
    fn models_are_as_accurate_as_described_and_sure_as_they_are_right() {
        for errors in [Errors::Independent, Errors::Correlated] {
            let repository = Repository::published_shape(6, 10, 3);
            let drawn = repository.draw(ROWS, errors, 4);
            for (described, measured) in repository.models.iter().zip(&drawn.statistics.models) {
                let known = |row: &usize| {
                    let class = usize::from(drawn.statistics.plan[*row]) - 1;
                    described.covers.get(&repository.classes[class]).copied()
                };
                let expected: Vec<f64> = (0..ROWS.plan).filter_map(|row| known(&row)).collect();
                let is_right =
                    |row: &usize| measured.plan[*row].outcome() == drawn.statistics.plan[*row];
                let right = (0..ROWS.plan)
                    .filter(|r| known(r).is_some())
                    .filter(is_right)
                    .count();
                let observed = right as f64 / expected.len() as f64;
                let described = expected.iter().sum::<f64>() / expected.len() as f64;
                assert!(
                    (observed - described).abs() < 0.05,
                    "{observed} {described}"
                );
                let all_right = (0..ROWS.plan).filter(is_right).count() as f64;
                let sure: f64 = measured
                    .plan
                    .iter()
                    .map(|v| f64::from(v.score()) / 65_535.0)
                    .sum();
                assert!(
                    (sure - all_right).abs() / ROWS.plan as f64 <= 0.06,
                    "{sure} {all_right}"
                );
            }
        }
    }

    #[test]
    fn correlated_models_fail_together() {
        let mut covers = std::collections::BTreeMap::new();
        covers.insert("a".to_owned(), 0.8);
        covers.insert("b".to_owned(), 0.8);
        let described = |name: &str| Described {
            name: name.to_owned(),
            latency_ms: 1.0,
            covers: covers.clone(),
        };
        let repository = Repository {
            source: String::new(),
            classes: vec!["a".to_owned(), "b".to_owned()],
            models: vec![described("x"), described("y")],
        };
        let both_fail = |errors| {
            let drawn = repository.draw(ROWS, errors, 5);
            let fails = |m: usize, row: usize| {
                drawn.statistics.models[m].plan[row].outcome() != drawn.statistics.plan[row]
            };
            (0..ROWS.plan)
                .filter(|row| fails(0, *row) && fails(1, *row))
                .count() as f64
                / ROWS.plan as f64
        };
        assert!((both_fail(Errors::Independent) - 0.04).abs() < 0.015);
        assert!(both_fail(Errors::Correlated) > 0.08);
    }

    #[test]
    fn quantiles_are_those_of_tables() {
        for (share, quantile) in [(0.5, 0.0), (0.975, 1.959_964), (0.1, -1.281_552)] {
            assert!((normal_quantile(share) - quantile).abs() < 1e-5, "{share}");
        }
    }
}
