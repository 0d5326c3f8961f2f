//! Many random statements, others in each run, in several sessions at a time. What fails is made
//! shorter and saved, and later runs begin with it, until it fails no more.
//!
//! `PREDICTSQL_TEST_SEED` repeats a run, `PREDICTSQL_TEST_STATEMENTS` makes it longer or shorter,
//! and `PREDICTSQL_TEST_ONLY` runs the one group of statements that a saved failure names.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use predictsql_tests::process::checkout;
use predictsql_tests::{Store, Wire};

use super::case::Case;
use super::fixture::made;
use super::generator::choices::{Choices, seed_of, shrink, usual_seed};
use super::generator::{Generator, Kind, Statement};
use super::pair::Pair;
use super::schemas::{LANE, NAIVE, in_schema};
use super::tally::Tally;
use super::verdict::Verdict;
use super::{changes, shop};

const STATEMENTS: usize = 5_000;
/// Warnings that a session keeps of a statement.
const WARNINGS_KEPT: usize = 64;
/// Code of the warning about an image that cannot be read.
const UNREADABLE_INPUT: &str = "1366";
/// Groups that have failed in earlier runs, below the folder of what is built:
/// a seed and a number a line.
const FAILED_GROUPS: &str = "differential-failed-groups";
/// What the run was, below the same folder.
const SUMMARY: &str = "differential-summary";
/// Of 100 answers, those that may be refused with 1235.
const REFUSED_PERCENT_MAX: usize = 3;
/// Statements of one session: they share its settings and its plan.
const GROUP: usize = 20;
const WORKERS: usize = 4;
/// Failures after which a run ends.
const FAILURES_MAX: usize = 5;
/// Statements that shortening one failure may run.
const SHRINK_TRIES: usize = 500;
/// Mostly models run: other tests look at what is kept.
const CACHES: [&str; 4] = ["NULL", "'on'", "NULL", "NULL"];
const PLANS: [&str; 5] = ["NULL", "'temporary'", "'inline'", "NULL", "'inline'"];

/// A session's worth of statements.
#[derive(Debug, Clone)]
struct Group {
    number: usize,
    plan: &'static str,
    cache: &'static str,
    settings: Vec<String>,
}

impl Group {
    fn new(seed: u64, number: usize) -> Self {
        let settings = Choices::seeded(seed_of(seed, number) ^ 1);
        Self {
            number,
            plan: PLANS[number % PLANS.len()],
            cache: CACHES[number % CACHES.len()],
            settings: Generator::new(settings).settings(),
        }
    }

    fn statements(&self) -> Range<usize> {
        self.number * GROUP..(self.number + 1) * GROUP
    }

    fn open(&self, worker: usize) -> Pair {
        let mut pair = Pair::using(&format!("rl{worker}"), &format!("rn{worker}"));
        let Self { plan, cache, .. } = self;
        pair.lane
            .run(&format!("SET @ml_plan = {plan}, @ml_cache = {cache}"));
        for setting in &self.settings {
            pair.both(setting);
        }
        pair.both("DROP TABLE IF EXISTS made");
        pair.both("REPLACE INTO w SELECT * FROM p");
        pair.both("DELETE FROM w WHERE id NOT IN (SELECT id FROM p)");
        pair
    }
}

/// A statement that was answered in another way.
struct Failure {
    group: Group,
    number: usize,
    statement: Statement,
    difference: String,
    /// It fails in a new session too; else it takes what came before it in its group.
    alone: bool,
}

impl Failure {
    /// For people, and for the client `mariadb`.
    fn text(&self, seed: u64) -> String {
        let Self {
            group,
            number,
            statement,
            difference,
            alone,
        } = self;
        let mut text = format!(
            "-- statement {number} of seed {seed}, group {}\n-- PREDICTSQL_TEST_SEED={seed} PREDICTSQL_TEST_ONLY={} \
             cargo test -p predictsql-tests --test e2e -- random_statements\n-- {}\nSET @ml_plan = {}, @ml_cache = {};\n",
            group.number,
            group.number,
            if *alone {
                "fails alone"
            } else {
                "fails only after what came before it"
            },
            group.plan,
            group.cache
        );
        let begin = statement.begin.map(str::to_owned);
        for before in group.settings.iter().chain(&begin) {
            writeln!(text, "{before};").unwrap();
        }
        let sql = statement.case.inlined();
        writeln!(
            text,
            "-- {:?}, parameters {:?}",
            statement.kind, statement.case.params
        )
        .unwrap();
        writeln!(text, "{};", in_schema(&sql, LANE)).unwrap();
        writeln!(text, "-- {};", in_schema(&sql, NAIVE)).unwrap();
        for line in difference.lines() {
            writeln!(text, "-- {line}").unwrap();
        }
        text
    }

    fn save(&self, seed: u64) -> PathBuf {
        let path = saved(&format!("differential-failure-{seed}-{}.sql", self.number));
        std::fs::write(&path, self.text(seed)).unwrap();
        path
    }
}

/// The path of what later runs and people look at.
fn saved(name: &str) -> PathBuf {
    checkout().join("target").join(name)
}

/// Groups that failed in earlier runs, as (seed, number).
fn failed_before() -> BTreeSet<(u64, usize)> {
    let lines = std::fs::read_to_string(saved(FAILED_GROUPS)).unwrap_or_default();
    let group = |line: &str| {
        let (seed, number) = line.split_once(' ')?;
        Some((seed.parse().ok()?, number.parse().ok()?))
    };
    lines.lines().filter_map(group).collect()
}

fn save_failed(groups: &BTreeSet<(u64, usize)>) {
    let line = |(seed, number): &(u64, usize)| format!("{seed} {number}\n");
    let lines: String = groups.iter().map(line).collect();
    std::fs::write(saved(FAILED_GROUPS), lines).unwrap();
}

/// Runs a statement as its kind is to be compared.
fn run(pair: &mut Pair, plan: &str, statement: &Statement) -> Vec<Verdict> {
    if let Some(begin) = statement.begin {
        pair.both(begin);
    }
    let case = &statement.case;
    let verdicts = match statement.kind {
        Kind::Read => [false, true]
            .map(|binary| match pair.read(case, binary) {
                // Without a table, those of the statement before stay.
                Verdict::Same if has_own_warnings(case) => warnings(pair, plan != "NULL"),
                verdict => verdict,
            })
            .into(),
        Kind::Change { binary } => {
            // NULL keeps the type that a variable had.
            pair.both("SET @v = '', @u = ''");
            pair.both("SET @v = NULL, @u = NULL");
            vec![changes::compare(pair, case, binary)]
        }
    };
    if verdicts.iter().any(|v| matches!(v, Verdict::Different(_))) {
        // The session is given up.
        return verdicts;
    }
    if statement.begin.is_some() {
        pair.both("ROLLBACK");
    }
    if let Kind::Change { .. } = statement.kind {
        if case.sql.contains("made") {
            pair.both("DROP TABLE IF EXISTS made");
        }
        if statement.begin.is_none() && !case.sql.starts_with("S") {
            pair.both("DELETE FROM w");
            pair.both("INSERT INTO w SELECT * FROM p");
        }
    }
    verdicts
}

/// Whether warnings compare: without a table, those of the statement before stay; and of which
/// rows the store evaluates the columns of a query within another is up to its plan.
fn has_own_warnings(case: &Case) -> bool {
    let sql = &case.sql;
    sql.contains("FROM") && !sql.contains("FROM DUAL") && sql.matches("SELECT").count() == 1
}

/// Compares the kinds of the warnings that the last query gave, but for what only the lane says of
/// images. How many there are of a kind depends on how often the store evaluates an expression,
/// and without rows whether it does at all; in a stream plan it evaluates some once a class, of
/// which the session is not told.
fn warnings(pair: &mut Pair, forced: bool) -> Verdict {
    let kinds = |session: &mut Wire| {
        let warnings = session.rows("SHOW WARNINGS");
        let kinds = warnings.iter().map(|row| (row[0].clone(), row[1].clone()));
        (warnings.len(), kinds.collect::<BTreeSet<_>>())
    };
    let ((kept, mut found), (_, expected)) = (kinds(&mut pair.lane), kinds(&mut pair.naive));
    found.retain(|(_, code)| code.as_deref() != Some(UNREADABLE_INPUT));
    let same = match forced && pair.has_rows && kept < WARNINGS_KEPT {
        true => found == expected,
        false => found.is_subset(&expected),
    };
    match same {
        true => Verdict::Same,
        false => Verdict::Different(format!("warnings {found:?}, expected {expected:?}")),
    }
}

fn statement(choices: Choices) -> (Statement, Vec<usize>) {
    let mut generator = Generator::new(choices);
    let statement = generator.statement();
    (statement, generator.made())
}

fn difference(verdicts: Vec<Verdict>) -> Option<String> {
    verdicts.into_iter().find_map(|verdict| match verdict {
        Verdict::Different(difference) => Some(difference),
        _ => None,
    })
}

/// The failure, in a statement that is as short as can be found.
fn shortened(group: Group, worker: usize, number: usize, seed: u64, first: String) -> Failure {
    let (whole, made) = statement(Choices::seeded(seed_of(seed, number)));
    let mut best = Failure {
        group,
        number,
        statement: whole,
        difference: first,
        alone: false,
    };
    let group = best.group.clone();
    let mut fails = |choices: &[usize]| {
        let (statement, made) = statement(Choices::given(choices.to_vec()));
        let mut pair = group.open(worker);
        let difference = difference(run(&mut pair, group.plan, &statement))?;
        best.alone = true;
        (best.statement, best.difference) = (statement, difference);
        Some(made)
    };
    if let Some(made) = fails(&made) {
        shrink(made, SHRINK_TRIES, fails);
    }
    best
}

/// What a run has found.
#[derive(Default)]
struct Found {
    failures: Vec<String>,
    failed_groups: BTreeSet<(u64, usize)>,
}

/// What one worker finds, until the groups are used up.
fn work(worker: usize, groups: &dyn Fn() -> Option<(u64, usize)>, failed: &Mutex<Found>) -> Tally {
    let mut tally = Tally::default();
    while let Some((seed, number)) = groups() {
        let group = Group::new(seed, number);
        let mut pair = group.open(worker);
        for number in group.statements() {
            if failed.lock().unwrap().failures.len() >= setting("FAILURES").unwrap_or(FAILURES_MAX)
            {
                return tally;
            }
            let (statement, _) = statement(Choices::seeded(seed_of(seed, number)));
            let verdicts = run(&mut pair, group.plan, &statement);
            for verdict in &verdicts {
                tally.count(verdict);
                if let Verdict::Lenient = verdict {
                    println!("lenient {:?}: {}", group.settings, statement.case.sql);
                }
                if let Verdict::Refused(reason) = verdict {
                    println!(
                        "refused {}: {}\n    {reason}",
                        group.plan, statement.case.sql
                    );
                }
            }
            if let Some(difference) = difference(verdicts) {
                drop(pair);
                let failure = shortened(group.clone(), worker, number, seed, difference);
                let path = failure.save(seed);
                let text = format!("{}\n{}", path.display(), failure.text(seed));
                let mut found = failed.lock().unwrap();
                found.failures.push(text);
                found.failed_groups.insert((seed, group.number));
                drop(found);
                pair = group.open(worker);
            }
        }
    }
    tally
}

fn create_tables(worker: usize) {
    let mut store = Store::shared().root();
    for side in ["l", "n"] {
        let database = format!("r{side}{worker}");
        made().1.create_tables(&mut store, &database, shop::SMALL);
        store.run(&format!("CREATE TABLE {database}.w LIKE {database}.p"));
        store.run(&format!(
            "INSERT INTO {database}.w SELECT * FROM {database}.p"
        ));
        store.run(&format!(
            "CREATE VIEW {database}.shown AS SELECT * FROM {database}.p WHERE id % 4"
        ));
    }
    let mut pair = Pair::using(&format!("rl{worker}"), &format!("rn{worker}"));
    for view in [
        "CREATE VIEW seen AS SELECT p.*, ml.apparel(photo) AS kind FROM p",
        "CREATE VIEW above AS SELECT s.* FROM seen AS s WHERE s.price < 80 OR s.kind = 'Bag'",
    ] {
        pair.lane.run(&in_schema(view, LANE));
        pair.naive.run(&in_schema(view, NAIVE));
    }
}

fn setting<T: std::str::FromStr>(name: &str) -> Option<T> {
    let value = std::env::var(format!("PREDICTSQL_TEST_{name}")).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("PREDICTSQL_TEST_{name}={value}")),
    )
}

#[test]
fn random_statements_answer_as_the_naive_evaluation_does_or_are_refused() {
    let seed = setting("SEED").unwrap_or_else(usual_seed);
    let statements = setting("STATEMENTS").unwrap_or(STATEMENTS);
    let only: Option<usize> = setting("ONLY");
    println!("random statements: PREDICTSQL_TEST_SEED={seed} repeats them");
    let replayed = match only {
        Some(_) => BTreeSet::new(),
        None => failed_before(),
    };
    let of_seed = only.map_or(0..statements.div_ceil(GROUP), |only| only..only + 1);
    let numbered = of_seed.map(|number| (seed, number));
    let groups: Vec<_> = replayed.iter().copied().chain(numbered).collect();
    let next = AtomicUsize::new(0);
    let next_group = || groups.get(next.fetch_add(1, Ordering::Relaxed)).copied();
    (0..WORKERS).for_each(create_tables);
    let failed = Mutex::new(Found::default());
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        let worker = |n| {
            scope.spawn({
                let (groups, failed) = (&next_group, &failed);
                move || work(n, groups, failed)
            })
        };
        let workers: Vec<_> = (0..WORKERS).map(worker).collect();
        workers
            .into_iter()
            .for_each(|worker| tally.add(worker.join().unwrap()));
    });
    let found = failed.into_inner().unwrap();
    if only.is_none() {
        save_failed(&found.failed_groups);
    }
    let summary = format!(
        "differential: {} random statements of seed {seed}, {} groups of earlier failures: {} answers compared, {}",
        statements,
        replayed.len(),
        tally.compared(),
        tally.brief()
    );
    std::fs::write(saved(SUMMARY), format!("{summary}\n")).unwrap();
    println!("{summary}\n{tally}");
    assert!(
        found.failures.is_empty(),
        "{} differ:\n{}",
        found.failures.len(),
        found.failures.join("\n")
    );
    assert!(
        tally.refusals() * 100 <= tally.answers() * REFUSED_PERCENT_MAX,
        "too many are refused: {tally}"
    );
}
