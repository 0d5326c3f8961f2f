//! The lane's answers against the naive evaluation: the same statement, run by the store itself
//! with functions that read what ONNX Runtime said of every image, in place of the predict calls.
//!
//! Statements are written with schema `ml`; the proxy here has its catalog in `dm`, the naive
//! functions are in `nv`. Both names are as long as `ml`,
//! so that cut-off column names are comparable too.

pub mod answer;
mod case;
mod changes;
mod collations;
mod columns;
mod corpus;
mod fixture;
pub mod flowers;
pub mod generator;
mod in_schema;
mod naive;
mod pair;
mod plans;
mod prepared;
mod random;
mod random_views;
mod recorded;
mod schemas;
mod selects;
mod sessions;
pub mod shop;
mod surprises;
mod tally;
mod truth;
mod verdict;
mod views;

use answer::query;
use pair::Pair;
use schemas::{LANE, NAIVE, in_schema};

#[test]
fn limits_without_an_order_give_rows_of_the_whole_answer() {
    let mut pair = Pair::open();
    for (sql, limit) in [
        ("SELECT id, ml.apparel(photo) FROM p", " LIMIT 7"),
        (
            "SELECT id FROM p WHERE ml.apparel(photo) = 'Bag'",
            " LIMIT 3 OFFSET 1",
        ),
        (
            "SELECT id FROM p WHERE ml.apparel(photo) <> 'Bag'",
            " LIMIT 2, 40",
        ),
    ] {
        let limited = query(&mut pair.lane, &in_schema(&format!("{sql}{limit}"), LANE)).unwrap();
        let naive = query(&mut pair.naive, &in_schema(&format!("{sql}{limit}"), NAIVE)).unwrap();
        let whole = query(&mut pair.naive, &in_schema(sql, NAIVE)).unwrap();
        assert_eq!(limited.rows.len(), naive.rows.len(), "{sql}{limit}");
        assert!(
            limited.rows.iter().all(|row| whole.rows.contains(row)),
            "{sql}{limit}"
        );
    }
}
