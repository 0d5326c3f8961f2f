//! Tests of parsing catalog statements.

#![allow(clippy::unwrap_used)]

use predictsql_catalog::{OptionValue, TaskInput, TaskKind};

use super::*;
use crate::LexMode;
use crate::RefusalKind::{self, Syntax, Unsupported};

fn change(sql: &str) -> Change {
    match parse(sql).unwrap() {
        CatalogStatement::Change(change) => change,
        other => panic!("{other:?}"),
    }
}

fn show(sql: &str) -> Show {
    match parse(sql).unwrap() {
        CatalogStatement::Show(show) => show,
        other => panic!("{other:?}"),
    }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|t| t.to_string()).collect()
}

#[test]
fn heads_are_recognised_past_comments_in_any_case() {
    for sql in [
        "create task t",
        "/* c */ -- x\n # y\n CREATE /**/ Model m",
        "DROP TASK t",
        "SHOW TASKS",
        "show models",
        "SHOW CREATE TASK t",
        "ALTER TASK t",
        "EVALUATE MODEL m",
        "CREATE OR REPLACE MODEL m",
    ] {
        assert!(recognise(sql), "{sql}");
    }
    for sql in [
        "",
        "CREATE TABLE task (a INT)",
        "CREATE TASKS",
        "SHOW TABLES",
        "SHOW CREATE TABLE task",
        "SELECT 1",
        "CREATETASK t",
        "/*! CREATE TASK t */",
        "/* open",
        "--CREATE TASK",
        "DROP MODELé",
    ] {
        assert!(!recognise(sql), "{sql}");
    }
}

#[test]
fn create_task_in_full() {
    let sql = "CREATE TASK IF NOT EXISTS `Animals`\n CLASSES ('cat', \"it's\", 'd\\'og', 'ß')
        KIND classification INPUT image OPTIONS (accuracy_slack_points = 2.5);";
    assert_eq!(
        change(sql),
        Change::CreateTask(CreateTask {
            name: "Animals".to_owned(),
            if_not_exists: true,
            kind: TaskKind::Classification,
            input: TaskInput::Image,
            classes: strings(&["cat", "it's", "d'og", "ß"]),
            classes_from: None,
            options: vec![("accuracy_slack_points".to_owned(), OptionValue::Number(2.5))],
        })
    );
}

#[test]
fn classes_and_labels_come_from_files() {
    let from = |sql: &str| match change(sql) {
        Change::CreateTask(task) => (task.classes, task.classes_from),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        from("CREATE TASK t CLASSES FROM FILE 'labels.txt' KIND CLASSIFICATION"),
        (Vec::new(), Some(ClassesFrom::File("labels.txt".to_owned())))
    );
    assert_eq!(
        from("create task t classes from model 'dir/'"),
        (Vec::new(), Some(ClassesFrom::Model("dir/".to_owned())))
    );
    refused("CREATE TASK t CLASSES FROM 'x'", Syntax, &["FILE or MODEL"]);
    refused(
        "CREATE TASK t CLASSES FROM FILE x",
        Syntax,
        &["path in quotes"],
    );
    let sql = "CREATE MODEL m FOR TASK t FROM 'm.onnx' OPTIONS (labels = FILE 'l.txt', size = 8)";
    let Change::CreateModel(model) = change(sql) else {
        panic!("not a model")
    };
    let file = OptionValue::File("l.txt".to_owned());
    assert_eq!(model.options.first(), Some(&("labels".to_owned(), file)));
    refused(
        "CREATE MODEL m FOR TASK t FROM 'm' OPTIONS (labels = FILE)",
        Syntax,
        &["a file's path in quotes"],
    );
}

#[test]
fn create_task_over_columns() {
    let sql = "CREATE TASK t KIND regression INPUT (sepal_length double, `count` VARCHAR)";
    let Change::CreateTask(task) = change(sql) else {
        panic!("not a task")
    };
    assert_eq!(task.kind, TaskKind::Regression);
    assert!(task.classes.is_empty());
    assert_eq!(
        task.input.to_string(),
        "(`sepal_length` DOUBLE, `count` VARCHAR)"
    );
    let near = |sql: &str, expected: &str, near: &str| refused(sql, Syntax, &[expected, near]);
    near(
        "CREATE TASK t KIND REGRESSION INPUT ()",
        "a column's name",
        "near ')'",
    );
    near(
        "CREATE TASK t KIND REGRESSION INPUT (a FLOAT)",
        "DOUBLE or VARCHAR was expected",
        "near 'FLOAT)'",
    );
    near(
        "CREATE TASK t CLASSES ('a') INPUT TEXT",
        "IMAGE or (",
        "near 'TEXT'",
    );
    near("CREATE TASK t INPUT (a DOUBLE)", "CLASSES", "near ''");
    near(
        "CREATE TASK t KIND CLUSTERING",
        "CLASSIFICATION or REGRESSION",
        "near 'CLUSTERING'",
    );
}

#[test]
fn create_model_in_full() {
    let sql = "create model m for task t from 'models/m.onnx' version '2' covers ('a','b')
        options (layout=NHWC, size='28x32', channels = 1, mean=(0.1, -0.2), std = '0.5',
                 labels ('a','b','rest'), other='rest', accuracy=1e-1)";
    let Change::CreateModel(model) = change(sql) else {
        panic!("not a model")
    };
    assert_eq!(model.version.as_deref(), Some("2"));
    assert_eq!(model.covers, Some(strings(&["a", "b"])));
    let value = |key: &str| {
        model
            .options
            .iter()
            .find(|(k, _)| k == key)
            .unwrap()
            .1
            .clone()
    };
    assert_eq!(value("layout"), OptionValue::Word("NHWC".to_owned()));
    assert_eq!(value("size"), OptionValue::Text("28x32".to_owned()));
    assert_eq!(
        value("mean"),
        OptionValue::List(vec![OptionValue::Number(0.1), OptionValue::Number(-0.2)])
    );
    assert_eq!(value("accuracy"), OptionValue::Number(0.1));
    assert!(matches!(value("labels"), OptionValue::List(l) if l.len() == 3));
}

#[test]
fn drops_and_shows() {
    assert_eq!(
        change("DROP MODEL IF EXISTS m VERSION '1'"),
        Change::DropModel {
            name: "m".to_owned(),
            version: Some("1".to_owned()),
            if_exists: true
        }
    );
    assert_eq!(
        show("SHOW MODELS FOR TASK t WHERE Accuracy > (1/2) AND Model <> 'a;b' ;"),
        Show::Models {
            task: Some("t".to_owned()),
            filter: Some(ShowFilter::Where(
                "Accuracy > (1/2) AND Model <> 'a;b'".to_owned()
            )),
        }
    );
    assert_eq!(
        show("SHOW TASKS LIKE 'a\\_%'"),
        Show::Tasks {
            filter: Some(ShowFilter::Like("a\\_%".to_owned()))
        }
    );
}

#[test]
fn alterations_of_tasks_and_models() {
    let option = |key: &str, value| (key.to_owned(), value);
    assert_eq!(
        change("ALTER TASK t SET min_accuracy = 0.9, max_seconds = NULL;"),
        Change::AlterTask {
            name: "t".to_owned(),
            options: vec![
                option("min_accuracy", OptionValue::Number(0.9)),
                option("max_seconds", OptionValue::Word("NULL".to_owned())),
            ],
        }
    );
    assert_eq!(
        change("alter model m version '2' set accuracy 0.5"),
        Change::AlterModel {
            name: "m".to_owned(),
            version: Some("2".to_owned()),
            options: vec![option("accuracy", OptionValue::Number(0.5))],
        }
    );
}

#[test]
fn evaluations_of_tasks_and_models() {
    let evaluate = |sql: &str| match parse(sql).unwrap() {
        CatalogStatement::Work(Work::Evaluate(evaluate)) => evaluate,
        other => panic!("{other:?}"),
    };
    let query = "SELECT photo, CONCAT(')', label) FROM t -- all\n WHERE (1)";
    let of_task = evaluate(&format!("EVALUATE TASK apparel ON ({query}) ;"));
    assert_eq!(of_task.target, Evaluated::Task("apparel".to_owned()));
    assert_eq!(of_task.query, query);
    assert!(!of_task.keep_foreign);
    for (options, keeps) in [
        ("FOREIGN = 'Keep'", true),
        ("foreign keep", true),
        ("foreign = 'warn'", false),
    ] {
        let of_model = evaluate(&format!(
            "EVALUATE MODEL m ON (SELECT 1, 2) OPTIONS ({options})"
        ));
        assert_eq!(of_model.keep_foreign, keeps, "{options}");
    }
    let model = |name: &str, version: Option<&str>| Evaluated::Model {
        name: name.to_owned(),
        version: version.map(str::to_owned),
    };
    for (written, target) in [
        ("m", model("m", None)),
        ("`m` /* newest */", model("m", None)),
        ("m@2", model("m", Some("2"))),
        ("m@2024-01.5+rc_1", model("m", Some("2024-01.5+rc_1"))),
        ("m VERSION '1.0'", model("m", Some("1.0"))),
    ] {
        let sql = format!("evaluate model {written} on (with x as (select 1) select 1, 2 from x)");
        assert_eq!(evaluate(&sql).target, target, "{sql}");
    }
}

#[track_caller]
fn refused(sql: &str, kind: RefusalKind, parts: &[&str]) {
    let error = parse(sql).unwrap_err();
    assert_eq!(error.kind, kind, "{error}");
    for part in parts {
        assert!(error.message.contains(part), "{error} lacks {part}");
    }
}

#[test]
fn syntax_errors_say_where_and_what_was_expected() {
    refused(
        "CREATE TASK",
        Syntax,
        &["a task's name", "near ''", "line 1"],
    );
    refused(
        "CREATE TASK t\nCLASES ('a')",
        Syntax,
        &["CLASSES", "near 'CLASES ('a')' at line 2"],
    );
    refused(
        "CREATE TASK t CLASSES ()",
        Syntax,
        &["a class in quotes", "near ')'"],
    );
    refused("CREATE TASK t CLASSES ('a',)", Syntax, &["near ')'"]);
    refused("CREATE TASK t CLASSES ('a' 'b')", Syntax, &["',' or ')'"]);
    refused(
        "CREATE TASK t CLASSES ('a') CLASSES ('b')",
        Syntax,
        &["the end of the statement"],
    );
    refused(
        "CREATE TASK t CLASSES ('a'); SELECT 1",
        Syntax,
        &["near 'SELECT 1'"],
    );
    refused("CREATE TASK t CLASSES ('a", Syntax, &["near ''a'"]);
    refused(
        "CREATE MODEL m FROM 'x'",
        Syntax,
        &["FOR TASK was expected"],
    );
    refused(
        "CREATE MODEL m FOR TASK t FROM x",
        Syntax,
        &["in quotes was expected near 'x'"],
    );
    refused(
        "CREATE MODEL m FOR TASK t FROM 'x' OPTIONS (a=1, A=2)",
        Syntax,
        &["near 'A=2)'"],
    );
    refused(
        "CREATE MODEL m FOR TASK t FROM 'x' OPTIONS (a=-'1')",
        Syntax,
        &["near '-'1')'"],
    );
    refused("SHOW TASKS WHERE a) OR (1", Syntax, &["an expression"]);
    refused("SHOW TASKS WHERE", Syntax, &["an expression"]);
    refused("DROP TASK ml.t", Syntax, &["near '.t'"]);
    refused(
        "ALTER TASK t min_accuracy = 1",
        Syntax,
        &["SET was expected"],
    );
    refused("ALTER TASK t SET a = 1, A = 2", Syntax, &["near 'A = 2'"]);
    refused("ALTER MODEL m SET", Syntax, &["an option's name"]);
    refused("ALTER t SET a = 1", Syntax, &["MODEL was expected"]);
    let rows = "(SELECT input, label FROM ...) was expected";
    refused("EVALUATE t ON (SELECT 1, 2)", Syntax, &["TASK or MODEL"]);
    refused(
        "EVALUATE TASK t (SELECT 1, 2)",
        Syntax,
        &["ON was expected"],
    );
    refused("EVALUATE TASK t ON SELECT 1, 2", Syntax, &[rows]);
    refused("EVALUATE TASK t ON (DELETE FROM t)", Syntax, &[rows]);
    for options in ["foreign = 'drop'", "foreign = 1", "labels = 'keep'"] {
        let sql = format!("EVALUATE TASK t ON (SELECT 1, 2) OPTIONS ({options})");
        refused(&sql, Syntax, &["foreign = 'warn' | 'keep'"]);
    }
    refused(
        "EVALUATE TASK t ON (SELECT 1; DROP TABLE t)",
        Syntax,
        &[rows],
    );
    refused(
        "EVALUATE TASK t ON (SELECT 1, (2)",
        Syntax,
        &["a closing ')'"],
    );
    refused("EVALUATE TASK t ON (SELECT 1, 2))", Syntax, &["near ')'"]);
    refused(
        "EVALUATE MODEL m@ ON (SELECT 1, 2)",
        Syntax,
        &["model@version"],
    );
}

#[test]
fn what_comes_later_is_named() {
    refused(
        "CREATE TASK t KIND DETECTION",
        Unsupported,
        &["KIND DETECTION"],
    );
    refused(
        "CREATE TASK t CLASSES ('a') KIND MULTILABEL",
        Unsupported,
        &["MULTILABEL"],
    );
    refused(
        "CREATE OR REPLACE TASK t CLASSES ('a')",
        Unsupported,
        &["OR REPLACE"],
    );
    refused("DROP /*!50000 TASK */ TASK t", Unsupported, &["comment"]);
}

#[test]
fn modes_of_the_session_change_what_a_string_is() {
    let mode = LexMode {
        no_backslash_escapes: true,
        ..LexMode::default()
    };
    let statement = parse_in(r"SHOW TASKS LIKE 'a\'", mode).unwrap();
    assert_eq!(
        statement,
        CatalogStatement::Show(Show::Tasks {
            filter: Some(ShowFilter::Like("a\\".to_owned()))
        })
    );
    let mode = LexMode {
        ansi_quotes: true,
        ..LexMode::default()
    };
    assert_eq!(
        parse_in("CREATE TASK t CLASSES (\"a\")", mode)
            .unwrap_err()
            .kind,
        Syntax
    );
}

#[test]
fn settings_may_stand_before_a_statement() {
    for sql in [
        "SET STATEMENT max_statement_time = 1 FOR CREATE MODEL m FOR TASK t FROM 'x'",
        "/* a */ set\nstatement a = 'x for y', b = 2 for evaluate task t on (SELECT 1)",
        "SET STATEMENT a = 1 FOR -- \n DROP TASK t",
    ] {
        assert!(recognise_with_settings(sql), "{sql}");
    }
    for sql in [
        "SET autocommit = 1",
        "SET STATEMENT max_statement_time = 1 FOR SELECT 1",
        "SELECT 'SET STATEMENT a = 1 FOR DROP TASK t'",
        "DROP TASK t",
        "SET STATEMENT a = '\u{e9}FOR\u{e9}'",
        "",
    ] {
        assert!(!recognise_with_settings(sql), "{sql}");
    }
}
