//! The statements of README.md and of `docs/`: each runs,
//! and gives the answer that stands below it.
//!
//! * A block of kind `sql` is run statement by statement, in the order of its document, in one
//!   session in the demo's shop. `<!-- tested: NAME -->` above a block means that another test
//!   runs it.
//! * Lines of a table, or an `ERROR`, after a statement are its answer. A line of `...` stands for
//!   any lines. Below `<!-- figures vary -->` numbers may differ.
//! * A block of kind `text` right after one that ends in EXPLAIN or ANALYZE is the plan: the same
//!   words must begin its lines, in the same order.

mod answer;
mod blocks;
mod shop;

use std::path::{Path, PathBuf};

use predictsql_tests::Wire;
use predictsql_tests::process::checkout;

use answer::{compare, compare_plan};
use blocks::{Block, Step, blocks};

/// README.md and the pages for users, relative to the checkout.
fn documents() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(checkout().join("docs")).unwrap();
    let pages = folder.map(|entry| Path::new("docs").join(entry.unwrap().file_name()));
    let mut pages: Vec<PathBuf> = pages
        .filter(|page| page.extension().is_some_and(|ending| ending == "md"))
        .collect();
    pages.sort();
    [vec![PathBuf::from("README.md")], pages].concat()
}

#[test]
fn statements_of_documents_give_the_answers_that_stand_there() {
    let (_store, proxy) = shop::start();
    let (mut statements, mut answers, mut wrong) = (0, 0, Vec::new());
    for document in documents() {
        let text = std::fs::read_to_string(checkout().join(&document)).unwrap();
        let mut session = proxy.root();
        session.run("USE shop");
        let mut last = Vec::new();
        for block in blocks(&text) {
            let differences = match block {
                Block::Sql(steps) => {
                    statements += steps.len();
                    answers += steps.iter().filter(|step| !step.answer.is_empty()).count();
                    run(&mut session, &steps, &mut last)
                }
                Block::Plan(lines) => {
                    answers += 1;
                    compare_plan(&lines, &last).into_iter().collect()
                }
            };
            let differences = differences.into_iter();
            wrong.extend(differences.map(|found| format!("{}: {found}", document.display())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(statements > 60 && answers > 12, "{statements}, {answers}");
}

/// Runs the statements of a block; what is different from the document.
/// `last` is what the last of them gave.
fn run(session: &mut Wire, steps: &[Step], last: &mut Vec<String>) -> Vec<String> {
    let mut differences = Vec::new();
    for step in steps {
        let answer = session.query(&step.sql).map(|mut all| all.swap_remove(0));
        if let Ok(answer) = &answer {
            let first = answer.rows.iter().map(|row| row[0].clone());
            *last = first.map(Option::unwrap_or_default).collect();
        }
        if let Err(difference) = compare(step, &answer) {
            differences.push(format!("{}\n{difference}", step.sql));
        }
    }
    differences
}
