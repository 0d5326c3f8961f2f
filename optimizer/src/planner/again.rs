//! Re-evaluates choices on more rows than the search used, if there are more.

use super::answered::Rows;
use super::cascades::{FEW_MODELS, spread};
use super::choice::Choice;
use super::frontier::Goal;
use super::measured::Measured;

/// Maximum number of sets and cascades that are re-evaluated for a promise: with many models, and
/// with few.
const AGAIN_MAX: (usize, usize) = (16, 64);
/// Margin by which a cheaper plan may be better before a plan is dropped.
const CHANCE: f64 = 0.004;
impl Measured<'_> {
    /// Single models, and the sets that no cheaper set clearly beats, with their values on more
    /// rows if there are more; otherwise all choices unchanged. On few rows the random error is as
    /// large as the margin of a promise.
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

    /// The choice that serves a goal best on more rows than the search used, if there are more:
    /// the best of many choices on few rows is often best by chance.
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

/// A limited number of plans to re-evaluate: those that no cheaper plan beats by more than the
/// random error.
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
