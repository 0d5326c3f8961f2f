//! Tests of the statements that a stream plan builds.

use super::*;
use crate::RefusalKind;
use crate::fixture::catalog;
use crate::sql::text::LexMode;
use crate::statement::PredictStatement;

fn with<T>(text: &str, check: impl FnOnce(&StreamSelect<'_, '_>) -> T) -> T {
    let catalog = catalog();
    let statement = PredictStatement::read(text, LexMode::default(), "ml", &catalog)
        .expect("reads")
        .expect("has a call");
    check(&statement.stream().unwrap_or_else(|r| panic!("{text}: {r}")))
}

fn refusal(text: &str) -> String {
    let catalog = catalog();
    match PredictStatement::read(text, LexMode::default(), "ml", &catalog) {
        Err(r) => r.message,
        Ok(s) => s.expect("has a call").stream().expect_err(text).message,
    }
}

fn push_all(select: &StreamSelect<'_, '_>) -> Pushdown {
    let inputs = vec![Some(InputText::AsIs); select.input_count()];
    let filtered = !select.tests().is_empty();
    select.pushdown(&PushdownChoices {
        inputs: &inputs,
        impossible: false,
        rows_filtered: filtered,
    })
}

fn deciders(select: &StreamSelect<'_, '_>) -> Vec<Decider> {
    let tests = select.tests().iter();
    tests.map(|test| test.decider.clone()).collect()
}

#[test]
fn native_parts_are_pushed_and_predicted_ones_kept() {
    let text = "SELECT id, ml.predict('t', img) AS c, price*2 FROM p JOIN q USING (id) \
                WHERE price < 5 AND ml.t(img) IN ('cat','dog') AND city = 'Delft' ORDER BY price DESC LIMIT 3 OFFSET 1";
    with(text, |s| {
        assert_eq!(
            s.predictions().len(),
            1,
            "both spellings are one prediction"
        );
        assert_eq!(s.cells().collect::<Vec<_>>(), [Cell::PerClass(0)]);
        assert_eq!(s.cell_names().collect::<Vec<_>>(), ["c"]);
        assert_eq!(deciders(s), [Decider::PerClass(0)]);
        let p = push_all(s);
        assert_eq!(
            p.text.sql,
            "SELECT id, NULL, price*2, img AS `ml hidden 0` FROM p JOIN q USING (id) \
             WHERE (price < 5) AND (city = 'Delft') ORDER BY price DESC"
        );
        assert!(!p.limit_pushed && p.hidden == 1);
        assert_eq!(
            s.describe(true).sql,
            "SELECT id, `ml`.`t`(img) AS `ml cell 0`, price*2, img AS `ml input 0` FROM p JOIN q USING (id) \
             WHERE price < 5 AND `ml`.`t`(img) IN ('cat','dog') AND city = 'Delft' ORDER BY price DESC LIMIT 3 OFFSET 1"
        );
        let q = s.class_query(0).expect("needed");
        assert_eq!(
            q.text.sql,
            "SELECT ELT(`ml classes`.`k`, _utf8mb4'cat', _utf8mb4'dog', _utf8mb4'bag'), \
             IF((ELT(`ml classes`.`k`, _utf8mb4'cat', _utf8mb4'dog', _utf8mb4'bag') IN ('cat','dog')) IS TRUE, '1', '0') \
             FROM (SELECT 0 AS `k` UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3) AS `ml classes` \
             ORDER BY `ml classes`.`k` LIMIT 4"
        );
    });
}

#[test]
fn without_a_predicted_condition_the_store_limits() {
    with(
        "SELECT *, ml.t(img) FROM p WHERE a BETWEEN 1 AND 2 LIMIT 2, ?",
        |s| {
            let p = push_all(s);
            assert_eq!(
                p.text.sql,
                "SELECT *, NULL, img AS `ml hidden 0` FROM p WHERE (a BETWEEN 1 AND 2) LIMIT 2, ?"
            );
            assert_eq!(p.text.parameters, [0]);
            assert!(p.limit_pushed);
        },
    );
}

#[test]
fn expressions_over_columns_get_a_value_a_class() {
    with(
        "SELECT ml.t(img) = label FROM p WHERE IF(price < 3, 'cat', 'dog') = ml.t(img)",
        |s| {
            assert_eq!(s.cells().collect::<Vec<_>>(), [Cell::PerRow(0)]);
            let p = push_all(s);
            assert_eq!(
                (p.cells.clone(), p.tests.clone(), p.hidden),
                (vec![Some(1)], vec![Some(5)], 6)
            );
            assert!(p.text.sql.contains(
                "ELT(0, _utf8mb4'cat', _utf8mb4'dog', _utf8mb4'bag') = label AS `ml hidden 1`"
            ));
            assert!(
                p.text.sql.contains("IS TRUE) << 3) AS UNSIGNED)"),
                "{}",
                p.text.sql
            );
        },
    );
}

#[test]
fn conditions_on_several_predictions_are_taken_apart() {
    use crate::planner::ordering::Condition::{All, Any, Test};
    let text = "SELECT id FROM p WHERE a = 1 AND (b < 2 OR (ml.t(i) = 'cat' AND NOT (ml.t(j) = 'dog' AND c))) \
                AND NOT (ml.t(i) = 'bag' OR d)";
    with(text, |s| {
        let second = All(vec![Test(1), Any(vec![Test(2), Test(3)])]);
        let third = All(vec![Test(4), Test(5)]);
        let condition = All(vec![Any(vec![Test(0), second]), third]);
        assert_eq!(s.condition(), &condition);
        let tests: Vec<_> = s
            .tests()
            .iter()
            .map(|t| (s.test_text(t), t.negated))
            .collect();
        assert_eq!(
            tests,
            [
                ("b < 2", false),
                ("ml.t(i) = 'cat'", false),
                ("ml.t(j) = 'dog'", true),
                ("c", true),
                ("ml.t(i) = 'bag'", true),
                ("d", true),
            ]
        );
        let p = push_all(s);
        assert_eq!(
            p.text.sql,
            "SELECT id, i AS `ml hidden 0`, j AS `ml hidden 1`, CAST((((b < 2) IS TRUE) << 0) AS UNSIGNED) \
             AS `ml hidden 2`, CAST((((c) IS FALSE) << 0) AS UNSIGNED) AS `ml hidden 3`, \
             CAST((((d) IS FALSE) << 0) AS UNSIGNED) AS `ml hidden 4` FROM p WHERE (a = 1) \
             AND ((CAST((((d) IS FALSE) << 0) AS UNSIGNED)))"
        );
        assert_eq!(p.tests, [Some(2), None, None, Some(3), None, Some(4)]);
        let query = s.class_query(0).expect("needed");
        assert_eq!(query.tests, [1, 4]);
        assert!(query.text.sql.contains("= 'bag') IS FALSE, '1', '0')"));
    });
    let both = "SELECT id FROM p WHERE (a < 1 AND ml.t(i) = 'cat') OR (b < 2 AND ml.t(j) = 'dog')";
    with(both, |s| {
        let sql = push_all(s).text.sql;
        let passable = "WHERE (((CAST((((a < 1) IS TRUE) << 0) AS UNSIGNED))) \
                        OR ((CAST((((b < 2) IS TRUE) << 0) AS UNSIGNED))))";
        assert!(sql.ends_with(passable), "{sql}");
    });
}

#[test]
fn what_is_joined_otherwise_stays_whole() {
    for text in [
        "SELECT id FROM p WHERE ml.t(i) = 'cat' XOR ml.t(j) = 'dog'",
        "SELECT id FROM p WHERE (ml.t(i) = 'cat' AND ml.t(j) = 'dog') IS NOT TRUE",
        "SELECT id FROM p WHERE CASE WHEN ml.t(i) = 'cat' OR ml.t(j) = 'dog' THEN 1 END",
        "SELECT id FROM p WHERE ml.t(i) = 'cat' || ml.t(j) = 'dog'",
    ] {
        assert!(
            refusal(text).contains("several different predictions"),
            "{text}"
        );
    }
    let whole = "SELECT id FROM p WHERE a && ml.t(i) = 'cat'";
    with(whole, |s| assert_eq!(deciders(s), [Decider::PerClass(0)]));
    let one =
        "SELECT id FROM p WHERE ml.t(i) = 'cat' OR NOT (ml.t(i) BETWEEN 'a' AND 'b' AND TRUE)";
    with(one, |s| assert_eq!(deciders(s), [Decider::PerClass(0)]));
}

#[test]
fn words_that_may_be_columns_are_taken_for_columns() {
    let cell = |text: &str| with(text, |s| s.cells().next());
    let constant = "SELECT CASE ml.t(i) WHEN 'cat' THEN CASE 1 WHEN 1 THEN 2 END ELSE 3 END FROM p";
    assert_eq!(cell(constant), Some(Cell::PerClass(0)));
    for column in ["end", "signed", "escape", "unknown"] {
        let text = format!("SELECT CONCAT(ml.t(i), {column}) FROM p");
        assert_eq!(cell(&text), Some(Cell::PerRow(0)), "{text}");
    }
}

#[test]
fn scores_are_compared_with_constants() {
    let text = "SELECT ml.predict_proba('t', 'dog', img) FROM p WHERE 0.5 <= ml.predict_proba('t','cat',img) \
                AND ml.predict_proba('t','cat',img) BETWEEN 0.1 AND ? AND ml.predict_proba('t','bag',img) IS NOT NULL";
    with(text, |s| {
        assert_eq!(s.cells().collect::<Vec<_>>(), [Cell::Score(0, 1)]);
        assert_eq!(
            deciders(s),
            [
                Decider::Score(
                    0,
                    0,
                    ScoreTest::Compare(vec![(Comparison::GreaterOrEqual, 0)])
                ),
                Decider::Score(
                    0,
                    0,
                    ScoreTest::Compare(vec![
                        (Comparison::GreaterOrEqual, 1),
                        (Comparison::LessOrEqual, 2)
                    ])
                ),
                Decider::Score(0, 2, ScoreTest::IsNull(false)),
            ]
        );
        let constants = s.constants_query().expect("some");
        assert_eq!(
            constants.sql,
            "SELECT CONCAT((0.5)+0e0), CONCAT((0.1)+0e0), CONCAT((?)+0e0) LIMIT 1"
        );
        assert_eq!(constants.parameters, [0]);
    });
}

#[test]
fn a_statement_without_tables_works() {
    with("SELECT ml.predict('m', '/a.png')", |s| {
        assert_eq!(
            push_all(s).text.sql,
            "SELECT NULL, '/a.png' AS `ml hidden 0`"
        );
        assert_eq!(
            s.predictions()[0].model.as_ref().map(|m| m.name.as_str()),
            Some("m")
        );
    });
}

#[test]
fn sub_queries_without_calls_and_index_hints_pass() {
    with(
        "SELECT ml.t(i) FROM p USE INDEX FOR ORDER BY (k) WHERE id IN (SELECT MAX(id) FROM q GROUP BY z)",
        |s| {
            assert!(
                push_all(s)
                    .text
                    .sql
                    .contains("FOR ORDER BY (k) WHERE (id IN (SELECT MAX(id) FROM q GROUP BY z))")
            );
        },
    );
    with(
        "WITH w AS (SELECT 1 AS id) SELECT ml.t(i) FROM p JOIN w USING (id)",
        |s| {
            assert!(
                push_all(s)
                    .text
                    .sql
                    .starts_with("WITH w AS (SELECT 1 AS id) SELECT NULL,")
            );
        },
    );
}

#[test]
fn what_is_not_supported_is_named() {
    for (text, named) in [
        ("SELECT COUNT(*) FROM p WHERE ml.t(i) = 'cat'", "COUNT()"),
        ("SELECT ml.t(i), COUNT(*) FROM p GROUP BY 1", "GROUP BY"),
        ("SELECT DISTINCT ml.t(i) FROM p", "DISTINCT"),
        ("SELECT id FROM p ORDER BY ml.t(i)", "ORDER BY"),
        (
            "SELECT ml.t(i) AS c FROM p ORDER BY c",
            "ORDER BY a prediction",
        ),
        (
            "SELECT ml.t(i) AS `a``b` FROM p ORDER BY `A``b`",
            "ORDER BY a prediction",
        ),
        (
            "SELECT id, ml.t(i) FROM p ORDER BY (+2) DESC",
            "ORDER BY a prediction",
        ),
        (
            "SELECT id, ml.t(i) FROM p ORDER BY 3",
            "Unknown column '3' in 'ORDER BY'",
        ),
        ("SELECT RAND(3) FROM p WHERE ml.t(i) = 'cat'", "RAND()"),
        (
            "SELECT NEXTVAL(s) FROM p WHERE ml.t(i) = 'cat'",
            "NEXTVAL()",
        ),
        (
            "SELECT ml.t(i) AS 'é' FROM p ORDER BY É",
            "ORDER BY a prediction",
        ),
        (
            "SELECT ml.t(i) FROM p ORDER BY 1 DESC",
            "ORDER BY a prediction",
        ),
        ("SELECT id FROM p JOIN q ON ml.t(p.i) = q.c", "FROM (ON"),
        (
            "SELECT id FROM (SELECT id, ml.t(i) AS c FROM p) AS x",
            "FROM",
        ),
        (
            "SELECT id FROM p WHERE id IN (SELECT id FROM q WHERE ml.t(i)='cat')",
            "sub-query",
        ),
        ("SELECT (SELECT ml.t(i) FROM q LIMIT 1) FROM p", "sub-query"),
        ("SELECT ml.t(i) FROM p UNION SELECT 'x'", "UNION"),
        ("UPDATE p SET c = ml.t(i)", "UPDATE"),
        ("INSERT INTO r SELECT ml.t(i) FROM p", "INSERT"),
        ("SELECT ml.t(i) FROM p FOR UPDATE", "FOR UPDATE"),
        ("SELECT ml.t(i) INTO @x FROM p", "INTO"),
        (
            "SELECT ROW_NUMBER() OVER (ORDER BY id), ml.t(i) FROM p",
            "window",
        ),
        ("SELECT ml.t(i) FROM p HAVING 1", "HAVING"),
        ("SELECT ml.t(ml.t(i)) FROM p", "within the arguments"),
        (
            "SELECT CONCAT(ml.t(i), ml.t(j)) FROM p",
            "several different predictions",
        ),
        (
            "SELECT ROUND(ml.predict_proba('t','cat',i), 2) FROM p",
            "an expression over a predicted number",
        ),
        (
            "SELECT id FROM p WHERE ml.predict_proba('t','cat',i) > price",
            "compare it with a constant",
        ),
        ("SELECT IF(ml.t(i)='cat', SLEEP(1), id) FROM p", "SLEEP()"),
        ("SELECT IF(ml.t(i)='cat', app.f(1), id) FROM p", "f()"),
        ("SELECT @x := ml.t(i) FROM p", "assignments"),
        ("SELECT ml.t(i); SELECT 2", "several statements"),
        ("SELECT ml.predict(?, i) FROM p", "a parameter as the task"),
        ("(SELECT ml.t(i) FROM p)", "parenthesised"),
        (
            "SELECT ml.t(i) /*!50000 , 1 */ FROM p",
            "executable comments",
        ),
        ("EXPLAIN FORMAT=XML SELECT ml.t(i) FROM p", "EXPLAIN FORMAT"),
        ("SELECT ml.has('t','cat',i) FROM p", "ml.has()"),
        (
            "SELECT (SELECT SUM(p.qty)) FROM p WHERE ml.t(i) = 'cat'",
            "SUM() in a sub-query",
        ),
        (
            "SELECT app.f(qty) FROM p WHERE ml.t(i) = 'cat'",
            "f() in a statement with a condition",
        ),
        (
            "SELECT id FROM p WHERE ml.t(i) = 'cat' ORDER BY mysum(qty)",
            "mysum()",
        ),
        (
            "SELECT GET_LOCK('a', 1) FROM p WHERE ml.t(i) = 'cat'",
            "GET_LOCK()",
        ),
    ] {
        let message = refusal(text);
        assert!(message.contains(named), "{text}: {message}");
    }
}

#[test]
fn parameters_in_order_by_may_be_positions() {
    assert!(refusal("SELECT id, ml.t(i) FROM p ORDER BY ?").contains("ORDER BY"));
}

#[test]
fn long_statements_are_refused_before_they_are_costly() {
    let chain = format!(
        "SELECT id FROM p WHERE ml.t(i) = 'cat'{}",
        " AND 1".repeat(140_000)
    );
    assert!(refusal(&chain).contains("operators"));
    let calls = format!("SELECT CONCAT({}'x') FROM p", "ml.t(i),".repeat(60_000));
    assert!(refusal(&calls).contains("predict calls"));
    let list = "1, ".repeat(50_000);
    let text = format!("SELECT id FROM p WHERE ml.t(i) = 'cat' AND id IN ({list}1)");
    with(&text, |s| assert_eq!(s.predictions().len(), 1));
}

#[test]
fn functions_of_the_store_pass_beside_a_condition() {
    let text = "SELECT DATE_FORMAT(d, '%Y'), (SELECT COUNT(*) FROM q), CAST(x AS CHAR(3)) FROM p \
                WHERE app.f(x) AND ml.t(i) = 'cat' ORDER BY LENGTH(name)";
    with(text, |s| assert_eq!(s.tests().len(), 1));
}

#[test]
fn columns_travel_as_one_hidden_text() {
    let text = "SELECT ml.price(a, 'red') AS p, ml.predict('price', a, 'red') \
                FROM s WHERE ml.price(a, 'red') BETWEEN 1 AND ? AND b < 3";
    with(text, |s| {
        assert_eq!((s.predictions().len(), s.input_count()), (1, 1));
        assert_eq!((s.input_arguments(0), s.input_columns(0).len()), (2, 2));
        let cells: Vec<Cell> = s.cells().collect();
        assert_eq!(cells, [Cell::Value(0), Cell::Value(0)]);
        assert!(matches!(
            &deciders(s)[..],
            [Decider::Value(0, ScoreTest::Compare(_))]
        ));
        let described = s.describe(true).sql;
        let head = "SELECT `ml`.`price`(a, 'red') AS `ml cell 0`, `ml`.`price`(a, 'red') AS `ml cell 1`, \
                    a AS `ml input 0`, 'red' AS `ml input 1` FROM s";
        assert!(described.starts_with(head), "{described}");
        let key = crate::ColumnsKey::default();
        let pushdown = s.pushdown(&PushdownChoices {
            inputs: &[Some(InputText::Columns(key))],
            impossible: false,
            rows_filtered: true,
        });
        assert_eq!(
            pushdown.text.sql,
            "SELECT NULL, NULL, CAST(CONVERT((CONCAT(CAST((a) AS DOUBLE), ',', \
             HEX(CONVERT(('red') USING utf8mb4)), ',')) USING utf8mb4) AS BINARY) AS `ml hidden 0` \
             FROM s WHERE (b < 3)"
        );
    });
    for (text, named) in [
        ("SELECT ROUND(ml.price(a, b), 2) FROM s", "predicted number"),
        (
            "SELECT a FROM s WHERE ml.price(a, b) > c",
            "predicted number",
        ),
    ] {
        let message = refusal(text);
        assert!(message.contains(named), "{text}: {message}");
    }
}

#[test]
fn wrong_arguments_are_named() {
    let catalog = catalog();
    for (text, kind) in [
        ("SELECT ml.predict('t') FROM p", RefusalKind::ArgumentCount),
        ("SELECT ml.t(a, b) FROM p", RefusalKind::ArgumentCount),
        (
            "SELECT ml.predict('nope', i) FROM p",
            RefusalKind::UnknownTarget,
        ),
        (
            "SELECT ml.predict('m@7', i) FROM p",
            RefusalKind::UnknownTarget,
        ),
        (
            "SELECT ml.predict_proba('t','fox',i) FROM p",
            RefusalKind::UnknownClass,
        ),
        ("SELECT ml.predict(1, i) FROM p", RefusalKind::Argument),
        ("SELECT ml.price(a) FROM p", RefusalKind::ArgumentCount),
        ("SELECT ml.price() FROM p", RefusalKind::ArgumentCount),
        (
            "SELECT ml.predict('price', a, b, c) FROM p",
            RefusalKind::ArgumentCount,
        ),
        ("SELECT ml.predict() FROM p", RefusalKind::ArgumentCount),
        (
            "SELECT ml.predict_proba('price', 'x', a, b) FROM p",
            RefusalKind::Argument,
        ),
    ] {
        let refusal =
            PredictStatement::read(text, LexMode::default(), "ml", &catalog).expect_err(text);
        assert_eq!(refusal.kind, kind, "{text}: {refusal}");
    }
    for text in [
        "SELECT ml.version() FROM p",
        "SELECT ml.t FROM ml",
        "SELECT 'ml.t(i)'",
        "SELECT x.ml.t(1)",
    ] {
        let read = PredictStatement::read(text, LexMode::default(), "ml", &catalog).expect(text);
        assert!(read.is_none(), "{text}");
    }
}

#[test]
fn a_wrapped_block_keeps_what_is_around_it() {
    let text = "SELECT * FROM (SELECT id, ml.t(img) AS c FROM p WHERE a > 1 AND ml.t(img) <> 'bag') AS w \
                WHERE w.id < 9 ORDER BY id LIMIT 3";
    with(text, |s| {
        assert!(s.is_derived());
        let p = push_all(s);
        assert_eq!(
            p.text.sql,
            "SELECT * FROM (SELECT id, NULL AS `ml cell 0`, img AS `ml hidden 0` FROM p WHERE (a > 1)) AS w \
             WHERE w.id < 9 ORDER BY id"
        );
        assert!(!p.limit_pushed);
        assert_eq!(
            s.describe(false).sql,
            "SELECT * FROM (SELECT id, `ml`.`t`(img) AS `ml cell 0` FROM p WHERE a > 1 AND `ml`.`t`(img) <> 'bag') AS w \
             WHERE w.id < 9 ORDER BY id LIMIT 3"
        );
    });
    let inner = "SELECT id, ml.t(img) AS c FROM p";
    let wrapped = |times: usize| {
        let (open, close) = ("SELECT * FROM (".repeat(times), ") w".repeat(times));
        format!("{open}{inner}{close}")
    };
    with(&wrapped(8), |s| assert!(s.is_derived()));
    for around in [
        wrapped(9),
        wrapped(100_000),
        format!("SELECT * FROM ({inner}) w WHERE W.C = 'cat'"),
        format!("SELECT * FROM ({inner}) w ORDER BY 2"),
        format!("SELECT * FROM ({inner}) w ORDER BY id, 2 DESC"),
        format!("SELECT * FROM ({inner}) w WHERE `c` IS NULL LIMIT 1"),
        format!("SELECT * FROM ({inner}) w WHERE ml.t(x) = 'cat'"),
        format!("SELECT * FROM ({inner} LIMIT 5) w LIMIT 1"),
        format!("SELECT * FROM ({inner}) w, q"),
        format!("SELECT * FROM ({inner}) w JOIN q"),
        format!("SELECT id FROM ({inner}) w"),
        format!("SELECT * FROM ({inner}) w GROUP BY id"),
        format!("SELECT * FROM ({inner} UNION {inner}) w"),
    ] {
        refusal(&around);
    }
}
