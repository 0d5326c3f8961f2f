//! The lane's answers against the naive evaluation: the same statement, run by the store itself with
//! functions that read what ONNX Runtime said of every image, in place of the predict calls.
//!
//! Statements are written with schema `ml`; the proxy here has its catalog in `dm`, the naive functions
//! are in `nv`. Both names are as long as `ml`, so that cut-off column names are comparable too.

pub mod answer;
mod changes;
mod collations;
mod columns;
mod corpus;
mod flowers;
mod generator;
mod in_schema;
mod naive;
mod plans;
mod prepared;
mod random;
mod random_views;
mod recorded;
mod selects;
mod sessions;
pub mod shop;
mod truth;
mod views;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use answer::{Answer, Param, execute_once, query};
use predictsql_tests::wire::SqlError;
use predictsql_tests::{Proxy, Store, Wire};

/// Schema of the catalog.
const LANE: &str = "dm";
/// Schema of the naive functions.
const NAIVE: &str = "nv";
/// ER_NOT_SUPPORTED_YET.
const UNSUPPORTED: u16 = 1235;
/// ER_CANT_AGGREGATE_2COLLATIONS, and its kin of three and more.
const MIXED_COLLATIONS: [u16; 3] = [1267, 1270, 1271];

/// A statement to compare.
#[derive(Debug, Clone, Default)]
pub struct Case {
    /// With schema `ml`; `?` stands for a parameter.
    sql: String,
    params: Vec<Param>,
    /// Run in both sessions before.
    setup: Vec<&'static str>,
    /// Whether its ORDER BY makes the order of its rows total.
    ordered: bool,
    /// Whether a column may be said to be possibly NULL that the naive evaluation says never is: the store
    /// infers it of outer joins from conditions, if it has merged what stands for the view.
    infers_not_null: bool,
}

fn case(sql: impl Into<String>) -> Case {
    let sql = sql.into();
    Case {
        ordered: sql.contains("ORDER BY"),
        sql,
        ..Case::default()
    }
}

impl Case {
    fn with(mut self, params: impl IntoIterator<Item = Param>) -> Self {
        self.params.extend(params);
        self
    }

    fn after(mut self, setup: &'static str) -> Self {
        self.setup.push(setup);
        self
    }

    /// The text with its parameters written out. No string of these tests holds a `?`.
    fn inlined(&self) -> String {
        let mut parts = self.sql.split('?');
        let mut sql = parts.next().unwrap().to_owned();
        for (part, param) in parts.zip(&self.params) {
            sql.push_str(&param.literal());
            sql.push_str(part);
        }
        sql
    }
}

/// How an answer compares.
#[derive(Debug)]
enum Verdict {
    Same,
    /// Both are the same error.
    SameError,
    /// The lane answers where functions of the store mix collations (1267): its labels are constants, which
    /// the store converts where it can.
    Lenient,
    /// Refused with 1235.
    Refused(String),
    Different(String),
}

/// How many answers compared how.
#[derive(Debug, Default)]
struct Tally {
    same: usize,
    errors: usize,
    lenient: usize,
    different: usize,
    /// By what the refusals name.
    refused: BTreeMap<String, usize>,
}

impl Tally {
    fn count(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Same => self.same += 1,
            Verdict::SameError => self.errors += 1,
            Verdict::Lenient => self.lenient += 1,
            Verdict::Different(_) => self.different += 1,
            Verdict::Refused(reason) => *self.refused.entry(reason.clone()).or_default() += 1,
        }
    }

    fn add(&mut self, other: Self) {
        self.same += other.same;
        self.errors += other.errors;
        self.lenient += other.lenient;
        self.different += other.different;
        for (reason, count) in other.refused {
            *self.refused.entry(reason).or_default() += count;
        }
    }

    fn refusals(&self) -> usize {
        self.refused.values().sum()
    }

    /// Answers that were held against the naive evaluation's.
    fn compared(&self) -> usize {
        self.same + self.errors + self.different
    }

    fn brief(&self) -> String {
        let (different, lenient) = (self.different, self.lenient);
        let refused = self.refusals();
        format!("{different} different, {lenient} without a reference, {refused} refused")
    }

    fn answers(&self) -> usize {
        self.same + self.errors + self.lenient + self.different + self.refusals()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            same,
            errors,
            lenient,
            different,
            refused,
        } = self;
        let refusals = self.refusals();
        write!(
            f,
            "{same} answers equal, {errors} errors equal, {lenient} in place of errors, {different} different, {refusals} refused {refused:#?}"
        )
    }
}

/// A session at the proxy and one at the store, in the same state.
struct Pair {
    lane: Wire,
    naive: Wire,
    /// The last answer of the lane had rows.
    has_rows: bool,
}

impl Pair {
    fn open() -> Self {
        Self::using("df", "df")
    }

    /// In a database of its own each.
    fn using(lane: &str, naive: &str) -> Self {
        Self::through(fixture(), lane, naive)
    }

    fn through(proxy: &Proxy, lane: &str, naive: &str) -> Self {
        let mut pair = Self {
            lane: proxy.root(),
            naive: Store::shared().root(),
            has_rows: false,
        };
        pair.lane.run(&format!("USE {lane}"));
        pair.naive.run(&format!("USE {naive}"));
        // Else the store takes answers of sub-queries for each other's, by the collations of columns
        // that they read.
        pair.naive
            .run("SET optimizer_switch = 'subquery_cache=off'");
        pair
    }

    fn both(&mut self, sql: &str) {
        self.lane.run(sql);
        self.naive.run(sql);
    }

    /// Compares the answers to a query.
    fn read(&mut self, case: &Case, binary: bool) -> Verdict {
        let (found, mut expected) = self.answers(case, binary);
        if let (true, Ok(found), Ok(expected)) = (case.infers_not_null, &found, &mut expected) {
            expected.allow_null_as(found);
        }
        self.has_rows = found.as_ref().is_ok_and(|answer| !answer.rows.is_empty());
        verdict(found, expected, case.ordered)
    }

    /// What the lane answers, and what the naive evaluation does.
    fn answers(&mut self, case: &Case, binary: bool) -> (Answered, Answered) {
        let run = |session: &mut Wire, schema| match binary {
            false => query(session, &in_schema(&case.inlined(), schema)),
            true => execute_once(session, &in_schema(&case.sql, schema), &case.params),
        };
        (run(&mut self.lane, LANE), run(&mut self.naive, NAIVE))
    }
}

type Answered = Result<Answer, SqlError>;

fn verdict(found: Answered, expected: Answered, ordered: bool) -> Verdict {
    match (found, expected) {
        // The lane has asked the store something that is no SQL.
        (Err(error), _)
            if error.code == UNSUPPORTED && error.message.contains("error in your SQL syntax") =>
        {
            Verdict::Different(error.message)
        }
        (Err(error), _) if error.code == UNSUPPORTED => Verdict::Refused(error.message),
        (Ok(found), Ok(expected)) => {
            let plain = |answer: &Answer| -> Vec<String> {
                let names = answer.names();
                names.iter().map(|name| plain_name(name)).collect()
            };
            if plain(&found) != plain(&expected) {
                let (found, expected) = (plain(&found), plain(&expected));
                return Verdict::Different(format!("names {found:?}, expected {expected:?}"));
            }
            match found.difference(&expected, ordered) {
                None => Verdict::Same,
                Some(difference) => Verdict::Different(difference),
            }
        }
        (Err(found), Err(expected))
            if (found.code, &found.sqlstate) == (expected.code, &expected.sqlstate) =>
        {
            Verdict::SameError
        }
        (_, Err(expected)) if MIXED_COLLATIONS.contains(&expected.code) => Verdict::Lenient,
        (Err(found), Err(expected)) => {
            Verdict::Different(format!("{found:?}, expected {expected:?}"))
        }
        (Err(found), Ok(_)) => Verdict::Different(format!("{found:?}, expected rows")),
        (Ok(found), Err(expected)) => {
            Verdict::Different(format!("{} rows, expected {expected:?}", found.rows.len()))
        }
    }
}

/// The text with every word `ml` turned into another schema's name. It stays in capitals for the lane
/// alone: to the store they are another name.
pub fn in_schema(sql: &str, schema: &str) -> String {
    replace_word(sql, "ml", schema)
}

/// A text with the lane's and the naive functions' schemas both called `ml`.
fn plain_name(name: &str) -> String {
    replace_word(&replace_word(name, NAIVE, "ml"), LANE, "ml")
}

fn replace_word(sql: &str, from: &str, to: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let end = match is_word(first) {
            true => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            false => rest.find(is_word).unwrap_or(rest.len()),
        };
        let (word, after) = rest.split_at(end);
        match word {
            _ if word.eq_ignore_ascii_case(from) && word != from && to == LANE => {
                out.push_str(&to.to_uppercase());
            }
            _ if word.eq_ignore_ascii_case(from) => out.push_str(to),
            _ => out.push_str(word),
        }
        rest = after;
    }
    out
}

/// The proxy with task, models and tables of [`shop`], and the naive functions.
fn fixture() -> &'static Proxy {
    &made().0
}

/// Another proxy of the same catalog, whose inferences are its own.
fn second_proxy() -> &'static Proxy {
    static MADE: OnceLock<Proxy> = OnceLock::new();
    MADE.get_or_init(|| {
        let settings = made().1.settings();
        Proxy::start(Store::shared(), &settings)
    })
}

fn made() -> &'static (Proxy, shop::Shop) {
    static MADE: OnceLock<(Proxy, shop::Shop)> = OnceLock::new();
    MADE.get_or_init(|| {
        let shop = shop::Shop::new();
        let proxy = Proxy::start(Store::shared(), &shop.settings());
        shop::create_models(&mut proxy.root());
        flowers::create_models(&mut proxy.root());
        let mut store = Store::shared().root();
        shop.create_tables(&mut store, "df", shop::LARGE);
        let scores = naive::create(&mut store, &shop::naive_models(), &shop.inputs());
        shop::check_thresholds(&scores);
        flowers::create_table(&mut store, "df");
        flowers::create_naive(&mut store);
        (proxy, shop)
    })
}

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
