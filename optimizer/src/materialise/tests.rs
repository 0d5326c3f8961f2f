//! Tests of the statements that a materialise plan builds.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use sqlparser::tokenizer::Token;

use super::{alike::unnumbered, interruption::unless_interrupted, *};
use crate::ColumnsKey;
use crate::fixture::catalog;
use crate::sql::text::{LexMode, Lexed, Lexeme};
use crate::statement::PredictStatement;

/// Placeholder for class names in expected texts.
const LABELS: &str = "_utf8mb4'cat', _utf8mb4'dog', _utf8mb4'bag', ";

fn with<T>(text: &str, check: impl FnOnce(&Materialise<'_, '_>) -> T) -> T {
    let catalog = catalog();
    let statement = PredictStatement::read(text, LexMode::default(), "ml", &catalog)
        .expect("reads")
        .expect("has a call");
    let plan = statement.materialise();
    check(&plan.unwrap_or_else(|r| panic!("{text}: {r}")))
}

fn refusal(text: &str) -> String {
    let catalog = catalog();
    let statement = PredictStatement::read(text, LexMode::default(), "ml", &catalog);
    let statement = statement.expect("reads").expect("has a call");
    statement.materialise().expect_err(text).message
}

/// All conditions of the block's own tables.
fn own(plan: &Materialise<'_, '_>, harvest: usize) -> Shape {
    Shape {
        conditions: (0..plan.condition_count(harvest, 0)).collect(),
        ..Shape::default()
    }
}

fn lookups(plan: &Materialise<'_, '_>) -> Vec<Lookup> {
    let lookup = |harvest| Lookup {
        missing_is_none: false,
        form: match plan.input_columns(harvest) {
            [] => KeyForm::Text,
            _ => KeyForm::Columns,
        },
        relation: format!("r{harvest}"),
        columns: ColumnsKey::default(),
        shape: own(plan, harvest),
        members: None,
    };
    (0..plan.harvests().len()).map(lookup).collect()
}

/// Each harvest, with keys as `KEY(...)` and lookups as `LOOKUP(...)`.
fn harvests(text: &str) -> Vec<String> {
    with(text, |plan| {
        let harvest = |h| {
            let pass = HarvestPass::default();
            let sql = plan.harvest(h, &own(plan, h), &lookups(plan), pass).sql;
            shortened(&sql)
                .replace(" AS `ml k`", "")
                .replace(" LIMIT 18446744073709551615", "")
        };
        (0..plan.harvests().len()).map(harvest).collect()
    })
}

fn run(text: &str) -> String {
    with(text, |plan| shortened(&plan.run(&lookups(plan)).sql))
}

/// Removes text that is the same in all statements.
fn shortened(sql: &str) -> String {
    let pad = format!("_utf8mb4'{}'", " ".repeat(255));
    let missing = unless_interrupted("CAST(`ml`.`t`(NULL) AS SIGNED)");
    let sql = unnumbered(sql);
    sql.replace(&pad, "...")
        .replace(LABELS, "")
        .replace("CAST(CONVERT((", "KEY(")
        .replace(") USING utf8mb4) AS BINARY)", ")")
        .replace("ELT(IFNULL((SELECT `ml r`.`ml c` FROM ", "LOOKUP(")
        .replace(" AS `ml r` WHERE `ml r`.`ml k` = COALESCE(", " FOR ")
        .replace(", X'') AND RAND() IS NOT NULL)", "")
        .replace(&missing, "MISSING")
}

#[test]
fn a_limit_is_applied_after_having() {
    let cats = "SELECT ml.t(i) AS k FROM p HAVING k = 'cat' ORDER BY x";
    assert!(run(&format!("{cats} LIMIT 3")).ends_with("ORDER BY x , RAND() IS NULL LIMIT 3"));
    assert!(run(&format!("SELECT 1 UNION {cats} LIMIT 3")).ends_with("ORDER BY x LIMIT 3"));
}

#[test]
fn a_block_is_harvested_over_its_native_conditions() {
    let text = "SELECT ml.t(img) AS k, COUNT(*) FROM p JOIN q USING (id) \
                WHERE price < 5 AND ml.t(img) <> 'cat' AND f(x) AND RAND() < 1 GROUP BY k ORDER BY k LIMIT 3";
    assert_eq!(
        harvests(text),
        ["SELECT DISTINCT KEY(img) FROM p JOIN q USING (id) WHERE (price < 5)"]
    );
    assert_eq!(
        run(text),
        "SELECT LOOKUP(r0 FOR KEY(img), MISSING), ...) AS k, COUNT(*) FROM p JOIN q USING (id) \
         WHERE price < 5 AND LOOKUP(r0 FOR KEY(img), IF((price < 5), MISSING, 0)), ...) <> 'cat' AND f(x) AND RAND() < 1 \
         GROUP BY k ORDER BY k LIMIT 3",
        "a call beside conditions ignores what they drop"
    );
}

#[test]
fn columns_without_an_alias_keep_their_text_as_name() {
    let text = "SELECT ml.t(i), ml.t(i) x, ml.t(i) IS NULL, a FROM p UNION SELECT 1, 2, 3, 4";
    with(text, |plan| {
        assert_eq!(
            plan.describe().sql,
            "SELECT `ml`.`t`(i) AS `ml.t(i)`, `ml`.`t`(i) x, `ml`.`t`(i) IS NULL AS `ml.t(i) IS NULL`, a \
             FROM p UNION SELECT 1, 2, 3, 4"
        );
        assert_eq!(plan.harvests().len(), 1, "one input, one harvest");
        assert_eq!(plan.call_count(), 3);
    });
    let long = format!(
        "SELECT DISTINCT CONCAT(ml.t(i), '{}') FROM p",
        "x".repeat(300)
    );
    with(&long, |plan| {
        assert!(plan.describe().sql.contains(" AS `ml cell 0` FROM p"));
        assert_eq!(plan.marked_names().len(), 1);
    });
}

#[test]
fn conditions_of_joins_that_hold_predictions_are_left_out() {
    assert_eq!(
        harvests(
            "SELECT 1 FROM p LEFT JOIN q ON q.a = p.a AND ml.t(p.i) = q.b AND q.c JOIN r ON r.d"
        ),
        [
            "SELECT DISTINCT KEY(p.i) FROM p LEFT JOIN q ON 1 AND (q.a = p.a) AND (q.c) JOIN r ON r.d"
        ]
    );
}

#[test]
fn what_stands_in_tables_and_arguments_comes_first() {
    assert_eq!(
        harvests(
            "SELECT ml.t(CONCAT(d.k, i)) FROM (SELECT ml.t(j), i FROM q WHERE x) d, p WHERE y"
        ),
        [
            "SELECT DISTINCT KEY(j) FROM q WHERE (x)",
            "SELECT DISTINCT KEY(CONCAT(d.k, i)) FROM \
             (SELECT LOOKUP(r0 FOR KEY(j), MISSING), ...) AS `ml.t(j)`, i FROM q WHERE x) d, p WHERE (y)",
        ]
    );
    assert_eq!(
        harvests("SELECT ml.t(IF(ml.t(i) = 'cat', j, NULL)) FROM p"),
        [
            "SELECT DISTINCT KEY(i) FROM p",
            "SELECT DISTINCT KEY(IF(LOOKUP(r0 FOR KEY(i), MISSING), ...) = 'cat', j, NULL)) FROM p",
        ]
    );
    assert_eq!(
        harvests("WITH a AS (SELECT i FROM p), b AS (SELECT 1) SELECT COUNT(ml.t(i)) FROM a"),
        ["WITH a AS (SELECT i FROM p), b AS (SELECT 1) SELECT DISTINCT KEY(i) FROM a"]
    );
}

#[test]
fn sub_queries_may_be_asked_of_outer_tables() {
    let text =
        "SELECT 1 FROM p WHERE a AND EXISTS (SELECT 1 FROM q WHERE q.k = ml.t(p.i) AND q.x > p.y)";
    with(text, |plan| {
        assert_eq!(plan.source_count(0), 3);
        let probe = |source, conditions: &[usize]| {
            let shape = Shape {
                source,
                conditions: conditions.to_vec(),
                ..Shape::default()
            };
            plan.probe(0, &shape).sql
        };
        assert_eq!(
            probe(0, &[0]),
            "SELECT p.i AS `ml input 0` FROM q WHERE (q.x > p.y)"
        );
        assert_eq!(
            probe(1, &[0]),
            "SELECT p.i AS `ml input 0` FROM p WHERE (a)"
        );
        assert_eq!(
            probe(2, &[]),
            "SELECT p.i AS `ml input 0` FROM (p) JOIN (q)"
        );
    });
}

#[test]
fn changes_are_harvested_as_selects() {
    for (text, expected) in [
        ("UPDATE p SET a = ml.t(i) WHERE b", "FROM p WHERE (b)"),
        (
            "DELETE FROM p WHERE ml.t(i) = 'x' AND b LIMIT 2",
            "FROM p WHERE (b)",
        ),
        (
            "INSERT INTO r SELECT ml.t(i) FROM p WHERE b",
            "FROM p WHERE (b)",
        ),
        ("INSERT INTO r VALUES (ml.t('x'))", "FROM DUAL"),
        ("SET @x = ml.t('x')", "FROM DUAL"),
        ("CREATE TABLE r AS SELECT ml.t(i) k FROM p", "FROM p"),
        (
            "INSERT INTO r SELECT a FROM p WHERE b ON DUPLICATE KEY UPDATE c = ml.t(p.i)",
            "FROM p WHERE (b)",
        ),
    ] {
        let harvests = harvests(text);
        assert!(harvests[0].ends_with(expected), "{text}: {harvests:?}");
        with(text, |plan| {
            assert_eq!(plan.reads_current_rows(), !text.starts_with("SET"));
        });
    }
}

#[test]
fn widened_harvests_read_the_input_s_own_table() {
    let text = "SELECT 1 FROM (SELECT * FROM p WHERE x) d JOIN q ON d.a = q.a WHERE ml.t(i) = 'cat' AND b GROUP BY 1";
    with(text, |plan| {
        assert_eq!(plan.factor_count(0, 0), 2);
        let shape = Shape {
            factor: Some(0),
            stripped: true,
            ..Shape::default()
        };
        assert_eq!(
            plan.probe(0, &shape).sql,
            "SELECT i AS `ml input 0` FROM (SELECT * FROM p WHERE 1) d"
        );
    });
}

#[test]
fn parameters_follow_their_places() {
    let text = "SELECT ? FROM p WHERE a = ? AND ml.t(CONCAT(?, i)) = ? GROUP BY ?";
    with(text, |plan| {
        let lookups = lookups(plan);
        let pass = HarvestPass {
            new_only: true,
            locking: true,
            input_bytes_max: None,
        };
        let harvest = plan.harvest(0, &own(plan, 0), &lookups, pass);
        assert_eq!(harvest.parameters, [2, 1]);
        assert!(
            harvest
                .sql
                .contains("LOCK IN SHARE MODE) AS `ml h` LEFT JOIN r0")
        );
        // The guard repeats the condition.
        assert_eq!(plan.run(&lookups).parameters, [0, 1, 2, 1, 3, 4]);
    });
}

#[test]
fn relations_are_written_with_hexadecimal_keys() {
    with(
        "SELECT MAX(ml.predict_proba('t', 'bag', i)), MAX(ml.t(i)) FROM p",
        |plan| {
            let [target] = plan.targets() else {
                panic!("one task is one target");
            };
            assert_eq!(
                target.create("s.r0", 40),
                "CREATE TEMPORARY TABLE s.r0 (`ml k` VARBINARY(40) NOT NULL PRIMARY KEY, \
             `ml c` SMALLINT UNSIGNED NOT NULL, `ml s2` DOUBLE NOT NULL) ENGINE=InnoDB"
            );
            let answer = |code, scores| RelationAnswer::Class { code, scores };
            let row = Target::row(b"a'", &answer(2, &[Some(0.25)]));
            assert_eq!(row, "(X'6127',2,2.5e-1)");
            assert_eq!(
                target.inline(&[row]),
                "(SELECT X'' AS `ml k`, 0 AS `ml c`, -1e0 AS `ml s2` UNION ALL VALUES (X'6127',2,2.5e-1))"
            );
            assert_eq!(target.null_row(), "(X'',0,-1e0)");
        },
    );
}

#[test]
fn columns_are_one_key_and_numbers_are_values() {
    let text =
        "SELECT a, AVG(ml.price(x + 1, c)) FROM p GROUP BY a HAVING MAX(ml.price(x + 1, c)) > 3.5";
    with(text, |plan| {
        let [target] = plan.targets() else {
            panic!("one task is one target");
        };
        assert_eq!(plan.harvests().len(), 1);
        assert_eq!(
            plan.probe(0, &own(plan, 0)).sql,
            "SELECT x + 1 AS `ml input 0`, c AS `ml input 1` FROM p"
        );
        let key = "CAST(CONVERT((CONCAT(CAST((x + 1) AS DOUBLE), ',', \
                   HEX(CONVERT((c) USING utf8mb4)), ',')) USING utf8mb4) AS BINARY)";
        let lookups = lookups(plan);
        let harvest = plan.harvest(0, &own(plan, 0), &lookups, HarvestPass::default());
        let expected = format!("SELECT DISTINCT {key} AS `ml k` FROM p LIMIT");
        assert!(harvest.sql.starts_with(&expected), "{}", harvest.sql);
        let missing = unless_interrupted("`ml`.`price`(NULL, NULL)");
        let lookup = format!(
            "NULLIF(IFNULL((SELECT CAST(`ml r`.`ml v` AS DOUBLE) FROM r0 AS `ml r` WHERE `ml r`.`ml k` = \
             COALESCE({key}, X'') AND RAND() IS NOT NULL), {missing}), \
             -1.7976931348623157e308)"
        );
        let run = unnumbered(&plan.run(&lookups).sql);
        assert_eq!(run.matches(&lookup).count(), 2, "{run}");
        assert_eq!(
            target.create("s.r0", 99),
            "CREATE TEMPORARY TABLE s.r0 (`ml k` VARBINARY(99) NOT NULL PRIMARY KEY, \
             `ml v` DOUBLE NOT NULL) ENGINE=InnoDB"
        );
        assert_eq!(target.null_row(), "(X'',-1.7976931348623157e308)");
        let row = |value| Target::row(b"1", &RelationAnswer::Value(value));
        assert_eq!(row(Some(-0.1)), "(X'31',-1e-1)");
        assert_eq!(row(None), format!("(X'31',{:e})", f64::MIN));
    });
}

#[test]
fn what_is_not_supported_is_named() {
    for (text, words) in [
        ("SELECT ml.t(IF(RAND() < 1, i, j)) FROM p", "RAND()"),
        ("SELECT ml.t(app.f(i)) FROM p", "f()"),
        ("SELECT @a := 1, ml.t(@a) FROM p", "user variable"),
        ("SELECT ml.t(MAX(i) OVER ()) FROM p", "window function"),
        ("SELECT ml.t(i) FROM p; SELECT 1", "several statements"),
        ("CREATE VIEW v AS SELECT ml.t(i) FROM p", "CREATE VIEW"),
        ("CALL f(ml.t(i))", "CALL"),
    ] {
        let message = refusal(text);
        assert!(message.contains(words), "{text}: {message}");
    }
}

/// Any sequence of these words must be refused or planned.
const WORDS: [&str; 40] = [
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP BY",
    "ORDER BY",
    "HAVING",
    "LIMIT",
    "UNION",
    "WITH",
    "RECURSIVE",
    "AS",
    "(",
    ")",
    "(",
    ")",
    ",",
    "ml.t(i)",
    "ml.t(",
    "p",
    "q",
    "ON",
    "JOIN",
    "LEFT",
    "USING",
    "AND",
    "OR",
    "BETWEEN",
    "CASE",
    "END",
    "UPDATE",
    "SET",
    "DELETE",
    "INSERT INTO",
    "VALUES",
    "DUPLICATE",
    "@a",
    ":=",
    "'x'",
    "?",
    "DISTINCT",
];

fn placeholders(sql: &str) -> usize {
    let lexed = Lexed::new(sql, LexMode::default()).unwrap();
    let is_one = |l: &&Lexeme| matches!(l.token, Token::Placeholder(_));
    lexed.lexemes.iter().filter(is_one).count()
}

proptest! {
    #[test]
    fn any_words_are_planned_or_refused(numbers in prop::collection::vec(0..WORDS.len(), 1..40)) {
        let words: Vec<&str> = numbers.iter().map(|n| WORDS[*n]).collect();
        for head in ["SELECT ml.t(i) ", "UPDATE p SET a = ml.t(i) "] {
            let text = format!("{head}{}", words.join(" "));
            let catalog = catalog();
            let read = PredictStatement::read(&text, LexMode::default(), "ml", &catalog);
            let Ok(Some(statement)) = read else {
                continue;
            };
            let Ok(plan) = statement.materialise() else {
                continue;
            };
            let lookups = lookups(&plan);
            let whole = plan.run(&lookups);
            prop_assert_eq!(placeholders(&whole.sql), whole.parameters.len());
            for harvest in 0..plan.harvests().len() {
                for source in 0..plan.source_count(harvest) {
                    let shape = Shape { source, ..own(&plan, harvest) };
                    let query = plan.harvest(harvest, &shape, &lookups, HarvestPass::default());
                    prop_assert_eq!(placeholders(&query.sql), query.parameters.len());
                }
            }
        }
    }
}

#[test]
fn classes_are_told_apart_by_conditions_where_nothing_else_looks_at_them() {
    let asked = |text: &str| with(text, |plan| plan.class_query(0).map(|q| q.text.sql));
    let conditions = |text: &str| {
        let sql = asked(text)?;
        let (selected, _) = sql.split_once(" FROM ")?;
        let selected = selected.trim_start_matches("SELECT ");
        Some(selected.replace(LABELS.trim_end_matches(", "), "..."))
    };
    for (text, expected) in [
        (
            "SELECT COUNT(*) FROM p WHERE ml.t(a) IN ('cat', 'dog') AND b > 1",
            "IF((ELT(`ml classes`.`k`, ...) IN ('cat', 'dog')) IS TRUE, '1', '0')",
        ),
        (
            "DELETE FROM p WHERE ml.t(a) LIKE 'c%' OR ml.t(a) = 'bag'",
            "IF((ELT(`ml classes`.`k`, ...) LIKE 'c%' OR ELT(`ml classes`.`k`, ...) = 'bag') IS TRUE, '1', '0')",
        ),
        (
            "SELECT b FROM p LEFT JOIN q ON p.id = q.id AND ml.t(q.a) <> 'bag' ORDER BY RAND()",
            "IF((ELT(`ml classes`.`k`, ...) <> 'bag') IS TRUE, '1', '0')",
        ),
        (
            "SELECT b FROM p WHERE id IN (SELECT id FROM q WHERE ml.t(a) = 'cat')",
            "IF((ELT(`ml classes`.`k`, ...) = 'cat') IS TRUE, '1', '0')",
        ),
    ] {
        assert_eq!(conditions(text).as_deref(), Some(expected), "{text}");
    }
    for (text, expected) in [
        (
            "SELECT COUNT(*) FROM p WHERE ml.t(a) = 'cat' OR b = 1",
            "... = 'cat'",
        ),
        (
            "SELECT b, SUM(ml.t(a) = 'cat') AS n FROM p GROUP BY b",
            "... = 'cat'",
        ),
        (
            "SELECT COUNT(IF(ml.t(a) = 'cat', 1, NULL)) FROM p",
            "IF(... = 'cat', 1, NULL)",
        ),
        (
            "SELECT SUM(IF(ml.t(a) = 'cat', b, 0)) FROM p",
            "... = 'cat'",
        ),
        ("SELECT SUM(b * (ml.t(a) = 'cat')) FROM p", "(... = 'cat')"),
        (
            "SELECT CASE WHEN b > 1 AND ml.t(a) IN ('cat', 'dog') THEN b ELSE 1 END k FROM p GROUP BY k",
            "... IN ('cat', 'dog')",
        ),
        (
            "SELECT CASE WHEN b THEN ml.t(a) = CASE 1 WHEN 1 THEN 'cat' END END k FROM p GROUP BY k",
            "... = CASE 1 WHEN 1 THEN 'cat' END",
        ),
        (
            "SELECT CASE 1 WHEN 1 THEN 'cat' END = ml.t(a) AS k FROM p GROUP BY k",
            "CASE 1 WHEN 1 THEN 'cat' END = ...",
        ),
        (
            "SELECT CASE WHEN ml.t(a) = 'cat' THEN 1 ELSE 2 END k FROM p GROUP BY k",
            "CASE WHEN ... = 'cat' THEN 1 ELSE 2 END",
        ),
        (
            "SELECT b FROM p GROUP BY b HAVING MAX(ml.t(a) = 'cat') AND b > 1",
            "... = 'cat'",
        ),
        (
            "SELECT b FROM p GROUP BY a HAVING ml.t(a) LIKE 'c%' OR b > 1",
            "... LIKE 'c%'",
        ),
        (
            "SELECT b FROM p ORDER BY ml.t(a) = 'cat' DESC, b LIMIT 3",
            "... = 'cat'",
        ),
        (
            "SELECT DISTINCT b, 'cat' IN (ml.t(a), 'x') FROM p",
            "'cat' IN (..., 'x')",
        ),
        (
            "SELECT COUNT(DISTINCT UPPER(LEFT(ml.t(a), 1))) FROM p",
            "UPPER(LEFT(..., 1))",
        ),
        (
            "SELECT b FROM p ORDER BY app.f(IF(ml.t(a) = 'cat', a, NULL))",
            "... = 'cat'",
        ),
    ] {
        let elt = "ELT(`ml classes`.`k`, ...)";
        let expected = format!("HEX(CAST(({}) AS BINARY))", expected.replace("...", elt));
        assert_eq!(conditions(text), Some(expected), "{text}");
    }
    for every_class_matters in [
        "SELECT b FROM p GROUP BY b HAVING MAX(ml.t(a)) = 'cat' AND SUM(ml.t(a) = 'cat')",
        "SELECT b FROM p ORDER BY ml.t(a) = ALL (SELECT c FROM q)",
        "SELECT ml.t(a) = 'cat' OR ml.t(a) = b AS k FROM p GROUP BY k",
        "SELECT CASE ml.t(a) WHEN 'cat' THEN b END k FROM p GROUP BY k",
        "SELECT SUM(ml.t(a) = 'cat' XOR b) FROM p",
        "SELECT SUM(b * ml.t(a) = 'cat') FROM p",
        "SELECT SUM(@x := ml.t(a) = 'cat' AND b) FROM p",
        "SELECT ml.t(a), COUNT(*) FROM p WHERE ml.t(a) = 'cat' GROUP BY 1",
        "SELECT COUNT(*) FROM p WHERE ml.t(a) = b",
        "SELECT COUNT(*) FROM p WHERE ml.t(a) = ml.t(b)",
        "SELECT COUNT(*) FROM p WHERE ml.predict_proba('t', 'cat', a) > 0.5",
        "SELECT COUNT(*) FROM p GROUP BY b HAVING MAX(ml.t(a)) = 'cat'",
        "SELECT EXISTS(SELECT 1 FROM p WHERE ml.t(a) = (SELECT 'cat'))",
    ] {
        assert_eq!(asked(every_class_matters), None, "{every_class_matters}");
    }
}

#[test]
fn conditions_on_predictions_narrow_what_comes_after_them() {
    let text = "SELECT ml.t(c), COUNT(*) FROM p WHERE ml.t(a) = 'cat' AND d > 1 AND ml.t(b) = 'dog' GROUP BY 1";
    let guard = "IF((d > 1), MISSING, 0)";
    let first = format!("LOOKUP(r0 FOR KEY(a), {guard}), ...) = 'cat'");
    let second = format!("LOOKUP(r1 FOR KEY(b), {guard}), ...) = 'dog'");
    let both = format!("IF(({first}), ({second}), FALSE)");
    assert_eq!(
        harvests(text),
        [
            "SELECT DISTINCT KEY(a) FROM p WHERE (d > 1)".to_owned(),
            format!("SELECT DISTINCT KEY(b) FROM p WHERE (d > 1) AND ({first})"),
            format!("SELECT DISTINCT KEY(c) FROM p WHERE (d > 1) AND ({both})"),
        ]
    );
    let after = format!("FROM p WHERE TRUE AND d > 1 AND {both} GROUP BY 1");
    assert!(run(text).ends_with(&after), "{}", run(text));
}

#[test]
fn conditions_on_predictions_drop_rows_of_one_table_before_it_is_joined() {
    let text = "SELECT ml.t(p.c) FROM p JOIN q ON p.i = q.i WHERE ml.t(p.a) = 'cat' AND ml.t(q.b) = 'dog' GROUP BY 1";
    let found = harvests(text);
    assert_eq!(
        found[..2],
        [
            "SELECT DISTINCT KEY(p.a) FROM p JOIN q ON p.i = q.i",
            "SELECT DISTINCT KEY(q.b) FROM p JOIN q ON p.i = q.i",
        ]
    );
    assert!(
        found[2].contains("KEY(p.c)") && found[2].contains("WHERE (IF(("),
        "{found:?}"
    );
    let run = run(text);
    assert!(run.contains("= 'cat' AND LOOKUP("), "{run}");
}

#[test]
fn what_is_looked_at_elsewhere_is_not_narrowed() {
    for text in [
        "SELECT COUNT(*) FROM p WHERE ml.t(a) = 'cat' AND (ml.t(b) = 'dog' OR EXISTS (SELECT ml.t(p.a)))",
        "SELECT COUNT(*) FROM p WHERE ml.t(a) = 'cat' OR ml.t(b) = 'dog'",
        "SELECT COUNT(*) FROM p LEFT JOIN q ON ml.t(b) = q.b WHERE ml.t(a) = 'cat' AND ml.t(b) = 'dog'",
        "SELECT COUNT(*) FROM p WHERE ml.t(a) = 'cat' AND @x = ml.t(b) AND (@x := 1)",
    ] {
        let narrowed = harvests(text);
        let narrowed = narrowed.iter().filter(|sql| sql.contains("LOOKUP"));
        assert_eq!(narrowed.count(), 0, "{text}");
    }
}

#[test]
fn parts_of_an_or_and_of_an_exclusive_or_are_no_conditions_by_themselves() {
    for condition in [
        "b XOR c AND ml.t(a) = 'cat'",
        "b AND c OR ml.t(a) = 'cat'",
        "ml.t(d) = 'cat' XOR b AND c AND ml.t(a) = 'cat'",
        "CASE WHEN b AND ml.t(a) = 'cat' THEN 1 END",
        "b BETWEEN c AND ml.t(a)",
    ] {
        let found = harvests(&format!("SELECT COUNT(*) FROM p WHERE {condition}"));
        assert!(found.iter().all(|sql| !sql.contains("WHERE")), "{found:?}");
    }
}
