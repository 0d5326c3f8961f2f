//! Stub functions: they let the store check, describe and grant calls of predictions.
//!
//! They are NOT DETERMINISTIC, so that the store never executes them for constant folding, and NO
//! SQL, so that a store with its binary log on accepts them. Executing one means that a client
//! bypassed the proxy: it signals SQLSTATE ML001 with a text that explains this.

use super::{SchemaName, quote_identifier, quote_text};
use crate::{AnswerShape, ColumnKind, Task, TaskInput};

/// SQLSTATE signalled by a stub when the store executes it.
const STUB_SQLSTATE: &str = "ML001";

/// `CREATE FUNCTION` of a task's typed stub. The caller must have validated its name and columns.
pub fn typed_stub(schema: &SchemaName, task: &Task) -> String {
    let parameters = match &task.input {
        TaskInput::Image => IMAGE_PARAMETER.to_owned(),
        TaskInput::Columns(columns) => {
            let typed = columns.iter().map(|column| {
                let name = quote_identifier(&column.name);
                format!("{name} {}", parameter_type(column.kind))
            });
            typed.collect::<Vec<_>>().join(", ")
        }
    };
    let returns = task.answer_shape().sql_type();
    stub(schema, "CREATE FUNCTION", &task.name, &parameters, returns)
}

fn parameter_type(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Double => "DOUBLE",
        // Without a length limit, which would truncate longer texts.
        ColumnKind::Varchar => "LONGTEXT CHARSET utf8mb4",
    }
}

/// `CREATE FUNCTION IF NOT EXISTS` of `predict` and `predict_proba`.
pub fn generic_stubs(schema: &SchemaName) -> [String; 2] {
    let create = "CREATE FUNCTION IF NOT EXISTS";
    let task = "`task` VARCHAR(255) CHARSET utf8mb4";
    let class = "`class` VARCHAR(255) CHARSET utf8mb4";
    [
        stub(
            schema,
            create,
            "predict",
            &format!("{task}, {IMAGE_PARAMETER}"),
            AnswerShape::Label.sql_type(),
        ),
        stub(
            schema,
            create,
            "predict_proba",
            &format!("{task}, {class}, {IMAGE_PARAMETER}"),
            "DOUBLE",
        ),
    ]
}

const IMAGE_PARAMETER: &str = "`input` LONGBLOB";

fn stub(schema: &SchemaName, create: &str, name: &str, parameters: &str, returns: &str) -> String {
    // At most 128 characters reach the client.
    let text = format!("{schema}.{name} is answered by PredictSQL: connect through its port");
    format!(
        "{create} {}.{}({parameters}) RETURNS {returns} NOT DETERMINISTIC NO SQL \
         SQL SECURITY INVOKER BEGIN SIGNAL SQLSTATE '{STUB_SQLSTATE}' SET MESSAGE_TEXT = {}; \
         RETURN NULL; END",
        quote_identifier(schema.as_str()),
        quote_identifier(name),
        quote_text(&text),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Column, TaskKind};

    fn task(kind: TaskKind, input: TaskInput) -> Task {
        Task {
            name: "animals".to_owned(),
            kind,
            input,
            classes: Vec::new(),
            accuracy_slack_points: 1.0,
            constraints: Default::default(),
            image_roots: Vec::new(),
            version: 1,
        }
    }

    #[test]
    fn a_stub_has_a_parameter_a_column_and_returns_what_the_task_answers() {
        let column = |name: &str, kind| Column {
            name: name.to_owned(),
            kind,
        };
        let columns = vec![
            column("weight", ColumnKind::Double),
            column("fur", ColumnKind::Varchar),
        ];
        let task = task(TaskKind::Regression, TaskInput::Columns(columns));
        let sql = typed_stub(&SchemaName::default(), &task);
        let head = "CREATE FUNCTION `ml`.`animals`(`weight` DOUBLE, `fur` LONGTEXT CHARSET utf8mb4) \
                    RETURNS DOUBLE NOT";
        assert!(sql.starts_with(head), "{sql}");
    }

    #[test]
    fn a_stub_names_itself_and_what_to_do() {
        let task = task(TaskKind::Classification, TaskInput::Image);
        let sql = typed_stub(&SchemaName::default(), &task);
        assert!(
            sql.starts_with("CREATE FUNCTION `ml`.`animals`(`input` LONGBLOB) RETURNS VARCHAR")
        );
        assert!(sql.contains("'ml.animals is answered by PredictSQL: connect through its port'"));
    }
}
