//! Whole statements, planned from recorded replies without a store: questions,
//! nodes and EXPLAIN as reviewed snapshots.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod conversation;
mod replies;
mod shown;
mod statements;

use std::path::Path;

use predictsql_optimizer::exchange::Failure;

use conversation::{Planned, plan, session_key};
use replies::{Replies, key};
use shown::{abbreviated, shown};
use statements::{GROUPS, Statement, catalog};

fn recorded() -> Replies {
    Replies::read(&replies::path(Path::new(env!("CARGO_MANIFEST_DIR"))))
}

/// The conversation about a statement, and its outcome.
fn planned(statement: &Statement, replies: &Replies) -> String {
    let mut text = format!("## {}{}\n", session_key(statement), statement.sql);
    if let Some(forced) = statement.forced {
        text.push_str(&format!("forced: {forced:?}\n"));
    }
    let mut asked = String::new();
    let outcome = plan(
        statement,
        &catalog(),
        &mut |question| {
            let key = key("", question);
            asked.push_str(&format!("? {}\n", abbreviated(&key)));
            let recorded = replies.reply(&format!("{}{key}", session_key(statement)));
            recorded.unwrap_or_else(|| {
                panic!("no reply was recorded (CONTRIBUTING.md, Tests) for: {key}")
            })
        },
        |planned| match planned {
            Planned::Plan(plan) => shown(plan),
            Planned::Failed(Failure::Refused(refusal)) => format!("refused: {refusal}\n"),
            Planned::Failed(Failure::Store(refusal)) => {
                format!(
                    "refused by the store: {} {}\n",
                    refusal.code,
                    refusal.text()
                )
            }
        },
    );
    text.push_str(&asked);
    text.push_str(&outcome);
    text
}

#[test]
fn statements_are_planned_as_reviewed_without_a_store() {
    let replies = recorded();
    let mut count = 0;
    let settings = {
        let mut settings = insta::Settings::clone_current();
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.set_snapshot_path("../snapshots");
        settings
    };
    let _bound = settings.bind_to_scope();
    for (name, statements) in GROUPS {
        count += statements.len();
        let texts: Vec<String> = statements.iter().map(|s| planned(s, &replies)).collect();
        insta::assert_snapshot!(*name, texts.join("\n"));
    }
    assert!(count >= 60, "{count} statements");
}

#[test]
fn replies_are_written_as_they_are_read() {
    let recorded = recorded();
    let mut again = Replies::default();
    for key in recorded.keys() {
        again.record(key, &recorded.reply(key).unwrap());
    }
    assert_eq!(again.text(), recorded.text());
}

#[test]
fn the_same_replies_give_the_same_plan() {
    let replies = recorded();
    let all = || GROUPS.iter().flat_map(|(_, statements)| *statements);
    for statement in all() {
        assert_eq!(planned(statement, &replies), planned(statement, &replies));
    }
}
