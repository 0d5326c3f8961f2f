//! In which order plans are tested for a promise.
//!
//! Tests come in a sequence that is fixed before the rows that certify are looked at, and that
//! ends at the first plan that fails; the last one that passed is taken. Each test is a bet, then:
//! passed, it makes the plan cheaper; failed, it hides all that would have come after it. The
//! sequence with the least seconds to expect is found from the cheapest plan back to the dearest,
//! by how likely each is to pass.

use super::cascades::spread;
use super::choice::Choice;

/// Most plans that are looked at for a sequence, and so most tests.
const PLANS_MAX: usize = 32;
/// How far a set or a cascade, being one of many that were looked at, seems better than it is, in
/// standard deviations of the rows that it was seen on.
const FLATTERED: f64 = 0.5;
/// How much what passed says of what comes after it: 0 nothing, 1 all (who passes the harder test
/// passes the easier one). Both are on the same rows.
const ALIKE: f64 = 0.9;
/// What is less likely to pass is not tested.
const PASSES_MIN: f64 = 0.01;

/// What the tests ask for, and how well their outcome is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// The metric that a plan has to show to pass.
    pub(super) needed: f64,
    /// Standard deviation of what the rows that certify will show of a plan whose metric is known.
    pub(super) deviation: f64,
    /// The same of the rows on which the plans were seen.
    pub(super) deviation_seen: f64,
}

impl Asked {
    /// By how many deviations more is expected of a plan than it has to show: the greater,
    /// the likelier it passes.
    fn surplus(&self, plan: &Choice) -> f64 {
        let flattered = if plan.is_single() { 0.0 } else { FLATTERED };
        let expected = plan.value - flattered * self.deviation_seen;
        let deviation = self.deviation.hypot(self.deviation_seen);
        (expected - self.needed) / deviation.max(1e-9)
    }
}

/// The plans to test, in this order: first the likeliest to pass, since what a refusal tells of it
/// can be had, then cheaper and cheaper ones.
pub(super) fn sequence(plans: Vec<Choice>, asked: &Asked) -> Vec<Choice> {
    let surplus = |plan: Choice| (asked.surplus(&plan), plan);
    let mut bets: Vec<(f64, Choice)> = plans.into_iter().map(surplus).collect();
    // Of what is no cheaper and no likelier to pass than another, nothing is worth a test.
    bets.sort_by(|(p, a), (q, b)| a.seconds.total_cmp(&b.seconds).then(q.total_cmp(p)));
    let mut most = f64::NEG_INFINITY;
    bets.retain(|(surplus, _)| {
        let is_likelier = *surplus > most;
        most = most.max(*surplus);
        is_likelier
    });
    let bets: Vec<Bet> = spread(bets, PLANS_MAX)
        .into_iter()
        .map(|(surplus, plan)| (normal(surplus), plan))
        .collect();
    // The least seconds to expect once a plan passed, and what to test then.
    let mut after: Vec<(f64, Option<usize>)> = Vec::with_capacity(bets.len());
    for number in 0..bets.len() {
        let next = best_bet(&bets, &after, number);
        after.push(next);
    }
    let mut next = bets.len().checked_sub(1);
    let mut order = Vec::new();
    while let Some(number) = next {
        order.extend(bets.get(number).map(|(_, plan)| plan.clone()));
        next = after.get(number).and_then(|(_, next)| *next);
    }
    order
}

/// How likely a plan is to pass, and the plan.
type Bet = (f64, Choice);

/// The least seconds to expect once plan `number` passed, and the cheaper plan to test next,
/// if any is worth it.
fn best_bet(bets: &[Bet], after: &[(f64, Option<usize>)], number: usize) -> (f64, Option<usize>) {
    let Some((passed, plan)) = bets.get(number) else {
        return (0.0, None);
    };
    let tests = bets.iter().zip(after).enumerate();
    tests.fold(
        (plan.seconds, None),
        |best, (number, ((passes, _), then))| {
            let passes = passes_after(*passed, *passes);
            let expected = passes * then.0 + (1.0 - passes) * plan.seconds;
            if passes >= PASSES_MIN && expected < best.0 {
                (expected, Some(number))
            } else {
                best
            }
        },
    )
}

/// How likely a plan is to pass that alone would with `passes`,
/// where another did that would with `passed`.
fn passes_after(passed: f64, passes: f64) -> f64 {
    (1.0 - ALIKE) * passes + ALIKE * (passes / passed.max(f64::MIN_POSITIVE)).min(1.0)
}

/// How likely a standard normal number is below `x`, within 1e-7 (Abramowitz and Stegun 26.2.17).
fn normal(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * x.abs());
    let factors = [
        1.330_274_429,
        -1.821_255_978,
        1.781_477_937,
        -0.356_563_782,
        0.319_381_530,
    ];
    let polynomial = t * factors.iter().fold(0.0, |sum, factor| sum * t + factor);
    let above = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt() * polynomial;
    if x < 0.0 { above } else { 1.0 - above }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plan(seconds: f64, value: f64, models: u16) -> Choice {
        Choice {
            first: (0..models).collect(),
            second: None,
            floor: 0,
            seconds,
            value,
            share: 0.0,
        }
    }

    const ASKED: Asked = Asked {
        needed: 0.9,
        deviation: 0.004,
        deviation_seen: 0.005,
    };

    /// Seconds to expect of testing plans in this order, once one passed.
    fn expected(order: &[Choice], at_hand: &Choice) -> f64 {
        let Some((first, rest)) = order.split_first() else {
            return at_hand.seconds;
        };
        let alone = |plan| normal(ASKED.surplus(plan));
        let passes = passes_after(alone(at_hand), alone(first));
        passes * expected(rest, first) + (1.0 - passes) * at_hand.seconds
    }

    proptest! {
        #[test]
        fn no_other_sequence_has_less_to_expect(
            plans in prop::collection::vec((1_u32..1_000, 0.896..0.93_f64, 1_u16..3), 1..8)
        ) {
            let plans: Vec<Choice> = plans
                .into_iter()
                .map(|(seconds, value, models)| plan(f64::from(seconds), value, models))
                .collect();
            let found = sequence(plans.clone(), &ASKED);
            let (first, rest) = found.split_first().expect("there are plans");
            let likeliest = plans.iter().map(|plan| ASKED.surplus(plan)).fold(f64::MIN, f64::max);
            prop_assert_eq!(ASKED.surplus(first), likeliest);
            let mut cheaper: Vec<&Choice> =
                plans.iter().filter(|plan| plan.seconds < first.seconds).collect();
            cheaper.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
            let least = expected(rest, first);
            for chosen in 0_u32..1 << cheaper.len() {
                let some = cheaper.iter().enumerate().filter(|(n, _)| chosen >> n & 1 == 1);
                let order: Vec<Choice> = some.map(|(_, plan)| (*plan).clone()).collect();
                let other = expected(&order, first);
                // Tests that hardly anything passes are left out.
                prop_assert!(least <= other * 1.02, "{least} {found:?}, {other} {order:?}");
            }
        }
    }

    #[test]
    fn safe_plans_come_first_and_what_cannot_pass_is_not_tested() {
        let plans = vec![
            plan(1.0, 0.88, 1),
            plan(2.0, 0.91, 1),
            plan(100.0, 0.94, 1),
            plan(200.0, 0.93, 2),
        ];
        let order = sequence(plans, &ASKED);
        let seconds: Vec<f64> = order.iter().map(|plan| plan.seconds).collect();
        assert_eq!(seconds, [100.0, 2.0]);
    }

    #[test]
    fn a_single_model_is_believed_more_than_a_set() {
        let (single, set) = (plan(1.0, 0.91, 1), plan(1.0, 0.91, 2));
        assert!(ASKED.surplus(&single) > ASKED.surplus(&set));
    }

    #[test]
    fn normal_numbers_are_spread_as_tables_say() {
        for (x, share) in [
            (0.0, 0.5),
            (1.645, 0.950_015),
            (-1.0, 0.158_655),
            (4.0, 0.999_968),
        ] {
            assert!((normal(x) - share).abs() < 1e-6, "{x}: {}", normal(x));
        }
    }
}
