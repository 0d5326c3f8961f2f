//! Order in which plans are tested for a promise.
//!
//! The sequence of tests is fixed before the certification rows are used, and ends at the first
//! plan that fails; the last plan that passed is chosen. Each test is therefore a bet: if it
//! passes, the plan becomes cheaper; if it fails, all later plans are lost. The sequence with the
//! least expected seconds is computed from the cheapest plan back to the most expensive, from each
//! plan's probability to pass.

use super::cascades::spread;
use super::choice::Choice;

/// Maximum number of plans considered for a sequence, and so of tests.
const PLANS_MAX: usize = 32;
/// Selection bias of a set or cascade, as one of many that were evaluated: how much better it
/// seems than it is, in standard deviations on the rows that it was evaluated on.
const FLATTERED: f64 = 0.5;
/// Dependence between successive tests: 0 for independent ones, 1 if a plan that passes the harder
/// test always passes the easier one. Both use the same rows.
const ALIKE: f64 = 0.9;
/// Plans with a lower probability to pass are not tested.
const PASSES_MIN: f64 = 0.01;

/// Requirement of the tests, and the uncertainty of their outcome.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// The metric that a plan must show to pass.
    pub(super) needed: f64,
    /// Standard deviation of the metric on the certification rows, for a plan with known metric.
    pub(super) deviation: f64,
    /// The same on the rows on which the plans were evaluated.
    pub(super) deviation_seen: f64,
}

impl Asked {
    /// Margin between the expected and the needed metric, in standard deviations: a larger margin
    /// means a higher probability to pass.
    fn surplus(&self, plan: &Choice) -> f64 {
        let flattered = if plan.is_single() { 0.0 } else { FLATTERED };
        let expected = plan.value - flattered * self.deviation_seen;
        let deviation = self.deviation.hypot(self.deviation_seen);
        (expected - self.needed) / deviation.max(1e-9)
    }
}

/// The plans to test, in order: first the plan most likely to pass, so that a refusal can report
/// its result, then cheaper and cheaper ones.
pub(super) fn sequence(plans: Vec<Choice>, asked: &Asked) -> Vec<Choice> {
    let surplus = |plan: Choice| (asked.surplus(&plan), plan);
    let mut bets: Vec<(f64, Choice)> = plans.into_iter().map(surplus).collect();
    // A plan that is neither cheaper nor more likely to pass than another is not worth a test.
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
    // For each plan: the least expected seconds after it passed, and the plan to test next.
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

/// (probability to pass, plan)
type Bet = (f64, Choice);

/// The least expected seconds after plan `number` passed, and the cheaper plan to test next, if
/// any is worth it.
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

/// Conditional probability that a plan passes, given its own probability `passes`, after a plan
/// with probability `passed` did.
fn passes_after(passed: f64, passes: f64) -> f64 {
    (1.0 - ALIKE) * passes + ALIKE * (passes / passed.max(f64::MIN_POSITIVE)).min(1.0)
}

/// The standard normal distribution function at `x`, within 1e-7 (Abramowitz and Stegun 26.2.17).
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

    /// Expected seconds of testing plans in this order, after one passed.
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
                // Tests with a negligible probability to pass are left out.
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
