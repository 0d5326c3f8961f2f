//! Tests of statements over views and their rewritten forms.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::RefusalKind;
use crate::sql::LexMode;
use crate::statement::PredictStatement;

fn source(name: &str, definition: &str) -> ViewSource {
    ViewSource {
        schema: "shop".to_owned(),
        name: name.to_owned(),
        definition: definition.to_owned(),
        kept_apart: false,
        collation: "utf8mb4_general_ci".to_owned(),
    }
}

const SESSION: ViewSession<'_> = ViewSession {
    mode: LexMode {
        ansi_quotes: false,
        no_backslash_escapes: false,
        pipes_as_concat: false,
    },
    database: "shop",
    collation: "utf8mb4_general_ci",
    utf8: true,
};

/// `v` shows its input, `h` does not, `g` groups by it, `o` reads `v`, `oh` reads `h`.
fn views() -> Views {
    Views::analyse(
        &[
            source("plain", "select `shop`.`t`.`a` AS `a` from `shop`.`t`"),
            source(
                "oh",
                "select `h`.`id` AS `id`,`h`.`kind` AS `what` from `shop`.`h` where `h`.`id` > 1",
            ),
            source(
                "o",
                "select `v`.`kind` AS `k`,`v`.`photo` AS `photo` from `shop`.`v` where `v`.`id` < 9",
            ),
            source(
                "v",
                "select `p`.`id` AS `id`,`p`.`photo` AS `photo`,`ml`.`apparel`(`p`.`photo`) AS `kind` \
                 from `shop`.`products` `p` where `p`.`photo` like 'a%'",
            ),
            source(
                "h",
                "select `shop`.`products`.`id` AS `id`,\
                 case `ml`.`apparel`(`shop`.`products`.`photo`) when 'Bag' then 1 else 0 end AS `kind` \
                 from `shop`.`products` where `shop`.`products`.`id` <> 'it\\'s'",
            ),
            source(
                "g",
                "select `ml`.`apparel`(`shop`.`products`.`photo`) AS `kind`,count(0) AS `n` \
                 from `shop`.`products` group by `ml`.`apparel`(`shop`.`products`.`photo`)",
            ),
        ],
        "ml",
        false,
    )
}

fn expand(sql: &str) -> Vec<String> {
    let expansion = views().expand(sql, &SESSION, Reading::Statement).unwrap();
    let candidates = expansion.map(|e| e.candidates).unwrap_or_default();
    candidates.into_iter().map(|c| c.sql).collect()
}

/// The first form.
fn first(sql: &str) -> String {
    let text = expand(sql).into_iter().next().unwrap_or_default();
    text.replace("  AS ", " AS ")
}

const DERIVED: &str = "(SELECT `ml view`.`id`, `ml view`.`photo`, `ml`.`apparel`(`ml view`.`photo`) AS `kind` \
                       FROM `v` AS `ml view`) AS `v`";

#[test]
fn views_that_predict_are_found_also_through_others() {
    let views = views();
    assert_eq!(views.len(), 5);
    assert!(views.may_name(b"select * from shop.`oh` limit 1"));
    for other in [&b"SELECT a FROM plain"[..], b"SELECT over1 FROM vv, o_2"] {
        assert!(!views.may_name(other));
    }
}

#[test]
fn columns_become_calls_over_what_the_view_shows() {
    for (sql, expected) in [
        (
            "SELECT id, kind FROM v WHERE kind = 'Bag' AND id > 3 LIMIT 2",
            "SELECT id, `ml`.`apparel`(`v`.`photo`) AS `kind` FROM v WHERE `ml`.`apparel`(`v`.`photo`) = 'Bag' AND id > 3 LIMIT 2",
        ),
        (
            "SELECT * FROM shop.v AS x ORDER BY kind",
            "SELECT `x`.`id`, `x`.`photo`, `ml`.`apparel`(`x`.`photo`) AS `kind` FROM shop.v AS x ORDER BY `kind`",
        ),
        (
            "SELECT UPPER(shop.v.kind), t.* FROM v JOIN t ON t.kind = v.kind",
            "SELECT UPPER(`ml`.`apparel`(`v`.`photo`)) AS `UPPER(shop.v.kind)`, t.* FROM v JOIN t ON t.kind = `ml`.`apparel`(`v`.`photo`)",
        ),
        (
            "SELECT kind AS k, COUNT(*) FROM v GROUP BY kind ORDER BY v.kind",
            "SELECT `ml`.`apparel`(`v`.`photo`) AS k, COUNT(*) FROM v GROUP BY `ml`.`apparel`(`v`.`photo`) ORDER BY `ml`.`apparel`(`v`.`photo`)",
        ),
        (
            "UPDATE v SET id = 1 WHERE kind = 'Bag'",
            "UPDATE v SET id = 1 WHERE `ml`.`apparel`(`v`.`photo`) = 'Bag'",
        ),
        (
            "INSERT INTO t (kind) SELECT v.kind FROM v",
            "INSERT INTO t (kind) SELECT `ml`.`apparel`(`v`.`photo`) AS `kind` FROM v",
        ),
        (
            "SELECT n FROM (SELECT kind AS n FROM v) AS d WHERE n IN (SELECT k FROM o)",
            "SELECT n FROM (SELECT `ml`.`apparel`(`v`.`photo`) AS n FROM v) AS d WHERE n IN (SELECT `ml`.`apparel`(`o`.`photo`) AS `k` FROM o)",
        ),
    ] {
        assert_eq!(first(sql), expected, "{sql}");
    }
}

#[test]
fn what_needs_no_prediction_stays() {
    for sql in [
        "SELECT id FROM v WHERE photo LIKE 'b%'",
        "SELECT COUNT(*) FROM v",
        "INSERT INTO v (id, photo) VALUES (1, 'a')",
        "SELECT a FROM plain",
        "WITH v AS (SELECT 1 AS kind) SELECT kind FROM v",
        "DROP VIEW v",
        "SHOW CREATE VIEW v",
    ] {
        assert_eq!(expand(sql), Vec::<String>::new(), "{sql}");
    }
}

#[test]
fn where_names_are_not_clear_the_view_becomes_a_table() {
    for (sql, expected) in [
        (
            "SELECT id AS kind FROM v ORDER BY kind",
            format!("SELECT id AS kind FROM {DERIVED} ORDER BY kind"),
        ),
        (
            "SELECT * FROM v NATURAL JOIN t",
            format!("SELECT * FROM {DERIVED} NATURAL JOIN t"),
        ),
        (
            "SELECT id FROM v WHERE EXISTS (SELECT 1 FROM t WHERE t.k = kind)",
            format!("SELECT id FROM {DERIVED} WHERE EXISTS (SELECT 1 FROM t WHERE t.k = kind)"),
        ),
        (
            "SELECT shop.v.id AS kind FROM v",
            format!("SELECT v.id AS kind FROM {DERIVED}"),
        ),
    ] {
        assert_eq!(expand(sql), [expected], "{sql}");
    }
    // The second form where the first is possible.
    assert_eq!(
        expand("SELECT kind FROM v")[1],
        format!("SELECT kind FROM {DERIVED}")
    );
}

#[test]
fn inputs_that_a_view_does_not_show_come_from_its_body() {
    let body = "(select `shop`.`products`.`id` AS `id`, `shop`.`products`.`photo` AS `ml input 0` \
                from `shop`.`products` where `shop`.`products`.`id` <> 'it''s') AS `h`";
    assert_eq!(
        first("SELECT shop.h.id, h.kind FROM h"),
        format!(
            "SELECT h.id, (case `ml`.`apparel`(`h`.`ml input 0`) when 'Bag' then 1 else 0 end) AS `kind` FROM {body}"
        )
    );
    let expansion = views()
        .expand("SELECT what FROM oh", &SESSION, Reading::Statement)
        .unwrap()
        .unwrap();
    assert_eq!(expansion.bodies, ["`shop`.`oh`"]);
    assert!(
        expansion.candidates[0]
            .sql
            .contains("where `shop`.`products`.`id` <> 'it''s'")
    );
}

#[test]
fn views_that_group_are_taken_whole() {
    assert_eq!(
        expand("SELECT n FROM g AS x"),
        [
            "SELECT n FROM (select `ml`.`apparel`(`shop`.`products`.`photo`) AS `kind`,count(0) AS `n` \
          from `shop`.`products` group by `ml`.`apparel`(`shop`.`products`.`photo`)) AS `x`"
        ]
    );
}

#[test]
fn strings_keep_value_and_collation_in_other_sessions() {
    let in_session = |session: &ViewSession<'_>| {
        let expansion = views().expand("SELECT kind FROM h", session, Reading::Statement);
        expansion.unwrap().unwrap().candidates.swap_remove(0).sql
    };
    let other = ViewSession {
        collation: "utf8mb4_unicode_ci",
        ..SESSION
    };
    assert!(in_session(&other).contains("when _utf8mb4'Bag' then"));
    assert!(in_session(&other).contains("<> _utf8mb4'it''s'"));
    let views = Views::analyse(
        &[ViewSource {
            collation: "utf8mb4_unicode_ci".to_owned(),
            ..source(
                "u",
                r"select `ml`.`apparel`(concat(`shop`.`t`.`a`,'\\x')) AS `k`,`shop`.`t`.`a` AS `a` from `shop`.`t`",
            )
        }],
        "ml",
        false,
    );
    let expand =
        |session: &ViewSession<'_>| views.expand("SELECT k FROM u", session, Reading::Statement);
    assert_eq!(expand(&SESSION).unwrap_err().kind, RefusalKind::Unsupported);
    assert!(
        expand(&other).unwrap().unwrap().candidates[0]
            .sql
            .contains(r"concat(`u`.`a`,'\\x')")
    );
    let mode = LexMode {
        no_backslash_escapes: true,
        ..LexMode::default()
    };
    let literal = expand(&ViewSession { mode, ..other }).unwrap().unwrap();
    assert!(literal.candidates[0].sql.contains(r"concat(`u`.`a`,'\x')"));
}

#[test]
fn statements_that_change_views_are_known() {
    for (sql, changes) in [
        (
            "CREATE OR REPLACE ALGORITHM=MERGE DEFINER=`a`@`b` SQL SECURITY INVOKER VIEW v AS SELECT 1",
            true,
        ),
        ("alter view v as select 1", true),
        ("DROP VIEW IF EXISTS v", true),
        ("RENAME TABLE v TO w", true),
        ("CREATE TABLE v (view INT)", false),
        ("CREATE TABLE w AS SELECT 1 AS view", false),
        ("SELECT 1", false),
    ] {
        assert_eq!(changes_views(sql, LexMode::default()), changes, "{sql}");
    }
}

#[test]
fn views_are_stored_over_the_tasks_own_functions() {
    let stored = |sql: &str| {
        let catalog = crate::fixture::catalog();
        let statement = PredictStatement::read(sql, LexMode::default(), "ml", &catalog);
        let stored = stored_view(&statement.unwrap().unwrap()).unwrap();
        stored
            .map(|f| f.sql.replace("  AS ", " AS "))
            .unwrap_or_default()
    };
    for (sql, expected) in [
        (
            "CREATE VIEW v AS SELECT ml.predict('t', x), UPPER(ml.t(y)) u FROM p WITH CHECK OPTION",
            "CREATE VIEW v AS SELECT `ml`.`t`(x) AS `ml.predict('t', x)`, UPPER(`ml`.`t`(y)) u FROM p WITH CHECK OPTION",
        ),
        (
            "ALTER VIEW v AS SELECT ml.predict('m', x) AS k, ml.predict_proba('t', 'cat', x) FROM p",
            "ALTER VIEW v AS SELECT ml.predict('m', x) AS k, ml.predict_proba('t', 'cat', x) AS `ml.predict_proba('t', 'cat', x)` FROM p",
        ),
        ("CREATE TABLE w AS SELECT ml.t(x) FROM p", ""),
    ] {
        assert_eq!(stored(sql), expected);
    }
}
