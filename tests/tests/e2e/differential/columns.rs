//! Tasks over columns and regressions against the naive evaluation.

use super::answer::{Param, query};
use super::case::{Case, case};
use super::flowers::{ROWS, below_root};
use super::pair::Pair;
use super::plans::Way;
use super::schemas::{LANE, in_schema};

/// Statements that a stream plan answers, most of them.
const STREAMED: &[&str] = &[
    "SELECT id, ml.iris(sl, sw, pl, pw) FROM f",
    "SELECT id FROM f WHERE ml.iris(sl, sw, pl, pw) = 'setosa'",
    "SELECT id, ml.iris(sl, sw, pl, pw) = kind FROM f WHERE ml.iris(sl, sw, pl, pw) <> kind",
    "SELECT id, UPPER(ml.iris(sl, sw, pl, txt)) AS u FROM f WHERE pieces < 4 ORDER BY id LIMIT 9",
    "SELECT id, ml.iris(sl, sw, pl, 0.2) FROM f ORDER BY id DESC",
    "SELECT id, ml.iris(NULL, sw, pl, pw) FROM f",
    "SELECT ml.iris('6.3', 3.3e0, 6, ' 2.5 '), ml.width(5.1, 3.5, 1.4)",
    "SELECT id, ml.width(sl, sw, pl) FROM f",
    "SELECT id, ml.width(sl, sw, pl) AS w, ml.iris(sl, sw, pl, pw) AS i FROM f WHERE ml.width(sl, sw, pl) > 1.2",
    "SELECT id FROM f WHERE ml.width(sl, sw, pl) BETWEEN 0.3 AND '1.5'",
    "SELECT id FROM f WHERE ml.width(sl, sw, pl) IS NULL",
    "SELECT id FROM f WHERE ml.width(sl, sw, pl + 1) IS NOT NULL AND id < 30",
    "SELECT id FROM f WHERE 1 >= ml.width(sl, sw, pl) AND ml.iris(sl, sw, pl, pw) IN ('setosa', 'virginica')",
    "SELECT id, ml.goods(colour, sl, pw, pieces) FROM f",
    "SELECT id, ml.goods(latin, sl, pw, pieces) FROM f WHERE ml.goods(latin, sl, pw, pieces) = 'yes'",
    "SELECT id, ml.goods('striped', sl, pw, pieces), ml.goods('', sl, pw, pieces) FROM f",
    "SELECT id, ml.iris(sl, sw, pl, bad) FROM f WHERE id <> 5",
];

/// Statements of two passes.
const MATERIALISED: &[&str] = &[
    "SELECT ml.iris(sl, sw, pl, pw) AS i, COUNT(*), AVG(sl) FROM f GROUP BY i ORDER BY i",
    "SELECT kind, AVG(ml.width(sl, sw, pl)), MIN(ml.width(sl, sw, pl)), MAX(ml.width(sl, sw, pl)) FROM f GROUP BY kind ORDER BY kind",
    "SELECT ml.width(sl, sw, pl) AS w, COUNT(*) FROM f GROUP BY w ORDER BY w",
    "SELECT id FROM f ORDER BY ml.width(sl, sw, pl) DESC, id LIMIT 11",
    "SELECT id, ROUND(ml.width(sl, sw, pl), 2), ml.width(sl, sw, pl) * 2 + 1, -ml.width(sl, sw, pl) FROM f",
    "SELECT id, CONCAT(ml.width(sl, sw, pl)), CAST(ml.width(sl, sw, pl) AS DECIMAL(6,3)), LENGTH(ml.width(sl, sw, pl)) FROM f",
    "SELECT id, ml.width(sl, sw, pl) > pw, IF(ml.width(sl, sw, pl) > 1, 'wide', 'narrow') FROM f",
    "SELECT id FROM f WHERE ml.width(sl, sw, pl) > pw",
    "SELECT id FROM f WHERE ml.width(sl, sw, pl) OR id < 3",
    "SELECT id FROM f WHERE ABS(ml.width(sl, sw, pl) - pw) < 0.5 AND ml.iris(sl, sw, pl, pw) <> 'setosa'",
    "SELECT COUNT(DISTINCT ml.width(sl, sw, pl)), SUM(ml.width(sl, sw, pl) > 1), COUNT(ml.width(sl, sw, pl)) FROM f",
    "SELECT DISTINCT ml.width(sl, sw, pl) FROM f",
    "SELECT kind FROM f GROUP BY kind HAVING AVG(ml.width(sl, sw, pl)) > 1.1 ORDER BY kind",
    "SELECT id, RANK() OVER (ORDER BY ml.width(sl, sw, pl)) FROM f ORDER BY id",
    "SELECT id, COALESCE(ml.width(sl, sw, pl), -1) FROM f",
    "SELECT * FROM (SELECT id, ml.width(sl, sw, pl) AS w FROM f) d WHERE w < 1 ORDER BY id",
    "WITH d AS (SELECT id, ml.width(sl, sw, pl) AS w FROM f) SELECT a.id, b.w FROM d a JOIN d b ON a.id = b.id + 1 ORDER BY 1",
    "SELECT id FROM f WHERE id IN (SELECT id FROM f g WHERE ml.width(g.sl, g.sw, g.pl) > 1.5) ORDER BY id",
    "SELECT id, (SELECT MAX(ml.width(g.sl, g.sw, g.pl)) FROM f g WHERE g.kind = f.kind) FROM f",
    "SELECT id FROM f WHERE EXISTS (SELECT 1 FROM q WHERE q.k = f.id AND ml.width(f.sl, f.sw, f.pl) > 1)",
    "SELECT ml.width(sl, sw, pl) FROM f WHERE id < 4 UNION SELECT ml.width(sl, sw, pl + 1) FROM f WHERE id < 3",
    "SELECT id, ml.width(sl, sw, pl) FROM f UNION ALL SELECT id, ml.iris(sl, sw, pl, pw) FROM f",
    "SELECT f.id, g.id FROM f JOIN f g ON g.id = f.id + 1 AND ml.iris(f.sl, f.sw, f.pl, f.pw) = ml.iris(g.sl, g.sw, g.pl, g.pw) ORDER BY 1",
    "SELECT id, CASE WHEN ml.width(sl, sw, pl) < 0.5 THEN 'small' WHEN ml.width(sl, sw, pl) < 1.5 THEN 'medium' ELSE 'large' END AS c FROM f",
    "SELECT colour, GROUP_CONCAT(ml.goods(colour, sl, pw, pieces) ORDER BY id) FROM f GROUP BY colour",
    "SELECT ml.goods(colour, sl, pw, pieces) g, ml.goods(latin, sl, pw, pieces) h, COUNT(*) FROM f GROUP BY g, h ORDER BY g, h",
    "SELECT id, ml.iris(sl, sw, pl, ml.width(sl, sw, pl)) FROM f",
    "SELECT id, ml.goods(ml.iris(sl, sw, pl, pw), sl, pw, pieces) FROM f",
    "SELECT ml.iris(sl, sw, pl, txt) AS i, COUNT(*) FROM f GROUP BY i ORDER BY i",
    "SELECT ml.iris(sl, sw, pl, bad) AS i, COUNT(*) FROM f WHERE id <> 5 GROUP BY i ORDER BY i",
    // errors of the store
    "SELECT id, ml.iris(sl, sw, pl, bad) FROM f",
    "SELECT ml.iris(sl, sw, pl, bad) AS i, COUNT(*) FROM f GROUP BY i",
    "SELECT ml.iris('long', 1, 2, 3)",
    "SELECT ml.width(sl, sw, nothing) FROM f",
];

fn with_parameters() -> Vec<Case> {
    let text = |text: &str| Param::Text(text.to_owned());
    vec![
        case("SELECT id FROM f WHERE ml.width(sl, sw, ?) > ?")
            .with([Param::Double(1.4), Param::Double(0.25)]),
        case("SELECT id, ml.width(sl, sw, ?) FROM f WHERE id < ?").with([Param::Int(2), Param::Int(40)]),
        case("SELECT id, ml.width(sl, sw, ?) FROM f").with([text("1.4")]),
        case("SELECT id, ml.width(sl, sw, ?) FROM f").with([Param::Null]),
        case("SELECT ml.iris(?, ?, ?, ?)")
            .with([Param::Double(6.3), text("3.3"), Param::Int(6), text(" 2.5")]),
        case("SELECT ml.iris(?, 1, 1, 1)").with([text("broad")]),
        case("SELECT id, ml.goods(?, sl, pw, pieces) FROM f WHERE id > ?")
            .with([text("größer, 'blau'"), Param::Int(20)]),
        case("SELECT ml.goods(?, sl, pw, pieces) AS g, COUNT(*) FROM f WHERE id > ? GROUP BY g ORDER BY g")
            .with([text("red"), Param::Int(20)]),
        case("SELECT AVG(ml.width(sl, sw, ?)) FROM f WHERE kind = ? AND ml.width(sl, sw, pl) > ?")
            .with([Param::Double(1.4), text("setosa"), Param::Double(0.5)]),
    ]
}

fn cases() -> Vec<Case> {
    let texts = STREAMED.iter().chain(MATERIALISED);
    let mut cases: Vec<Case> = texts.map(|sql| case(*sql)).collect();
    cases.extend(with_parameters());
    let lenient = |sql| case(sql).after("SET sql_mode = ''");
    cases.push(lenient(
        "SELECT id, ml.width(sl, sw, '2 cm') FROM f WHERE id < 9",
    ));
    cases
}

#[test]
fn every_plan_answers_over_columns_as_the_naive_evaluation_does() {
    let cases = cases();
    for plan in ["NULL", "'temporary'", "'inline'"] {
        assert_eq!(Way::plan(plan).compare(&cases).refusals(), 0);
    }
    let streamed: Vec<Case> = STREAMED.iter().map(|sql| case(*sql)).collect();
    assert_eq!(Way::plan("'stream'").compare(&streamed).refusals(), 0);
}

#[test]
fn generic_functions_take_as_many_inputs_as_the_task() {
    let mut lane = Pair::open().lane;
    let mut count = |condition: &str| {
        let sql = format!("SELECT COUNT(*) FROM f WHERE {condition}");
        lane.value(&in_schema(&sql, LANE)).unwrap()
    };
    let whole = (ROWS - 2).to_string();
    for same in [
        "ml.predict('iris', sl, sw, pl, pw) = ml.iris(sl, sw, pl, pw)",
        "ml.predict('iris_sk@1', sl, sw, pl, pw) = ml.iris(sl, sw, pl, pw)",
        "ABS(ml.predict_proba('iris', 'setosa', sl, sw, pl, pw) + ml.predict_proba('iris', 'versicolor', sl, sw, pl, pw) \
         + ml.predict_proba('iris', 'virginica', sl, sw, pl, pw) - 1) < 1e-5",
        "(ml.predict_proba('iris_xgb', 'setosa', sl, sw, pl, pw) > 0.5) = (ml.predict('iris_xgb', sl, sw, pl, pw) = 'setosa')",
    ] {
        assert_eq!(count(same), whole, "{same}");
    }
    let same = "ml.predict('width', sl, sw, pl) = ml.width(sl, sw, pl)";
    assert_eq!(count(same), (ROWS - 1).to_string());
}

#[test]
fn numbers_are_written_as_the_store_writes_them() {
    let mut pair = Pair::open();
    for number in [
        "0",
        "-0e0",
        "1e15",
        "1e14",
        "0.1",
        "-1e-15",
        "1e-16",
        "123456789012345678",
        "1.5e300",
        "1e22",
        "2.5e-310",
        "1.7976931348623157e308",
        "0.30000000000000004",
    ] {
        for plan in ["stream", "inline", "temporary"] {
            pair.lane.run(&format!("SET @ml_plan = '{plan}'"));
            let sql = in_schema(&format!("SELECT ml.total({number}, 0)"), LANE);
            let found = query(&mut pair.lane, &sql).unwrap().rows;
            let expected = query(&mut pair.naive, &format!("SELECT {number} + 0e0"));
            assert_eq!(found, expected.unwrap().rows, "{number} by {plan}");
        }
    }
}

#[test]
fn what_is_wrong_is_named() {
    let mut lane = Pair::open().lane;
    for (sql, code, words) in [
        (
            "SELECT ml.iris(1, 2, 3)",
            1318,
            "FUNCTION ml.iris; expected 4, got 3",
        ),
        (
            "SELECT ml.predict('width', sl, sw) FROM f",
            1318,
            "ml.predict; expected 4, got 3",
        ),
        (
            "SELECT ml.predict_proba('iris', 'rose', 1, 2, 3, 4)",
            1525,
            "'rose'",
        ),
        (
            "SELECT ml.predict_proba('width', 'x', 1, 2, 3)",
            1210,
            "is a regression",
        ),
        (
            "CREATE TASK t KIND REGRESSION CLASSES ('a') INPUT (x DOUBLE)",
            1525,
            "has none",
        ),
        (
            "CREATE TASK t KIND REGRESSION INPUT (x DOUBLE, X DOUBLE)",
            1525,
            "named twice",
        ),
        (
            "CREATE MODEL m FOR TASK width FROM 'iris_tensor.onnx'",
            1525,
            "",
        ),
        (
            "CREATE MODEL m FOR TASK width FROM 'width_tree.onnx' OPTIONS (labels = ('a'))",
            1064,
            "the options are output_name, accuracy",
        ),
    ] {
        let sql = below_root(&in_schema(sql, LANE));
        let error = query(&mut lane, &sql).expect_err(&sql);
        let message = error.message.replace(LANE, "ml");
        assert_eq!(error.code, code, "{sql}: {message}");
        assert!(message.contains(words), "{sql}: {message}");
    }
}

#[test]
fn an_answer_that_is_no_number_is_null_and_warned_of() {
    let mut lane = Pair::open().lane;
    let sql = in_schema("SELECT ml.logarithm(0), ml.logarithm(1)", LANE);
    assert_eq!(lane.rows(&sql), [[None, Some("0".to_owned())]]);
    let warnings = lane.rows("SHOW WARNINGS");
    let text = warnings[0][2].as_deref().unwrap();
    assert!(text.starts_with("Input (0) has no answer"), "{text}");
    lane.run("SET @ml_on_error = 'fail'");
    let error = lane.error(&sql);
    assert_eq!((error.code, &error.message[..9]), (1366, "Input (0)"));
    lane.run("SET @ml_on_error = NULL");
}

#[test]
fn definitions_create_the_same_again() {
    let mut lane = Pair::open().lane;
    for (sql, expected) in [
        (
            "SHOW CREATE TASK width",
            "CREATE TASK `width` KIND REGRESSION INPUT (`sepal_length` DOUBLE, `sepal_width` DOUBLE, \
             `petal_length` DOUBLE) OPTIONS (accuracy_slack_points = 1, answers = 'stable')",
        ),
        (
            "SHOW CREATE MODEL width_tree",
            "CREATE MODEL `width_tree` FOR TASK `width` FROM 'width_tree.onnx' VERSION '1'",
        ),
        (
            "SHOW CREATE MODEL iris_xgb",
            "CREATE MODEL `iris_xgb` FOR TASK `iris` FROM 'iris_xgboost.onnx' VERSION '1' \
             COVERS ('setosa', 'versicolor', 'virginica') OPTIONS (labels = ('setosa', 'versicolor', 'virginica'), \
             output = probabilities, accuracy = 0.9)",
        ),
    ] {
        let answer = query(&mut lane, sql).unwrap();
        let text = answer.rows[0].last().unwrap().as_ref().unwrap();
        let text = String::from_utf8_lossy(text).into_owned();
        assert!(text.ends_with(&below_root(expected)), "{text}");
    }
}
