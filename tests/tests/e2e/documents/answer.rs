//! Whether an answer is the one that a document shows.

use predictsql_tests::wire::{Answer, SqlError};

use super::blocks::Step;

/// Begins a line of a plan that goes on with the one before.
const CONTINUED: &str = "         ";

/// Says what is different.
pub fn compare(step: &Step, answer: &Result<Answer, SqlError>) -> Result<(), String> {
    let error = step.answer.iter().find(|line| line.starts_with("ERROR "));
    match (answer, error) {
        (Err(error), Some(documented)) => {
            let found = format!(
                "ERROR {} ({}): {}",
                error.code, error.sqlstate, error.message
            );
            same_error(documented, &found, step.figures_vary)
        }
        (Err(error), None) => Err(format!("fails with {error:?}")),
        (Ok(_), Some(_)) => Err("succeeds".to_owned()),
        (Ok(_), None) if step.answer.is_empty() => Ok(()),
        (Ok(answer), None) => {
            let cells = step.answer.iter().filter(|line| !line.starts_with('+'));
            let documented: Vec<String> = cells.map(|line| bare(line)).collect();
            same(&documented, &table(answer), step.figures_vary)
        }
    }
}

/// Whether an error is the documented one, or begins like one that ends in `...`.
fn same_error(documented: &str, found: &str, figures_vary: bool) -> Result<(), String> {
    let key = |text: &str| match figures_vary {
        true => without_figures(text),
        false => text.to_owned(),
    };
    let fits = match documented.strip_suffix("...") {
        Some(head) => key(found).starts_with(&key(head)),
        None => key(found) == key(documented),
    };
    if fits {
        Ok(())
    } else {
        Err(format!("fails with {found}"))
    }
}

/// Header and rows, cells between bars.
fn table(answer: &Answer) -> Vec<String> {
    let line = |cells: Vec<String>| bare(&format!("|{}|", cells.join("|")));
    let cell = |cell: &Option<String>| cell.clone().unwrap_or_else(|| "NULL".to_owned());
    let rows = answer
        .rows
        .iter()
        .map(|row| line(row.iter().map(cell).collect()));
    std::iter::once(line(answer.columns.clone()))
        .chain(rows)
        .collect()
}

/// A row without the blanks around its cells.
fn bare(line: &str) -> String {
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    cells.join("|")
}

/// Each documented line is the next found one, or after `...` a later one.
fn same(documented: &[String], found: &[String], figures_vary: bool) -> Result<(), String> {
    let key = |line: &String| match figures_vary {
        true => without_figures(line),
        false => line.clone(),
    };
    let mut rest = found.iter().map(key);
    let mut any = false;
    for line in documented {
        if line == "..." {
            any = true;
            continue;
        }
        let line = key(line);
        let fits = if any {
            rest.any(|next| next == line)
        } else {
            rest.next().as_ref() == Some(&line)
        };
        any = false;
        if !fits {
            return Err(format!(
                "lacks {line:?}; the answer is\n{}",
                found.join("\n")
            ));
        }
    }
    if any || rest.next().is_none() {
        Ok(())
    } else {
        Err(format!(
            "is longer than the document shows:\n{}",
            found.join("\n")
        ))
    }
}

/// The line with `#` in place of each number.
fn without_figures(line: &str) -> String {
    let mut text = String::new();
    for c in line.chars() {
        let of_number = c.is_ascii_digit() || (c == '.' && text.ends_with('#'));
        if !of_number {
            text.push(c);
        } else if !text.ends_with('#') {
            text.push('#');
        }
    }
    text
}

/// The words with which the documented lines of a plan begin come in this order in the plan found.
/// Which models it has depends on what was measured.
pub fn compare_plan(documented: &[String], found: &[String]) -> Option<String> {
    let word = |line: &String| {
        let word = line
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned();
        if word.contains('@') {
            "@".to_owned()
        } else {
            word
        }
    };
    let mut rest = found.iter().map(word);
    let shown = documented
        .iter()
        .filter(|line| line.trim() != "..." && !line.trim().is_empty());
    for line in shown.filter(|line| !line.starts_with(CONTINUED)) {
        let wanted = word(line);
        if !rest.any(|next| next == wanted) {
            return Some(format!(
                "the plan lacks {line:?} there:\n{}",
                found.join("\n")
            ));
        }
    }
    None
}

#[test]
fn answers_are_compared_line_by_line() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let found = lines("|a|\n|1|\n|2|\n|3|");
    for (documented, fits) in [
        ("|a|\n|1|\n|2|\n|3|", true),
        ("|a|\n|1|\n|2|", false),
        ("|a|\n...", true),
        ("|a|\n...\n|3|", true),
        ("|a|\n|2|\n...", false),
    ] {
        assert_eq!(
            same(&lines(documented), &found, false).is_ok(),
            fits,
            "{documented}"
        );
    }
    assert!(same(&lines("|a 0.125|"), &lines("|a 7|"), true).is_ok());
    assert!(same(&lines("|a 0.125|"), &lines("|b 7|"), true).is_err());
    let plan = lines("Plan\n  Model   x@1; 2 us\n  Price   3");
    assert_eq!(compare_plan(&lines("Plan\n  Model  y\n..."), &plan), None);
    assert!(compare_plan(&lines("  Price 1\n  Model y"), &plan).is_some());
}
