//! A decision over every class, narrowed to what a statement distinguishes, gives the same answers
//! as far as they are distinguished.

use std::sync::Arc;

use predictsql_catalog::Vote;

use crate::distinctions::Distinctions;
use crate::fixture::model;
use crate::planner::{Blocks, Decision, Settled};
use crate::planner::{Stage, Voter};

const CLASSES: usize = 4;

fn voter(id: u64, knows: &[u16]) -> Voter {
    Voter {
        model: Arc::new(model(id, "m", &[], None)),
        outcomes: knows.iter().copied().chain([0]).collect(),
        calibration: None,
        none_is_other: false,
    }
}

/// A decision over every class: a first stage that knows all, a second that knows `second`.
fn decision(second: &[u16], replaces: bool) -> Decision {
    let stage = |voter, pass_below, replaces| Stage {
        voters: vec![voter],
        pass_below,
        replaces,
    };
    Decision {
        stages: vec![
            stage(voter(1, &[1, 2, 3, 4]), Some(50_000), false),
            stage(voter(2, second), None, replaces),
        ],
        floor: 0,
        blocks: Blocks::every_class(CLASSES, false),
        settled: Settled::default(),
    }
}

#[test]
fn a_second_stage_that_cannot_change_the_block_is_not_asked() {
    let asked = |decision: &Decision, first: u16| {
        let mut asked = Vec::new();
        decision.answer(|voter| {
            asked.push(voter.model.id);
            Vote::new(9, if voter.model.id == 1 { first } else { 2 })
        });
        asked.len()
    };
    let is_first = Blocks::any_of(&[0], CLASSES, false);
    let full = decision(&[2, 3], false);
    let narrow = full.clone().narrowed(&is_first);
    // Among the classes of the second model is not the one asked for.
    assert_eq!([1, 2, 4].map(|c| asked(&full, c)), [2, 2, 2]);
    assert_eq!([1, 2, 4].map(|c| asked(&narrow, c)), [2, 1, 1]);
    let knows_it = decision(&[1, 2], false).narrowed(&is_first);
    assert_eq!([1, 2].map(|c| asked(&knows_it, c)), [2, 2]);
    let labels = full.narrowed(&Blocks::every_class(CLASSES, false));
    assert_eq!(asked(&labels, 4), 2);
}

/// All decisions of two stages over these classes, all partitions, all votes: the block of the
/// answer is that of the decision over every class.
#[test]
fn narrowing_changes_no_block() {
    let mut skipped = 0;
    for second in 0_u32..16 {
        let knows: Vec<u16> = (1..=4).filter(|c| second & (1 << (c - 1)) != 0).collect();
        for (replaces, partition) in [false, true]
            .into_iter()
            .flat_map(|r| (0_u32..3_u32.pow(5)).map(move |partition| (r, partition)))
        {
            let signature = |outcome: u32| partition / 3_u32.pow(outcome) % 3;
            let distinctions = Distinctions::from_signatures((0..5).map(signature));
            let needed = Blocks::new(&distinctions, CLASSES, false);
            let full = decision(&knows, replaces);
            let narrow = full.clone().narrowed(&needed);
            for first in 0..=4 {
                for then in knows.iter().copied().chain([0]) {
                    let answer = |decision: &Decision, asked: &mut u32| {
                        decision.answer(|voter| match voter.model.id {
                            1 => Vote::new(40_000, first),
                            _ => {
                                *asked += 1;
                                Vote::new(45_000, then)
                            }
                        })
                    };
                    let (mut all, mut few) = (0, 0);
                    let of_full = signature(answer(&full, &mut all).into());
                    let of_narrow = signature(answer(&narrow, &mut few).into());
                    assert_eq!(of_full, of_narrow, "{knows:?} {replaces} {partition}");
                    skipped += all - few;
                }
            }
        }
    }
    assert!(skipped > 1000, "{skipped}");
}
