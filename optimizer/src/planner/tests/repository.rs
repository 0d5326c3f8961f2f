//! Simulated repositories of models with random answers and confidences.

use std::sync::Arc;

use predictsql_catalog::{
    Calibration, CostCurve, Device, Model, ModelStatistics, Task, TaskStatistics, Vote,
};

use crate::distinctions::Distinctions;
use crate::fixture;
use crate::planner::{Blocks, Constraints, CostModel, Estimate, Metric, Query};

/// A generator with the same sequence on every platform (SplitMix64).
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number in 0..1.
    pub(super) fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ z >> 31) >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(super) fn below(&mut self, count: usize) -> usize {
        ((self.uniform() * count as f64) as usize).min(count.saturating_sub(1))
    }

    /// Approximately normal around 0.
    fn bell(&mut self) -> f64 {
        2.0 * (0..3).map(|_| self.uniform()).sum::<f64>() - 3.0
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) classes: usize,
    pub(super) models: usize,
    pub(super) plan: usize,
    pub(super) cert: usize,
    /// Maximum share of the classes that a model knows.
    pub(super) coverage: f64,
}

pub(super) struct Repository {
    pub(super) task: Task,
    pub(super) models: Vec<Arc<Model>>,
    pub(super) statistics: TaskStatistics,
    /// True outcomes of rows that were not used for planning.
    pub(super) unseen: Vec<u16>,
    talents: Vec<Talent>,
    seed: u64,
}

struct Talent {
    knows: Vec<u16>,
    accuracy: f64,
}

impl Talent {
    /// A vote on a row: mostly right and with a high score where the class is known.
    fn vote(&self, truth: u16, dice: &mut Dice) -> Vote {
        let is_known = self.knows.contains(&truth);
        let is_right = is_known && dice.uniform() < self.accuracy;
        let sureness = if is_right { 1.3 } else { -0.5 } + 1.2 * dice.bell();
        let score = 65_535.0 / (1.0 + (-sureness).exp());
        let outcome = if is_right {
            truth
        } else {
            self.knows[dice.below(self.knows.len())]
        };
        Vote::new(score as u16, outcome)
    }
}

impl Repository {
    pub(super) fn new(shape: Shape, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let names: Vec<String> = (0..shape.classes).map(|c| format!("c{c}")).collect();
        let labels: Vec<&str> = names.iter().map(String::as_str).collect();
        let task = fixture::task("t", &labels);
        let talents: Vec<Talent> = (0..shape.models)
            .map(|_| {
                let most = (shape.classes as f64 * shape.coverage) as usize;
                let count = 1 + dice.below(most.clamp(1, shape.classes));
                let mut knows: Vec<u16> = (1..=shape.classes as u16).collect();
                while knows.len() > count {
                    let leaves = dice.below(knows.len());
                    knows.remove(leaves);
                }
                Talent {
                    knows,
                    accuracy: 0.7 + 0.25 * dice.uniform(),
                }
            })
            .collect();
        let rows = |count: usize, dice: &mut Dice| -> Vec<u16> {
            (0..count)
                .map(|_| 1 + dice.below(shape.classes) as u16)
                .collect()
        };
        let (plan, cert) = (rows(shape.plan, &mut dice), rows(shape.cert, &mut dice));
        let unseen = rows(4_000, &mut dice);
        let mut models = Vec::new();
        let mut measured = Vec::new();
        for (id, talent) in (1..).zip(&talents) {
            let known = talent.knows.iter().map(|o| labels[usize::from(*o) - 1]);
            let known: Vec<&str> = known.collect();
            models.push(Arc::new(fixture::model(
                id,
                &format!("m{id:02}"),
                &known,
                None,
            )));
            let mut votes = |truths: &[u16]| -> Vec<Vote> {
                truths.iter().map(|t| talent.vote(*t, &mut dice)).collect()
            };
            let (plan, cert) = (votes(&plan), votes(&cert));
            let seconds = 0.001 * (1.0 + 47.0 * dice.uniform());
            measured.push(Arc::new(statistics(id, known.len(), plan, cert, seconds)));
        }
        Self {
            task,
            models,
            statistics: TaskStatistics {
                task: "t".to_owned(),
                task_version: 1,
                epoch: 1,
                population: "simulated".to_owned(),
                plan: plan.into(),
                cert: cert.into(),
                models: measured,
            },
            unseen,
            talents,
            seed,
        }
    }

    pub(super) fn query<'a>(&'a self, blocks: &'a Blocks, metric: Metric) -> Query<'a> {
        Query {
            task: &self.task,
            named: None,
            blocks,
            metric,
            prior: None,
            rows: Estimate::Absent,
            scores_needed: false,
        }
    }

    pub(super) fn constraints(&self) -> Constraints {
        Constraints::none(&self.task)
    }

    /// The blocks of a filter for the first `needed` classes.
    pub(super) fn filter(&self, needed: usize) -> Blocks {
        let needed: Vec<usize> = (0..needed).collect();
        Blocks::any_of(&needed, self.task.classes.len(), false)
    }

    /// The blocks of a statement that distinguishes the first `needed` classes from each other and
    /// from the rest.
    pub(super) fn each(&self, needed: usize) -> Blocks {
        let signature = |outcome: usize| (1..=needed).contains(&outcome).then_some(outcome);
        let classes = self.task.classes.len();
        let blocks = Distinctions::from_signatures((0..=classes).map(signature));
        Blocks::new(&blocks, classes, false)
    }

    /// Unseen rows with outcomes drawn by these weights.
    pub(super) fn redraw_unseen(&mut self, weights: &[f64], dice: &mut Dice) {
        let total: f64 = weights.iter().sum();
        for truth in &mut self.unseen {
            let mut left = dice.uniform() * total;
            let drawn = weights.iter().position(|weight| {
                left -= weight;
                left < 0.0
            });
            *truth = drawn.unwrap_or(1) as u16;
        }
    }

    /// A model's votes on unseen rows.
    pub(super) fn unseen_votes(&self, model: u64) -> Vec<Vote> {
        let mut dice = Dice::new(self.seed ^ model << 32);
        let talent = &self.talents[usize::try_from(model).expect("small") - 1];
        self.unseen
            .iter()
            .map(|t| talent.vote(*t, &mut dice))
            .collect()
    }
}

pub(super) fn costs() -> CostModel {
    CostModel {
        decode_seconds: 0.0005,
        ..CostModel::default()
    }
}

pub(super) fn statistics(
    model: u64,
    labels: usize,
    plan: Vec<Vote>,
    cert: Vec<Vote>,
    seconds: f64,
) -> ModelStatistics {
    ModelStatistics {
        model,
        calibration: Calibration {
            bias: 0.0,
            score_weight: 1.0,
            margin_weight: 0.0,
            offsets: vec![0.0; labels],
            cap: 1.0,
        },
        plan,
        cert,
        costs: vec![CostCurve {
            device: Device::Cpu,
            seconds_by_batch: vec![(1, seconds)],
            load_seconds: 0.1,
            memory_bytes: 1,
        }],
    }
}
