//! What E2 gave, over the whole distribution of its queries.

use std::fmt::{self, Write};

use serde_json::{Value, json};

use super::answered::{Answered, Asked, Constraint};
use super::client::Run;
use super::shop::ShopSearch;

/// A query that loses more against the single model is not one of equal F1.
const LOSS_POINTS_MAX: f64 = 0.5;
/// The gain that is a win.
const WIN: f64 = 2.0;

/// All that was measured on the real zoo.
#[derive(Debug, Clone)]
pub struct Real {
    pub(super) answered: Vec<Answered>,
    pub(super) search: ShopSearch,
    pub(super) labelled: usize,
    pub(super) images: usize,
}

/// A query of which a plan and a single model can be promised the same.
#[derive(Debug, Clone, Copy)]
struct Pair {
    constraint: Constraint,
    returns_labels: bool,
    /// Inference of the single model over the plan's.
    ratio: f64,
    /// Score of the single model less the plan's, in points.
    loss: f64,
    /// Inference of the cheapest model whose score on the test images keeps the constraint,
    /// over the plan's.
    by_truth: Option<f64>,
}

/// Quartiles.
#[derive(Debug, Clone, Copy)]
struct Quartiles([f64; 3]);

impl Quartiles {
    /// `None` of nothing.
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        let at = |share: f64| {
            let place = share * last as f64;
            let (low, high) = (
                values.get(place as usize)?,
                values.get(place.ceil() as usize)?,
            );
            Some(low + (high - low) * place.fract())
        };
        Some(Self([at(0.25)?, at(0.5)?, at(0.75)?]))
    }

    fn median(self) -> f64 {
        self.0[1]
    }
}

impl fmt::Display for Quartiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [low, median, high] = self.0;
        write!(f, "{low:.2} / **{median:.2}** / {high:.2}")
    }
}

fn shown(quartiles: Option<Quartiles>) -> String {
    quartiles.map_or("none".to_owned(), |q| q.to_string())
}

impl Answered {
    fn run(&self, number: Option<usize>) -> Option<&Run> {
        self.runs.get(number?)
    }

    fn pair(&self, asked: &Asked) -> Option<Pair> {
        let (plan, single) = (self.run(asked.optimal)?, self.run(asked.single)?);
        let inference = plan.cost().inference;
        let keeps = |(score, _): &&(f64, f64)| *score >= asked.least;
        let by_truth = self.named.iter().filter(keeps).map(|(_, seconds)| *seconds);
        Some(Pair {
            constraint: asked.constraint,
            returns_labels: self.question.returns_labels,
            ratio: single.cost().inference / inference,
            loss: (single.score - plan.score) * 100.0,
            by_truth: by_truth.reduce(f64::min).map(|seconds| seconds / inference),
        })
    }
}

impl Answered {
    /// A row of the table for each constraint.
    pub(super) fn rows(&self, images: usize) -> String {
        let mut text = String::new();
        for asked in &self.asked {
            let kind = match asked.constraint {
                Constraint::Between => "",
                Constraint::OfSingle => " (of a single)",
            };
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "| {} | {:.3}{kind} |",
                self.question.name(),
                asked.least
            );
            let _ = match self.run(asked.optimal) {
                Some(run) => write!(
                    text,
                    " {} | {:.3} | {:.3} ({:.3}) |",
                    run.plan.models,
                    run.score,
                    run.cost().inference,
                    run.plan.predicted * images as f64
                ),
                None => write!(text, " refused | | |"),
            };
            let _ = match self.run(asked.single) {
                Some(run) => write!(
                    text,
                    " {} | {:.3} | {:.3} |",
                    run.plan.models,
                    run.score,
                    run.cost().inference
                ),
                None => write!(text, " none | | |"),
            };
            let ratio = self.pair(asked).map(|p| format!("{:.2}", p.ratio));
            let _ = writeln!(text, " {} |", ratio.unwrap_or_default());
        }
        text
    }
}

impl Real {
    fn pairs(&self) -> Vec<Pair> {
        let all = |a: &'_ Answered| a.asked.iter().filter_map(|asked| a.pair(asked)).collect();
        self.answered.iter().flat_map::<Vec<Pair>, _>(all).collect()
    }

    fn asked(&self) -> impl Iterator<Item = (&Answered, &Asked)> {
        let answered = self.answered.iter();
        answered.flat_map(|a| std::iter::repeat(a).zip(&a.asked))
    }

    /// Promises made of plans, and those that hold on the test images.
    fn promises(&self) -> (usize, usize) {
        let scores = self
            .asked()
            .filter_map(|(a, asked)| Some(a.run(asked.optimal)?.score >= asked.least));
        scores.fold((0, 0), |(all, held), holds| {
            (all + 1, held + usize::from(holds))
        })
    }

    /// Inference of the most accurate plan over that of the planner's choices.
    fn to_most_accurate(&self) -> Option<Quartiles> {
        Quartiles::of(self.asked().filter_map(|(a, asked)| {
            let (best, plan) = (a.run(a.most_accurate)?, a.run(asked.optimal)?);
            Some(best.cost().inference / plan.cost().inference)
        }))
    }

    /// Inference as measured over what the plans' costs foretell.
    fn measured_over_predicted(&self, cascades: bool) -> Option<Quartiles> {
        let runs = self.answered.iter().flat_map(|a| &a.runs);
        let runs = runs.filter(|run| run.plan.models.contains("->") == cascades);
        let images = self.images as f64;
        Quartiles::of(
            runs.filter(|run| run.plan.predicted > 0.0)
                .map(|run| run.cost().inference / (run.plan.predicted * images)),
        )
    }

    /// Shares of inference, decoding and all else in the CPU time of the planner's choices.
    fn shares(&self) -> [f64; 3] {
        let runs = self.asked().filter_map(|(a, asked)| a.run(asked.optimal));
        let mut sums = [0.0; 3];
        for cost in runs.map(Run::cost) {
            let parts = [cost.inference, cost.preparing, cost.sql];
            sums.iter_mut()
                .zip(parts)
                .for_each(|(sum, part)| *sum += part);
        }
        let all: f64 = sums.iter().sum();
        sums.map(|sum| sum / all.max(1e-9))
    }

    /// The figures that are followed over time.
    pub fn figures(&self) -> Vec<(&'static str, Value)> {
        let pairs = self.pairs();
        let ratios = |of: &dyn Fn(&Pair) -> bool| {
            let of = pairs.iter().filter(|p| of(p));
            Quartiles::of(of.map(|p| p.ratio))
        };
        let all = ratios(&|_| true);
        let loss = Quartiles::of(pairs.iter().map(|p| p.loss));
        let by_truth = Quartiles::of(pairs.iter().filter_map(|p| p.by_truth));
        let median = |q: Option<Quartiles>| json!(q.map(Quartiles::median));
        let wins = pairs.iter().filter(|p| p.ratio >= WIN).count();
        let (promised, held) = self.promises();
        vec![
            ("e2_time_ratio_at_equal_f1", median(all)),
            ("e2_time_ratio_quartiles", json!(all.map(|q| q.0))),
            ("e2_f1_loss_points", median(loss)),
            ("e2_queries", json!(pairs.len())),
            (
                "e2_share_won",
                json!(wins as f64 / pairs.len().max(1) as f64),
            ),
            ("e2_time_ratio_by_truth", median(by_truth)),
            (
                "e2_time_ratio_to_most_accurate",
                median(self.to_most_accurate()),
            ),
            (
                "e2_refusal_rate",
                json!(1.0 - promised as f64 / self.asked().count().max(1) as f64),
            ),
            ("e2_promises_broken", json!(promised - held)),
            (
                "demo_time_ratio",
                json!(self.search.time_ratio.map(|r| r.median)),
            ),
            ("demo_f1", json!(self.search.f1)),
            ("demo_f1_promised", json!(self.search.least)),
        ]
    }

    /// The tables.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "\n## E2: the real zoo\n\n\
             The demo's shop: models are known by {} labelled images, {} other images are asked for, through SQL, outputs not kept.\n\
             Queries were chosen before any was run: filters for 1, 2, 3, 5 and 8 classes, judged by F1, and labels of 2, 5 and all\n\
             classes, judged by accuracy; classes are drawn. Each is asked with constraints at 25, 50, 75 and 95 % of the way from what\n\
             can be promised of the cheapest models to what can be of the most accurate plan (*between*), and with the closest that\n\
             each single model keeps as the cheapest one (*of a single*), so that the very cheapest, which nothing can beat, is among\n\
             them. Each decision of a query is run in turn; times are CPU seconds of inference in the executor.\n\n",
            self.labelled, self.images
        );
        self.distribution(&mut text);
        self.remarks(&mut text);
        self.rows(&mut text);
        text
    }

    fn distribution(&self, text: &mut String) {
        let pairs = self.pairs();
        text.push_str(
            "Quartiles (lower / **median** / upper) of the inference of the cheapest single model over the plan's:\n\n\
             | queries | number | of which the same is promised by the same rows | F1 or accuracy lost, points | that keeps it on the test images | >= 2x |\n\
             | --- | --: | --- | --- | --- | --: |\n",
        );
        type Group<'a> = (&'a str, &'a dyn Fn(&Pair) -> bool);
        let groups: [Group<'_>; 6] = [
            ("all", &|_| true),
            ("constraint between", &|p| {
                p.constraint == Constraint::Between
            }),
            ("constraint of a single", &|p| {
                p.constraint == Constraint::OfSingle
            }),
            ("filters", &|p| !p.returns_labels),
            ("labels", &|p| p.returns_labels),
            ("that lose at most 0.5 points", &|p| {
                p.loss <= LOSS_POINTS_MAX
            }),
        ];
        for (name, is_of) in groups {
            let of: Vec<Pair> = pairs.iter().copied().filter(|p| is_of(p)).collect();
            let won = of.iter().filter(|p| p.ratio >= WIN).count();
            let _ = writeln!(
                text,
                "| {name} | {} | {} | {} | {} | {:.0} % |",
                of.len(),
                shown(Quartiles::of(of.iter().map(|p| p.ratio))),
                shown(Quartiles::of(of.iter().map(|p| p.loss))),
                shown(Quartiles::of(of.iter().filter_map(|p| p.by_truth))),
                100.0 * won as f64 / of.len().max(1) as f64,
            );
        }
    }

    fn remarks(&self, text: &mut String) {
        let (promised, held) = self.promises();
        let asked = self.asked().count();
        let nobody = |(_, a): &(&Answered, &Asked)| a.optimal.is_some() && a.single.is_none();
        let only_single = |(_, a): &(&Answered, &Asked)| a.optimal.is_none() && a.single.is_some();
        let [inference, decode, sql] = self.shares().map(|share| share * 100.0);
        let _ = writeln!(
            text,
            "\n* {asked} queries: {promised} promised, {} refused; {held} of {promised} promises hold on the test images. {} queries could be\n  \
             promised of no single model, {} of a single model although the planner's choice was refused.\n\
             * Inference of the most accurate plan over that of the planner's choice: {}.\n\
             * Inference measured over foretold: {} of one stage, {} of two.\n\
             * Of the CPU time of the planner's choices inference is {inference:.0} %, decoding {decode:.0} %, SQL (proxy, store, client) {sql:.0} %.",
            asked - promised,
            self.asked().filter(nobody).count(),
            self.asked().filter(only_single).count(),
            shown(self.to_most_accurate()),
            shown(self.measured_over_predicted(false)),
            shown(self.measured_over_predicted(true)),
        );
        let search = &self.search;
        let [ours, best] = search.seconds;
        let ratio = search
            .time_ratio
            .map_or("unknown".to_owned(), |r| format!("{r:.2}"));
        let _ = writeln!(
            text,
            "\n### The demo's search\n\n`{}` with `@ml_min_accuracy = {}`: {ours:.3} s, F1 {:.3}; with `@ml_strategy = 'most_accurate'`:\n\
             {best:.3} s, F1 {:.3}. Wall time over wall time, round by round: {ratio}.",
            search.sql, search.least, search.f1, search.most_accurate_f1,
        );
    }

    fn rows(&self, text: &mut String) {
        text.push_str(
            "\n### Each query\n\n| query | least | plan | score | inference s (foretold) | single model | score | inference s | ratio |\n\
             | --- | --: | --- | --: | --: | --- | --: | --: | --: |\n",
        );
        for answered in &self.answered {
            text.push_str(&answered.rows(self.images));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn quartiles_lie_between_values() {
        let quartiles = Quartiles::of([4.0, 1.0, 2.0, 3.0, 9.0].into_iter()).unwrap();
        assert_eq!(quartiles.0, [2.0, 3.0, 4.0]);
        assert_eq!(Quartiles::of([1.0, 2.0].into_iter()).unwrap().median(), 1.5);
        assert!(Quartiles::of(std::iter::empty()).is_none());
    }
}
