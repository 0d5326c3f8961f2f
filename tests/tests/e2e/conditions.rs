//! Conditions on several predictions: which rows each model looks at, and in which order.

use crate::kept::Place;
use predictsql_tests::{Wire, apparel};

/// Predictions of one model, of which neither is dearer: they are made as they are written.
const FIRST: &str = "ml.predict('bag_tiny_other', photo)";
const SECOND: &str = "ml.predict('bag_tiny_other', CONCAT(id % 40 + 1, '.png'))";
const NANO: &str = "ml.predict('apparel_nano', photo)";
const BAG: &str = "ml.predict('bag_tiny_other', photo)";
/// The same images by other names.
const AGAIN: &str = "ml.predict('apparel_nano', CONCAT('./', photo))";

fn place(schema: &str) -> Place {
    let place = Place::new(schema, "");
    let model = apparel::zoo().iter().find(|m| m.name == "bag_tiny_other");
    place.proxy.root().run(&model.unwrap().statement());
    place
}

fn session(place: &Place) -> Wire {
    let mut session = place.session();
    session.run("SET @ml_cache = 'off'");
    session
}

type Row = (u64, Option<String>, Option<String>);

/// What two predictions say of rows 1 to 40, none of whose images is there twice.
fn said(place: &Place, session: &mut Wire, predictions: [&str; 2]) -> Vec<Row> {
    let [first, second] = predictions;
    let sql = format!("SELECT id, {first}, {second} FROM products WHERE id <= 40 ORDER BY id");
    let (rows, inferred) = place.rows(session, &sql);
    assert_eq!(inferred, 80);
    let row = |row: Vec<Option<String>>| {
        let [id, first, second] = <[_; 3]>::try_from(row).unwrap();
        (id.unwrap().parse().unwrap(), first, second)
    };
    rows.into_iter().map(row).collect()
}

#[test]
fn models_look_only_at_rows_that_are_not_decided() {
    let place = place("conditions_rows");
    let mut session = session(&place);
    let said = said(&place, &mut session, [FIRST, SECOND]);
    let is = |label: &Option<String>, class: &str| label.as_deref() == Some(class);
    type Is<'c> = &'c dyn Fn(&Row) -> bool;
    let always = |_: &Row| true;
    // (condition, does a row pass, is its first image looked at, is its second)
    let cases: [(String, Is<'_>, Is<'_>, Is<'_>); 6] = [
        (
            format!("{FIRST} = 'Bag' AND {SECOND} IS NULL"),
            &|(_, a, b)| is(a, "Bag") && b.is_none(),
            &always,
            &|(_, a, _)| is(a, "Bag"),
        ),
        (
            format!("{FIRST} = 'Bag' OR {SECOND} = 'Trouser'"),
            &|(_, a, b)| is(a, "Bag") || is(b, "Trouser"),
            &always,
            &|(_, a, _)| !is(a, "Bag"),
        ),
        (
            // NULL = 'Trouser' is not false: NOT does not make it true.
            format!("NOT ({FIRST} <> 'Bag' OR {SECOND} = 'Trouser')"),
            &|(_, a, b)| is(a, "Bag") && is(b, "Bag"),
            &always,
            &|(_, a, _)| is(a, "Bag"),
        ),
        (
            format!("id > 10 OR ({FIRST} = 'Trouser' AND {SECOND} IS NULL)"),
            &|(id, a, b)| *id > 10 || (is(a, "Trouser") && b.is_none()),
            &|(id, ..)| *id <= 10,
            &|(id, a, _)| *id <= 10 && is(a, "Trouser"),
        ),
        (
            format!("({FIRST} = 'Trouser' AND id > 30) OR ({SECOND} IS NULL AND id < 10)"),
            &|(id, a, b)| (is(a, "Trouser") && *id > 30) || (b.is_none() && *id < 10),
            &|(id, ..)| *id > 30,
            &|(id, ..)| *id < 10,
        ),
        (
            format!("({FIRST} = 'Bag' OR TRUE) AND ({SECOND} IS NULL OR {FIRST} = 'x')"),
            &|(_, _, b)| b.is_none(),
            &|_| false,
            &always,
        ),
    ];
    for (condition, passes, first, second) in cases {
        let count = |looks: &dyn Fn(&Row) -> bool| said.iter().filter(|row| looks(row)).count();
        let sql = format!("SELECT id FROM products WHERE id <= 40 AND ({condition}) ORDER BY id");
        let (rows, inferred) = place.rows(&mut session, &sql);
        let found: Vec<u64> = rows
            .iter()
            .map(|row| row[0].as_ref().unwrap().parse().unwrap())
            .collect();
        let expected: Vec<u64> = said.iter().filter(|row| passes(row)).map(|r| r.0).collect();
        assert_eq!(found, expected, "{condition}");
        assert_eq!(
            inferred as usize,
            count(first) + count(second),
            "{condition}"
        );
        assert!(count(second) > 0 && !expected.is_empty() || condition.starts_with("NOT"));
    }
    // Cells are filled for rows of the answer only, also where the condition did not need them.
    let sql = format!(
        "SELECT id, {SECOND} FROM products \
         WHERE id <= 40 AND ({FIRST} = 'Bag' OR {SECOND} = 'Trouser') ORDER BY id"
    );
    let (rows, inferred) = place.rows(&mut session, &sql);
    let expected: Vec<_> = said
        .iter()
        .filter(|(_, a, b)| is(a, "Bag") || is(b, "Trouser"))
        .map(|(id, _, b)| vec![Some(id.to_string()), b.clone()])
        .collect();
    assert_eq!((rows, inferred), (expected, 80));
}

#[test]
fn a_limit_ends_inference_early_under_several_conditions() {
    let place = place("conditions_limit");
    let mut session = session(&place);
    session.run(
        "CREATE TABLE many AS SELECT seq AS id, CONCAT(REPEAT('./', seq DIV 40), seq % 40 + 1, '.png') \
         AS photo FROM seq_1_to_2000",
    );
    let other = SECOND.replace("CONCAT(", "CONCAT(REPEAT('./', id DIV 40), ");
    let sql = format!("SELECT id FROM many WHERE {FIRST} IS NULL AND {other} IS NULL");
    let (all, inferred) = place.rows(&mut session, &sql);
    assert!(
        all.len() > 500 && inferred > 2500,
        "{inferred} for {} rows",
        all.len()
    );
    let (some, inferred) = place.rows(&mut session, &format!("{sql} LIMIT 2"));
    assert_eq!(some[..], all[..2]);
    assert!(inferred < 1000, "{inferred} for two rows");
}

#[test]
fn inputs_are_harvested_from_rows_that_pass_the_conditions_before() {
    let place = place("conditions_narrow");
    let mut session = session(&place);
    let said = said(&place, &mut session, [NANO, BAG]);
    let sneakers = said
        .iter()
        .filter(|(_, n, _)| n.as_deref() == Some("Sneaker"));
    let no_bags = sneakers.clone().filter(|(.., bag)| bag.is_none());
    let (sneakers, no_bags) = (sneakers.count(), no_bags.count());
    assert!(sneakers > 0 && no_bags > 0);
    let conditions =
        format!("FROM products WHERE id <= 40 AND {NANO} = 'Sneaker' AND {BAG} IS NULL");
    for plan in ["temporary", "inline"] {
        session.run(&format!("SET @ml_plan = '{plan}'"));
        for (sql, inferred) in [
            (format!("SELECT COUNT(*) {conditions}"), 40 + sneakers),
            (
                format!("SELECT SUM({AGAIN} = 'Sneaker') {conditions}"),
                40 + sneakers + no_bags,
            ),
        ] {
            let (rows, images) = place.rows(&mut session, &sql);
            assert_eq!(rows, [[Some(no_bags.to_string())]], "{plan}: {sql}");
            assert_eq!(images as usize, inferred, "{plan}: {sql}");
        }
    }
}

/// Lines of EXPLAIN that say what rows are filtered by, in order.
fn filters(place: &Place, session: &mut Wire, sql: &str) -> Vec<String> {
    let lines = session.rows(&place.sql(&format!("EXPLAIN {sql}")));
    let lines = lines.into_iter().filter_map(|row| row[0].clone());
    let mut filters: Vec<String> = Vec::new();
    let mut is_filter = false;
    for line in lines {
        if let Some(filter) = line.strip_prefix("Filter   ") {
            filters.push(filter.to_owned());
            is_filter = true;
        } else if let (true, Some(more)) = (is_filter, line.strip_prefix("         ")) {
            filters.last_mut().unwrap().push_str(&format!(" {more}"));
        } else {
            is_filter = false;
        }
    }
    filters
}

#[test]
fn what_drops_most_rows_for_its_cost_is_asked_first() {
    let place = place("conditions_order");
    let mut session = session(&place);
    let many = format!("{NANO} <> 'Bag'");
    let both = format!("{many} AND {AGAIN} = 'Coat'");
    let sql = format!("SELECT id FROM products WHERE id <= 40 AND ({both})");
    let count = |session: &mut Wire, condition: &str| {
        let sql = format!("SELECT id FROM products WHERE id <= 40 AND {condition}");
        place.rows(session, &sql).0.len() as u64
    };
    let passing = count(&mut session, &many);
    // Nothing is measured: as they are written.
    let unknown = filters(&place, &mut session, &sql);
    assert!(unknown[0].contains("<> 'Bag'"), "{unknown:?}");
    assert!(!unknown[0].contains("% of rows"), "{unknown:?}");
    assert_eq!(place.rows(&mut session, &sql).1, 40 + passing);

    session.run(&place.sql(
        "CREATE TABLE labelled AS SELECT photo, ml.apparel(photo) AS label FROM products WHERE id <= 40",
    ));
    session.run("EVALUATE TASK apparel ON (SELECT photo, label FROM labelled)");
    let known = filters(&place, &mut session, &sql);
    assert!(known[0].contains("= 'Coat'"), "{known:?}");
    assert!(known[0].contains("% of rows"), "{known:?}");
    let passing_now = count(&mut session, &format!("{AGAIN} = 'Coat'"));
    assert!(passing_now < passing);
    assert_eq!(place.rows(&mut session, &sql).1, 40 + passing_now);
    // Of an OR, what passes most.
    let any = sql.replace("AND ml.", "OR ml.");
    let known = filters(&place, &mut session, &any);
    assert!(known[0].contains("<> 'Bag'"), "{known:?}");
    assert_eq!(place.rows(&mut session, &any).1, 40 + (40 - passing));
}
