//! Conditions on several predictions: which rows each model looks at, and in which order.

use crate::kept::Place;
use predictsql_tests::{Wire, apparel};

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

/// What both models say of photos 1 to 40: none is there twice.
fn said(place: &Place, session: &mut Wire) -> Vec<(u64, Option<String>, Option<String>)> {
    let sql = format!("SELECT id, {NANO}, {BAG} FROM products WHERE id <= 40 ORDER BY id");
    let (rows, inferred) = place.rows(session, &sql);
    assert_eq!(inferred, 80);
    let row = |row: Vec<Option<String>>| {
        let [id, nano, bag] = <[_; 3]>::try_from(row).unwrap();
        (id.unwrap().parse().unwrap(), nano, bag)
    };
    rows.into_iter().map(row).collect()
}

#[test]
fn models_look_only_at_rows_that_are_not_decided() {
    let place = place("conditions_rows");
    let mut session = session(&place);
    let said = said(&place, &mut session);
    let is = |label: &Option<String>, class: &str| label.as_deref() == Some(class);
    type Row = (u64, Option<String>, Option<String>);
    // (condition, does a row pass, does the first model look, does the second)
    type Case<'c> = (
        String,
        &'c dyn Fn(&Row) -> bool,
        &'c dyn Fn(&Row) -> bool,
        &'c dyn Fn(&Row) -> bool,
    );
    let always = |_: &Row| true;
    let cases: [Case<'_>; 6] = [
        (
            format!("{NANO} = 'Sneaker' AND {BAG} IS NULL"),
            &|(_, n, b)| is(n, "Sneaker") && b.is_none(),
            &always,
            &|(_, n, _)| is(n, "Sneaker"),
        ),
        (
            format!("{NANO} = 'Sneaker' OR {BAG} = 'Bag'"),
            &|(_, n, b)| is(n, "Sneaker") || is(b, "Bag"),
            &always,
            &|(_, n, _)| !is(n, "Sneaker"),
        ),
        (
            // NULL = 'Bag' is not false: NOT does not make it true.
            format!("NOT ({NANO} <> 'Bag' OR {BAG} = 'Bag')"),
            &|(_, n, b)| is(n, "Bag") && b.is_some() && !is(b, "Bag"),
            &always,
            &|(_, n, _)| is(n, "Bag"),
        ),
        (
            format!("id > 10 OR ({NANO} = 'Coat' AND {BAG} IS NULL)"),
            &|(id, n, b)| *id > 10 || (is(n, "Coat") && b.is_none()),
            &|(id, ..)| *id <= 10,
            &|(id, n, _)| *id <= 10 && is(n, "Coat"),
        ),
        (
            format!("({NANO} = 'Coat' AND id > 30) OR ({BAG} IS NULL AND id < 10)"),
            &|(id, n, b)| (is(n, "Coat") && *id > 30) || (b.is_none() && *id < 10),
            &|(id, ..)| *id > 30,
            &|(id, ..)| *id < 10,
        ),
        (
            format!("({NANO} = 'Coat' OR TRUE) AND ({BAG} IS NULL OR {NANO} = 'no such class')"),
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
        "SELECT id, {BAG} FROM products WHERE id <= 40 AND ({NANO} = 'Sneaker' OR {BAG} = 'Bag') ORDER BY id"
    );
    let (rows, inferred) = place.rows(&mut session, &sql);
    let expected: Vec<_> = said
        .iter()
        .filter(|(_, n, b)| is(n, "Sneaker") || is(b, "Bag"))
        .map(|(id, _, b)| vec![Some(id.to_string()), b.clone()])
        .collect();
    assert_eq!((rows, inferred), (expected, 80));
}

#[test]
fn inputs_are_harvested_from_rows_that_pass_the_conditions_before() {
    let place = place("conditions_narrow");
    let mut session = session(&place);
    let said = said(&place, &mut session);
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
    let sql = |first: &str, second: &str| {
        format!("SELECT id FROM products WHERE id <= 40 AND ({first} {second})")
    };
    let (many, few) = (format!("{NANO} <> 'Bag'"), format!("AND {AGAIN} = 'Coat'"));
    let sql = sql(&many, &few);
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
