//! Answers equal those of running the decision's models naively: every model of the plan that
//! EXPLAIN shows votes on every row, as EVALUATE has stored it, and the rule is applied by hand.

use std::collections::BTreeMap;

use predictsql_tests::{Wire, apparel};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{LABELLED, proxy, session};

const MODELS: [&str; 6] = [
    "apparel_nano",
    "apparel_medium",
    "footwear_other",
    "boot_sneaker_nano",
    "bag_tiny_other",
    "footwear_nano",
];

/// A vote: score, and the class's position plus one, or 0.
type Vote = (u16, u16);

/// The stored votes of each model on the rows of two of the three parts.
struct Votes {
    /// The rows' numbers.
    ids: Vec<usize>,
    by_model: BTreeMap<String, Vec<Vote>>,
}

impl Votes {
    fn read(session: &mut Wire) -> Self {
        let mut parts = [Vec::new(), Vec::new()];
        for id in 1..=apparel::PHOTOS {
            let hash = Sha256::digest(format!("location{}", apparel::Photos::path(id)));
            let drawn = u64::from_le_bytes(hash[8..16].try_into().unwrap()) % 10;
            match drawn {
                0..3 => {}
                3..6 => parts[0].push((hash[..16].to_vec(), id)),
                _ => parts[1].push((hash[..16].to_vec(), id)),
            }
        }
        parts.iter_mut().for_each(|part| part.sort());
        let ids: Vec<usize> = parts.iter().flatten().map(|(_, id)| *id).collect();
        let rows = session.rows(
            "SELECT m.name, CONCAT(HEX(v.plan), HEX(v.cert)) FROM ev_naive.votes v \
             JOIN ev_naive.models m ON m.id = v.model_id",
        );
        let mut by_model = BTreeMap::new();
        for row in rows {
            let [name, votes] = <[_; 2]>::try_from(row).unwrap();
            let digits = votes.unwrap();
            let bytes: Vec<u8> = (0..digits.len() / 2)
                .map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).unwrap())
                .collect();
            let votes: Vec<Vote> = bytes
                .chunks(4)
                .map(|b| {
                    (
                        u16::from_le_bytes([b[2], b[3]]),
                        u16::from_le_bytes([b[0], b[1]]),
                    )
                })
                .collect();
            assert_eq!(votes.len(), ids.len());
            by_model.insert(name.unwrap(), votes);
        }
        Self { ids, by_model }
    }
}

/// A decision, as EXPLAIN says it.
struct Decision {
    stages: Vec<(Vec<String>, Option<u16>, bool)>,
    floor: u16,
    /// What the statement asks for; `None`: every class.
    needed: Option<Vec<u16>>,
}

impl Decision {
    fn explained(session: &mut Wire, sql: &str, needed: Option<&[&str]>) -> Self {
        let json = session
            .value(&format!("EXPLAIN FORMAT=JSON {sql}"))
            .unwrap();
        let plan: Value = serde_json::from_str(&json).unwrap();
        let plan = &plan["predictions"][0];
        let score = |value: &Value| value.as_f64().map(|share| (share * 65535.0).round() as u16);
        let models = |stage: &Value| {
            let models = stage["models"].as_array().unwrap().iter();
            models
                .map(|m| m["name"].as_str().unwrap().to_owned())
                .collect()
        };
        let stages = plan["stages"].as_array().unwrap().iter();
        Self {
            stages: stages
                .map(|s| {
                    let replaces = s["replaces"].as_bool().unwrap();
                    (models(s), score(&s["pass_below"]), replaces)
                })
                .collect(),
            floor: score(&plan["floor"]).unwrap(),
            needed: needed.map(|classes| classes.iter().map(|c| outcome(c)).collect()),
        }
    }

    /// The answer to a row; 0 where no needed class is claimed.
    fn answer(&self, votes: &Votes, row: usize) -> u16 {
        let is_other = |outcome: u16| {
            self.needed
                .as_ref()
                .is_some_and(|needed| !needed.contains(&outcome))
        };
        // Of equal scores `other` wins.
        let mut leader = (0, false, 0);
        for (number, (models, pass_below, replaces)) in self.stages.iter().enumerate() {
            if *replaces {
                leader = (0, false, 0);
            }
            for name in models {
                let (score, outcome) = votes.by_model[name][row];
                if outcome != 0 || self.knows_all(name) {
                    leader = leader.max((score.max(1), is_other(outcome), outcome));
                }
            }
            let goes_on = pass_below.is_some_and(|below| leader.0 < below);
            if number + 1 < self.stages.len() && !goes_on {
                break;
            }
        }
        match leader {
            (score, ..) if score < self.floor.max(1) => 0,
            (_, true, _) => 0,
            (.., outcome) => outcome,
        }
    }

    /// Whether "none of my classes" says that a row shows none of the needed ones.
    fn knows_all(&self, name: &str) -> bool {
        let model = apparel::zoo().iter().find(|m| m.name == name).unwrap();
        let covers: Vec<u16> = model.covers.iter().map(|c| outcome(c)).collect();
        let knows = |needed: &Vec<u16>| needed.iter().all(|class| covers.contains(class));
        model.other.is_some() && self.needed.as_ref().is_some_and(knows)
    }
}

fn outcome(class: &str) -> u16 {
    let position = apparel::CLASSES.iter().position(|c| *c == class);
    position.unwrap() as u16 + 1
}

#[test]
fn answers_are_those_of_the_decisions_models_asked_about_every_row() {
    let proxy = proxy("ev_naive", &MODELS);
    let mut session = session(&proxy, "ev_naive");
    session.run(&format!("EVALUATE TASK apparel ON ({LABELLED})"));
    let votes = Votes::read(&mut session);
    let ids: Vec<String> = votes.ids.iter().map(usize::to_string).collect();
    let rows = format!("FROM products WHERE id IN ({})", ids.join(", "));
    let call = "ev_naive.apparel(photo)";
    let mut several = 0;
    for strategy in [
        "optimal",
        "greedy",
        "best_per_class",
        "most_accurate",
        "all",
    ] {
        session.run(&format!("SET @ml_strategy = '{strategy}'"));
        let sql = format!("SELECT id, {call} {rows}");
        let decision = Decision::explained(&mut session, &sql, None);
        let found: BTreeMap<usize, Option<String>> = session
            .rows(&sql)
            .into_iter()
            .map(|mut row| (row[0].as_ref().unwrap().parse().unwrap(), row.remove(1)))
            .collect();
        for (row, id) in votes.ids.iter().enumerate() {
            let answer = usize::from(decision.answer(&votes, row));
            let class = answer.checked_sub(1).map(|at| apparel::CLASSES[at]);
            assert_eq!(found[id].as_deref(), class, "{strategy}: photo {id}");
        }
        for needed in [
            &["Sneaker", "Ankle boot"][..],
            &["Bag"],
            &["Coat", "Bag", "Sandal"],
        ] {
            let test = format!("{call} IN ('{}')", needed.join("', '"));
            let filter = format!("SELECT id {rows} AND {test}");
            let decision = Decision::explained(&mut session, &filter, Some(needed));
            several += usize::from(decision.stages.iter().map(|s| s.0.len()).sum::<usize>() > 1);
            let mut found: Vec<usize> = session
                .rows(&filter)
                .iter()
                .map(|row| row[0].as_ref().unwrap().parse().unwrap())
                .collect();
            let numbered = votes.ids.iter().enumerate();
            let mut expected: Vec<usize> = numbered
                .filter(|(row, _)| decision.answer(&votes, *row) != 0)
                .map(|(_, id)| *id)
                .collect();
            found.sort_unstable();
            expected.sort_unstable();
            assert_eq!(found, expected, "{strategy}: {filter}");

            let sum = format!("SELECT SUM({test}) {rows}");
            let decision = Decision::explained(&mut session, &sum, Some(needed));
            let rows = 0..votes.ids.len();
            let expected = rows
                .filter(|row| decision.answer(&votes, *row) != 0)
                .count();
            assert_eq!(
                session.value(&sum),
                Some(expected.to_string()),
                "{strategy}: {sum}"
            );
        }
    }
    assert!(several >= 4, "{several} decisions of several models");
}
