//! Two sessions in the same state, whose answers are compared.

use predictsql_tests::{Proxy, Store, Wire};

use super::answer::{execute_once, query};
use super::case::Case;
use super::fixture::fixture;
use super::schemas::{LANE, NAIVE, in_schema};
use super::verdict::{Answered, Verdict, verdict};

/// A session at the proxy and one at the store, in the same state.
pub struct Pair {
    pub lane: Wire,
    pub naive: Wire,
    /// The last answer of the lane had rows.
    pub has_rows: bool,
}

impl Pair {
    pub fn open() -> Self {
        Self::using("df", "df")
    }

    /// In a database of its own each.
    pub fn using(lane: &str, naive: &str) -> Self {
        Self::through(fixture(), lane, naive)
    }

    pub fn through(proxy: &Proxy, lane: &str, naive: &str) -> Self {
        let mut pair = Self {
            lane: proxy.root(),
            naive: Store::shared().root(),
            has_rows: false,
        };
        pair.lane.run(&format!("USE {lane}"));
        pair.naive.run(&format!("USE {naive}"));
        // Else the store takes answers of sub-queries for each other's, by the collations of
        // columns that they read.
        pair.naive
            .run("SET optimizer_switch = 'subquery_cache=off'");
        pair
    }

    pub fn both(&mut self, sql: &str) {
        self.lane.run(sql);
        self.naive.run(sql);
    }

    /// Compares the answers to a query.
    pub fn read(&mut self, case: &Case, binary: bool) -> Verdict {
        let (found, mut expected) = self.answers(case, binary);
        if let (true, Ok(found), Ok(expected)) = (case.infers_not_null, &found, &mut expected) {
            expected.allow_null_as(found);
        }
        self.has_rows = found.as_ref().is_ok_and(|answer| !answer.rows.is_empty());
        verdict(found, expected, case.ordered)
    }

    /// What the lane answers, and what the naive evaluation does.
    pub fn answers(&mut self, case: &Case, binary: bool) -> (Answered, Answered) {
        let run = |session: &mut Wire, schema| match binary {
            false => query(session, &in_schema(&case.inlined(), schema)),
            true => execute_once(session, &in_schema(&case.sql, schema), &case.params),
        };
        (run(&mut self.lane, LANE), run(&mut self.naive, NAIVE))
    }
}
