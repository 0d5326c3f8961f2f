//! Blocks of a document: statements with their answers, and plans.

/// A block that is tested.
#[derive(Debug, PartialEq, Eq)]
pub enum Block {
    /// Statements.
    Sql(Vec<Step>),
    /// The plan that the statement before is answered with.
    Plan(Vec<String>),
}

/// A statement, and the lines below it.
#[derive(Debug, PartialEq, Eq, Default)]
pub struct Step {
    /// Its text, without the semicolon.
    pub sql: String,
    /// Lines of its answer; none where the document does not show it.
    pub answer: Vec<String>,
    /// Whether numbers of the answer may differ.
    pub figures_vary: bool,
}

/// The tested blocks of a document in order.
pub fn blocks(document: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = document.lines();
    let mut above = "";
    let mut may_be_plan = false;
    while let Some(line) = lines.next() {
        let Some(kind) = line.strip_prefix("```") else {
            if !line.trim().is_empty() {
                above = line;
            }
            continue;
        };
        let inside: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let is_sql = kind == "sql" && !above.starts_with("<!-- tested: ");
        if is_sql {
            blocks.push(Block::Sql(steps(&inside, above == "<!-- figures vary -->")));
        } else if kind == "text" && may_be_plan {
            blocks.push(Block::Plan(
                inside.iter().map(|line| (*line).to_owned()).collect(),
            ));
        }
        may_be_plan =
            is_sql && matches!(blocks.last(), Some(Block::Sql(steps)) if ends_in_plan(steps));
        above = "";
    }
    blocks
}

fn ends_in_plan(steps: &[Step]) -> bool {
    let last = steps.last().map(|step| step.sql.trim_start());
    last.is_some_and(|sql| sql.starts_with("EXPLAIN") || sql.starts_with("ANALYZE"))
}

/// A statement ends with a semicolon before the end of a line or a comment, or with the block.
fn steps(lines: &[&str], figures_vary: bool) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut sql = String::new();
    for line in lines {
        let is_answer =
            line.starts_with(['+', '|']) || line.starts_with("ERROR ") || *line == "...";
        if is_answer && sql.trim().is_empty() {
            let step = steps
                .last_mut()
                .expect("an answer stands below a statement");
            step.answer.push((*line).to_owned());
            continue;
        }
        let (code, _comment) = line.split_once(" -- ").unwrap_or((line, ""));
        if code.starts_with("-- ") {
            continue;
        }
        sql.push_str(code);
        sql.push('\n');
        if code.trim_end().ends_with(';') {
            steps.push(step(&sql, figures_vary));
            sql.clear();
        }
    }
    if !sql.trim().is_empty() {
        steps.push(step(&sql, figures_vary));
    }
    steps
}

fn step(sql: &str, figures_vary: bool) -> Step {
    Step {
        sql: sql.trim().trim_end_matches(';').to_owned(),
        answer: Vec::new(),
        figures_vary,
    }
}

#[test]
fn blocks_are_cut_into_statements_and_answers() {
    let document = "a\n```sql\nSELECT 1; -- one\n+---+\n...\nSELECT\n 2\n```\n\n<!-- tested: x -->\n```sql\nDROP\n```\n\
                    ```text\nno plan\n```\n<!-- figures vary -->\n```sql\nEXPLAIN SELECT 3;\n```\n\n```text\nPlan 3\n```\n";
    let step = |sql: &str, answer: &[&str], figures_vary| Step {
        sql: sql.to_owned(),
        answer: answer.iter().map(|line| (*line).to_owned()).collect(),
        figures_vary,
    };
    let expected = [
        Block::Sql(vec![
            step("SELECT 1", &["+---+", "..."], false),
            step("SELECT\n 2", &[], false),
        ]),
        Block::Sql(vec![step("EXPLAIN SELECT 3", &[], true)]),
        Block::Plan(vec!["Plan 3".to_owned()]),
    ];
    assert_eq!(blocks(document), expected);
}
