//! The lane's answers against the naive evaluation: the same statement, run by the store itself with
//! functions that read what ONNX Runtime said of every image, in place of the predict calls.
//!
//! Statements are written with schema `ml`; the proxy here has its catalog in `dm`, the naive functions
//! are in `nv`. Both names are as long as `ml`, so that cut-off column names are comparable too.

pub mod answer;
mod collations;
mod corpus;
mod generator;
mod materialised;
mod naive;
mod sessions;
mod shop;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use answer::{Answer, Param, execute_once, query};
use predictsql_tests::wire::SqlError;
use predictsql_tests::{Proxy, Settings, Store, Wire};

/// Schema of the catalog.
const LANE: &str = "dm";
/// Schema of the naive functions.
const NAIVE: &str = "nv";
/// ER_NOT_SUPPORTED_YET.
const UNSUPPORTED: u16 = 1235;

/// A statement to compare.
#[derive(Debug, Clone, Default)]
pub struct Case {
    /// With schema `ml`; `?` stands for a parameter.
    sql: String,
    params: Vec<Param>,
    /// Run in both sessions before.
    setup: Vec<&'static str>,
}

fn case(sql: impl Into<String>) -> Case {
    Case {
        sql: sql.into(),
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

    /// Every ORDER BY of these tests makes the order total.
    fn is_ordered(&self) -> bool {
        self.sql.contains("ORDER BY")
    }
}

/// How an answer compares.
#[derive(Debug)]
enum Verdict {
    Same,
    /// Refused with 1235.
    Refused(String),
    Different(String),
}

/// A session at the proxy and one at the store, in the same state.
struct Pair {
    lane: Wire,
    naive: Wire,
}

impl Pair {
    fn open() -> Self {
        let proxy = fixture();
        let mut pair = Self {
            lane: proxy.root(),
            naive: Store::shared().root(),
        };
        pair.both("USE df");
        pair
    }

    fn both(&mut self, sql: &str) {
        self.lane.run(sql);
        self.naive.run(sql);
    }

    fn text(&mut self, case: &Case) -> Verdict {
        let sql = case.inlined();
        let found = query(&mut self.lane, &in_schema(&sql, LANE));
        let expected = query(&mut self.naive, &in_schema(&sql, NAIVE));
        verdict(found, expected, case.is_ordered())
    }

    fn prepared(&mut self, case: &Case) -> Verdict {
        let found = execute_once(&mut self.lane, &in_schema(&case.sql, LANE), &case.params);
        let expected = execute_once(&mut self.naive, &in_schema(&case.sql, NAIVE), &case.params);
        verdict(found, expected, case.is_ordered())
    }
}

fn verdict(
    found: Result<Answer, SqlError>,
    expected: Result<Answer, SqlError>,
    ordered: bool,
) -> Verdict {
    match (found, expected) {
        (Err(error), _) if error.code == UNSUPPORTED => Verdict::Refused(error.message),
        (Ok(found), Ok(expected)) => {
            let plain = |answer: &Answer| -> Vec<String> {
                let names = answer.names().into_iter();
                let plain = |n: String| replace_word(&replace_word(&n, NAIVE, "ml"), LANE, "ml");
                names.map(plain).collect()
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
        (Err(found), Err(expected)) if found.code == expected.code => Verdict::Same,
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
    static MADE: OnceLock<Proxy> = OnceLock::new();
    MADE.get_or_init(|| {
        let shop = shop::Shop::new();
        let settings = Settings {
            schema: LANE.to_owned(),
            image_roots: vec![shop.root().to_owned()],
            ..Settings::default()
        };
        let proxy = Proxy::start(Store::shared(), &settings);
        shop::create_models(&mut proxy.root());
        let mut store = Store::shared().root();
        shop.create_tables(&mut store);
        let scores = naive::create(&mut store, &shop::naive_models(), &shop.inputs());
        shop::check_thresholds(&scores);
        proxy
    })
}

#[test]
fn handwritten_statements_answer_as_the_naive_evaluation_does() {
    let cases = corpus::all();
    assert!(cases.len() >= 80);
    let mut plain = Pair::open();
    let mut wrong = Vec::new();
    for case in &cases {
        let mut own;
        let pair = match case.setup.is_empty() {
            true => &mut plain,
            false => {
                own = Pair::open();
                case.setup.iter().for_each(|sql| own.both(sql));
                &mut own
            }
        };
        for protocol in ["text", "prepared"] {
            let verdict = match protocol {
                "text" => pair.text(case),
                _ => pair.prepared(case),
            };
            if !matches!(verdict, Verdict::Same) {
                wrong.push(format!(
                    "{protocol}: {} {:?}\n    {verdict:?}",
                    case.sql, case.setup
                ));
                // The session may be lost.
                *pair = Pair::open();
                case.setup.iter().for_each(|sql| pair.both(sql));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
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

#[test]
fn random_statements_answer_as_the_naive_evaluation_does_or_are_refused() {
    const STATEMENTS: usize = 600;
    const REFUSED_PERCENT_MAX: usize = 30;
    let seed = std::env::var("PREDICTSQL_TEST_SEED").map_or(20_260_701, |s| s.parse().unwrap());
    let mut generator = generator::Generator::new(seed);
    let mut pair = Pair::open();
    let mut refused: BTreeMap<String, usize> = BTreeMap::new();
    let mut compared_rows = 0;
    for number in 0..STATEMENTS {
        let case = generator.statement();
        for (protocol, verdict) in [
            ("text", pair.text(&case)),
            ("prepared", pair.prepared(&case)),
        ] {
            match verdict {
                Verdict::Same => compared_rows += 1,
                Verdict::Refused(reason) => {
                    println!("refused: {}", case.sql);
                    *refused.entry(reason).or_default() += 1;
                }
                Verdict::Different(difference) => panic!(
                    "statement {number} of seed {seed} ({protocol}): {}\n  parameters {:?}\n  {difference}",
                    case.sql, case.params
                ),
            }
        }
    }
    let count: usize = refused.values().sum();
    println!("{compared_rows} answers compared, {count} refused: {refused:#?}");
    assert!(
        count * 100 <= STATEMENTS * 2 * REFUSED_PERCENT_MAX,
        "{count} of {} refused: {refused:#?}",
        STATEMENTS * 2
    );
}
