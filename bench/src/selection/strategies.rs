//! E1 and E3: strategies beside each other, and estimates beside what plans are really worth.

use std::collections::BTreeMap;

use predictsql_optimizer::planner::{Blocks, CostModel, Estimate, Plan, Strategy};

use super::held_out;
use super::synthetic::{INPUTS, blocks, known, plan};
use crate::repository::{Dice, Drawn, Errors, Repository, Rows};

/// Labelled rows given to EVALUATE, and held-out rows of each setting: many,
/// where estimates are held against them.
pub const LABELLED: usize = 65_536;
const HELD_OUT: usize = 131_072;
/// The same for scarce models, where estimates are not looked at.
const LABELLED_SCARCE: usize = 32_768;
const HELD_OUT_SCARCE: usize = 32_768;

/// Labelled rows for which estimates are looked at.
pub const LABELLED_LESS: [usize; 3] = [4_096, 16_384, LABELLED];

/// Needed classes of a query.
pub const NEEDED: [usize; 7] = [1, 2, 5, 10, 20, 40, 80];

/// Models able to answer a class, and the classes of those queries.
pub const ABLE: [usize; 6] = [1, 2, 4, 8, 16, 32];
pub const ABLE_NEEDED: usize = 10;

/// The strategies that are compared. Those that weigh costs get the seconds that `best_per_class`
/// takes.
pub const COMPARED: [(&str, Strategy, bool); 7] = [
    ("optimal", Strategy::Optimal, true),
    ("greedy", Strategy::Greedy, true),
    ("best_per_class", Strategy::BestPerClass, false),
    ("most_accurate", Strategy::MostAccurate, false),
    ("cheapest", Strategy::Cheapest, false),
    ("best_single", Strategy::BestSingle, false),
    ("random", Strategy::Random(7), false),
];

/// Strategies that `optimal` is held against within the seconds that each takes; those with a
/// share have that share of the seconds of `best_per_class` as their limit.
pub const RIVALS: [(&str, Strategy, Option<f64>); 7] = [
    ("greedy, limit 1/4", Strategy::Greedy, Some(0.25)),
    ("greedy, limit 1/2", Strategy::Greedy, Some(0.5)),
    ("greedy, limit 1", Strategy::Greedy, Some(1.0)),
    ("best_per_class", Strategy::BestPerClass, None),
    ("cheapest", Strategy::Cheapest, None),
    ("best_single", Strategy::BestSingle, None),
    ("random", Strategy::Random(7), None),
];

/// Means over the queries of one setting and strategy.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cell {
    /// Queries planned.
    pub queries: u32,
    f1: f64,
    seconds: f64,
    planning: f64,
}

impl Cell {
    fn mean(&self, sum: f64) -> f64 {
        sum / f64::from(self.queries.max(1))
    }

    /// F1 on held-out rows.
    pub fn f1(&self) -> f64 {
        self.mean(self.f1)
    }

    /// Seconds of inference and planning an input.
    pub fn seconds(&self) -> f64 {
        self.mean(self.seconds)
    }

    /// Seconds of planning a query.
    pub fn planning(&self) -> f64 {
        self.mean(self.planning)
    }

    fn add(&mut self, ran: &Ran) {
        self.queries += 1;
        self.f1 += ran.f1;
        self.seconds += ran.seconds;
        self.planning += ran.planning;
    }
}

/// `optimal` beside a rival, of the queries that both plan.
#[derive(Debug, Clone, Copy, Default)]
pub struct Duel {
    /// `optimal` within the seconds of the rival.
    pub ours: Cell,
    /// The rival.
    pub theirs: Cell,
}

impl Duel {
    /// F1 is lower by at most half a point, and the time no longer but for what planning differs
    /// by.
    pub fn is_won(&self) -> bool {
        const F1: f64 = 0.005;
        const TIME: f64 = 1.01;
        self.ours.f1() >= self.theirs.f1() - F1
            && self.ours.seconds() <= self.theirs.seconds() * TIME
    }

    /// Points of F1 gained.
    pub fn points(&self) -> f64 {
        100.0 * (self.ours.f1() - self.theirs.f1())
    }

    /// Time over the rival's.
    pub fn time_ratio(&self) -> f64 {
        self.ours.seconds() / self.theirs.seconds()
    }
}

/// Errors of estimates of one setting, in sums of shares of 1.
#[derive(Debug, Clone, Copy, Default)]
pub struct Estimates {
    queries: u32,
    expected: f64,
    searched: f64,
    independent: f64,
}

impl Estimates {
    fn points(&self, sum: f64) -> f64 {
        100.0 * sum / f64::from(self.queries.max(1))
    }

    /// Mean absolute error of the replay of rows that were not searched, in points.
    pub fn expected(&self) -> f64 {
        self.points(self.expected)
    }

    /// Of the replay of the rows that were searched.
    pub fn searched(&self) -> f64 {
        self.points(self.searched)
    }

    /// Where errors are taken to be independent.
    pub fn independent(&self) -> f64 {
        self.points(self.independent)
    }
}

/// Setting: needed classes, and models able per class (`usize::MAX`: as published).
pub type Setting = (usize, usize);

/// What was measured with one kind of errors.
#[derive(Debug, Default)]
pub struct Strategies {
    /// By setting and strategy.
    pub cells: BTreeMap<(usize, usize, &'static str), Cell>,
    /// By rival and setting.
    pub duels: BTreeMap<(&'static str, Setting), Duel>,
    /// By needed classes and labelled rows.
    pub estimates: BTreeMap<(usize, usize), Estimates>,
}

/// A plan that was run over the held-out rows.
struct Ran {
    plan: Plan,
    f1: f64,
    /// Of inference and planning, an input.
    seconds: f64,
    planning: f64,
    /// From start to end of the query, as expected by the plan.
    expected: Option<f64>,
}

/// What evaluating so many rows leaves.
pub fn rows(labelled: usize, held_out: usize) -> Rows {
    Rows {
        held_out,
        ..Rows::of(labelled)
    }
}

/// E1 and E3: strategies over needed classes, and over models able to answer. `drawn` is of
/// `repository`, with all rows of [`LABELLED`].
pub fn strategies(
    repository: &Repository,
    drawn: &Drawn,
    queries: usize,
    errors: Errors,
    seed: u64,
) -> Strategies {
    let mut all = Strategies::default();
    for needed in NEEDED {
        all.measure(repository, drawn, (needed, usize::MAX), queries, seed);
    }
    for labelled in LABELLED_LESS {
        let less = drawn.with(Rows::of(labelled));
        for needed in NEEDED {
            all.estimate(repository, &less, (needed, labelled), queries, seed);
        }
    }
    for able in ABLE {
        let scarce = repository.with_choice(able, seed);
        let drawn = scarce.draw(rows(LABELLED_SCARCE, HELD_OUT_SCARCE), errors, seed);
        all.measure(&scarce, &drawn, (ABLE_NEEDED, able), queries, seed);
    }
    all
}

/// Draws what [`strategies`] looks at.
pub fn draw(repository: &Repository, errors: Errors, seed: u64) -> Drawn {
    repository.draw(rows(LABELLED, HELD_OUT), errors, seed)
}

/// Queries of some of the classes that are known to any model; none where there are too few.
fn queries_of(
    repository: &Repository,
    (needed, able): Setting,
    queries: usize,
    seed: u64,
) -> Vec<Blocks> {
    let known = known(repository);
    let mut dice = Dice::new(seed, (needed * 100 + able % 97) as u64);
    let count = if known.len() < needed { 0 } else { queries };
    (0..count)
        .map(|_| blocks(&dice.some(&known, needed), repository.classes.len()))
        .collect()
}

impl Strategies {
    fn measure(
        &mut self,
        repository: &Repository,
        drawn: &Drawn,
        setting: Setting,
        queries: usize,
        seed: u64,
    ) {
        let (needed, able) = setting;
        for blocks in queries_of(repository, setting, queries, seed) {
            let ran = |strategy, limit| run(drawn, &blocks, strategy, limit);
            let per_class = ran(Strategy::BestPerClass, None);
            let limit = per_class.as_ref().and_then(|ran| ran.expected);
            let mut done: BTreeMap<&'static str, Option<Ran>> = BTreeMap::new();
            for (name, strategy, has_limit) in COMPARED {
                let ran = ran(strategy, limit.filter(|_| has_limit));
                if let Some(ran) = &ran {
                    self.cells.entry((needed, able, name)).or_default().add(ran);
                }
                done.insert(name, ran);
            }
            for (name, strategy, share) in RIVALS {
                let limited = share.and_then(|share| ran(strategy, Some(share * limit?)));
                let known = || done.get(name).and_then(Option::as_ref);
                let Some(theirs) = limited.as_ref().or_else(known) else {
                    continue;
                };
                let Some(ours) = ran(Strategy::Optimal, theirs.expected) else {
                    continue;
                };
                let duel = self.duels.entry((name, setting)).or_default();
                duel.ours.add(&ours);
                duel.theirs.add(theirs);
            }
        }
    }

    fn estimate(
        &mut self,
        repository: &Repository,
        drawn: &Drawn,
        (needed, labelled): (usize, usize),
        queries: usize,
        seed: u64,
    ) {
        let recalls = recalls(drawn);
        for blocks in queries_of(repository, (needed, usize::MAX), queries, seed) {
            let limit = run(drawn, &blocks, Strategy::BestPerClass, None);
            let limit = limit.and_then(|ran| ran.expected);
            let Some(ran) = run(drawn, &blocks, Strategy::Optimal, limit) else {
                continue;
            };
            let off = |estimate: Option<f64>| (estimate.unwrap_or(0.0) - ran.f1).abs();
            let estimates = self.estimates.entry((needed, labelled)).or_default();
            estimates.queries += 1;
            estimates.expected += off(ran.plan.accuracy.value());
            estimates.searched += off(ran.plan.searched.value());
            estimates.independent += off(Some(independent(&recalls, drawn, &blocks, &ran.plan)));
        }
    }
}

/// Plans, and runs the plan over the held-out rows.
fn run(drawn: &Drawn, blocks: &Blocks, strategy: Strategy, limit: Option<f64>) -> Option<Ran> {
    let (plan, planning) = plan(drawn, blocks, strategy, limit, None).ok()?;
    let held = held_out::run(drawn, blocks, &plan);
    let price = plan.price(Estimate::Exact(INPUTS), &CostModel::default());
    Some(Ran {
        f1: held.f1(),
        seconds: held.seconds + planning / INPUTS as f64,
        planning,
        expected: price.map(|price| price.seconds.expected),
        plan,
    })
}

/// By model and class, the share of the class's labelled rows that the model names right.
fn recalls(drawn: &Drawn) -> Vec<Vec<f64>> {
    let classes = drawn.task.classes.len();
    let truths = &drawn.statistics.plan;
    let mut all = vec![0_u32; classes + 1];
    let count = |counts: &mut Vec<u32>, truth: u16| {
        let place = counts.get_mut(usize::from(truth));
        place.into_iter().for_each(|count| *count += 1);
    };
    truths.iter().for_each(|truth| count(&mut all, *truth));
    let of = |votes: &[predictsql_catalog::Vote]| {
        let mut right = vec![0_u32; classes + 1];
        for (vote, truth) in votes.iter().zip(truths.iter()) {
            if vote.outcome() == *truth {
                count(&mut right, *truth);
            }
        }
        let share = |(right, all): (&u32, &u32)| f64::from(*right) / f64::from((*all).max(1));
        right.iter().zip(&all).map(share).collect()
    };
    drawn
        .statistics
        .models
        .iter()
        .map(|m| of(&m.plan))
        .collect()
}

/// What is expected where each model is right as often as it was on labelled rows of the class,
/// whatever the others say: a row is right if any model that knows its class is.
fn independent(recalls: &[Vec<f64>], drawn: &Drawn, blocks: &Blocks, plan: &Plan) -> f64 {
    let place = |id: u64| drawn.statistics.models.iter().position(|m| m.model == id);
    let of_voters: Vec<&Vec<f64>> = plan
        .decision
        .voters()
        .filter_map(|voter| recalls.get(place(voter.model.id)?))
        .collect();
    let classes = (0..drawn.task.classes.len()).filter(|c| blocks.needs(*c));
    let right = classes.map(|class| {
        let wrong = |recalls: &&Vec<f64>| 1.0 - recalls.get(class + 1).copied().unwrap_or(0.0);
        1.0 - of_voters.iter().map(wrong).product::<f64>()
    });
    let right: Vec<f64> = right.collect();
    right.iter().sum::<f64>() / right.len().max(1) as f64
}
