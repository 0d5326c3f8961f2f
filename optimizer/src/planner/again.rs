//! A second look at choices: on more rows than they were found on, where there are such.

use super::answered::Rows;
use super::cascades::{FEW_MODELS, spread};
use super::choice::Choice;
use super::frontier::Goal;
use super::measured::Measured;

/// Most sets and cascades that are looked at again on more rows for a promise, where there are
/// many models and where there are few.
const AGAIN_MAX: (usize, usize) = (16, 64);
/// By how much they may be beaten by a cheaper one.
const CHANCE: f64 = 0.004;
impl Measured<'_> {
    /// Choices that no other is both cheaper and better than, with the values that more rows show,
    /// where there are such: chance on few rows is as large as what a promise has to leave.
    pub(super) fn seen_again(&self, choices: Vec<Choice>) -> Vec<Choice> {
        if !self.has_more_rows() {
            return choices;
        }
        let mut more = Rows::more(self);
        let (singles, sets): (Vec<_>, Vec<_>) = choices.into_iter().partition(Choice::is_single);
        let kept = hardly_beaten(sets, self.candidates.len() <= FEW_MODELS)
            .into_iter()
            .chain(singles);
        kept.map(|choice| Choice {
            value: more.expected(&choice),
            ..choice
        })
        .collect()
    }

    /// Which of several choices serves a goal best on more rows than they were found on, where
    /// there are such: the best of many on few rows is often best by chance.
    pub(super) fn best_of(&self, choices: Vec<Choice>, goal: &Goal) -> Option<Choice> {
        if choices.len() < 2 || !self.has_more_rows() {
            return choices.into_iter().next();
        }
        let mut more = Rows::more(self);
        let mut seen = choices.into_iter().map(|choice| {
            let value = more.expected(&choice);
            (choice, value)
        });
        let first = seen.next()?;
        let best = seen.fold(first, |best, next| {
            let of = |(choice, value): &(Choice, f64)| (choice.seconds, *value);
            if goal.prefers(of(&next), of(&best)) {
                next
            } else {
                best
            }
        });
        Some(best.0)
    }
}

/// Plans that are worth a look on more rows, at most some:
/// no cheaper one is better by as much as chance may make of it.
fn hardly_beaten(mut plans: Vec<Choice>, has_few_models: bool) -> Vec<Choice> {
    plans.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let mut best = f64::NEG_INFINITY;
    plans.retain(|plan| {
        best = best.max(plan.value);
        plan.value > best - CHANCE
    });
    let (many, few) = AGAIN_MAX;
    let most = plans
        .iter()
        .max_by(|a, b| a.value.total_cmp(&b.value))
        .cloned();
    let mut kept = spread(plans, if has_few_models { few } else { many });
    kept.extend(most.filter(|most| !kept.contains(most)));
    kept
}
