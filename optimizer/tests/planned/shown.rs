//! Plans as text for reviewers.

use predictsql_optimizer::explain::{Elapsed, Kept, Shown, short};
use predictsql_optimizer::plan::{Node, Plan};

use crate::conversation::costs;
use crate::statements::{APPAREL, catalog};

/// A plan: its nodes, and what EXPLAIN shows of it.
pub fn shown(plan: &Plan<'_, '_>) -> String {
    let mut text = format!("plan: {}\n", short(plan));
    for node in &plan.nodes {
        text.push_str(&format!("  {}\n", abbreviated(&node_text(node))));
    }
    let kept = vec![Kept::default(); plan.predictions.len()];
    let explain = plan.statement.explain();
    let shown = Shown {
        plan,
        kept: &kept,
        schema: "ml",
        costs: &costs(),
        elapsed: explain.map(|_| Elapsed::default()),
    };
    // How models were decided is shown where the statement asks for it.
    let is_shown = |line: &&String| {
        explain.is_some() || !(is_of_decision(line) || line.starts_with("Seconds"))
    };
    for line in shown.lines().iter().filter(is_shown) {
        text.push_str(&format!("  | {}\n", line.trim_end()));
    }
    if explain.is_some_and(|explain| explain.json) {
        let json = serde_json::to_string_pretty(&shown.json()).unwrap();
        text.push_str(&format!("{json}\n"));
    }
    text
}

/// Lines of a decision have a label that is indented, or follow one.
fn is_of_decision(line: &str) -> bool {
    let indent = line.len() - line.trim_start().len();
    indent == "  ".len() || indent > "Pushdown ".len()
}

fn node_text(node: &Node<'_, '_>) -> String {
    match node {
        Node::Scan(scan) => {
            let of = &scan.pushdown;
            format!(
                "Scan: {} hidden, inputs {:?}, cells {:?}, tests {:?}, limit pushed {}, rows {:?}",
                of.hidden, of.inputs, of.cells, of.tests, of.limit_pushed, scan.rows
            )
        }
        Node::Spool => "Spool".to_owned(),
        Node::Predict(of) => {
            let cells: Vec<String> = of.by_class.cells.iter().map(cell_text).collect();
            let tests = of.by_class.tests.iter();
            let tests = tests.map(|(test, passes)| {
                let bits = passes.iter().map(|p| if *p { '1' } else { '0' });
                format!("{test}: {}", bits.collect::<String>())
            });
            format!(
                "Predict {}: {} ({:?}) in {:?}, needed {}, {} outcomes, reached {:.3}, cells [{}], tests [{}]",
                of.prediction,
                of.text,
                of.input,
                of.column,
                of.needed,
                of.distinctions.blocks(),
                of.reached,
                cells.join("; "),
                tests.collect::<Vec<_>>().join("; "),
            )
        }
        Node::Filter(of) => format!(
            "Filter: {:?}, deciding {:?}, known {:?}, constants {:?}, drops {}",
            of.condition, of.deciding, of.known, of.constants, of.drops
        ),
        Node::Project(of) => format!(
            "Project: cells {:?} named {:?}, columns {:?}, offset {}, rows {}",
            of.cells, of.names, of.cell_of_column, of.offset, of.rows_max
        ),
        Node::Relate(of) => format!(
            "Relate {}: {:?}, {:?}, columns {:?}, relation {}, image bytes {:?}",
            of.prediction, of.shape, of.form, of.columns, of.relation, of.input_bytes_max
        ),
        Node::Rerun(of) => format!("Rerun: relations {:?}", of.relations),
    }
}

fn cell_text((cell, values): &(usize, Vec<Option<Vec<u8>>>)) -> String {
    let value = |value: &Option<Vec<u8>>| match value {
        None => "NULL".to_owned(),
        Some(value) => value.escape_ascii().to_string(),
    };
    let values: Vec<String> = values.iter().map(value).collect();
    format!("{cell}: {}", values.join(", "))
}

/// A statement without what repeats: lists of labels, rows of classes,
/// the label that gives a type its length.
pub fn abbreviated(sql: &str) -> String {
    let mut text = sql.replace('\n', "\\n");
    text = text.replace(&format!(", _utf8mb4'{}'", " ".repeat(255)), ", WIDE");
    for task in catalog().tasks() {
        let labels = task
            .classes
            .iter()
            .map(|class| format!("_utf8mb4'{class}'"));
        let labels = labels.collect::<Vec<_>>().join(", ");
        if !labels.is_empty() {
            text = text.replace(&labels, &format!("<{}>", task.name));
        }
    }
    for classes in [APPAREL.len(), 3, 2] {
        let rows = (1..=classes).map(|k| format!(" UNION ALL SELECT {k}"));
        text = text.replace(
            &format!("(SELECT 0 AS `k`{})", rows.collect::<String>()),
            "<classes>",
        );
    }
    text
}
