//! Stub functions: what the store checks, describes and grants in place of a prediction.
//!
//! They are NOT DETERMINISTIC, so that the store never runs them to fold a constant, and NO SQL,
//! so that a store with its binary log on accepts them. Running one means that somebody came past
//! the proxy: SQLSTATE ML001 and a text that says so.

use super::{SchemaName, quote_identifier, quote_text};

/// SQLSTATE that a stub signals when the store runs it.
const STUB_SQLSTATE: &str = "ML001";

/// `CREATE FUNCTION` of a task's typed stub. `task` must be a checked name.
pub fn typed_stub(schema: &SchemaName, task: &str) -> String {
    stub(
        schema,
        "CREATE FUNCTION",
        task,
        "`input` LONGBLOB",
        LABEL_TYPE,
    )
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
            &format!("{task}, `input` LONGBLOB"),
            LABEL_TYPE,
        ),
        stub(
            schema,
            create,
            "predict_proba",
            &format!("{task}, {class}, `input` LONGBLOB"),
            "DOUBLE",
        ),
    ]
}

const LABEL_TYPE: &str = "VARCHAR(255) CHARSET utf8mb4";

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

    #[test]
    fn a_stub_names_itself_and_what_to_do() {
        let sql = typed_stub(&SchemaName::default(), "animals");
        assert!(
            sql.starts_with("CREATE FUNCTION `ml`.`animals`(`input` LONGBLOB) RETURNS VARCHAR")
        );
        assert!(sql.contains("'ml.animals is answered by PredictSQL: connect through its port'"));
    }
}
