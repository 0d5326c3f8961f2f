//! Statements that are told to end are not acknowledged with what was not evaluated: after KILL
//! QUERY, through the proxy and past it, and after time limits, in both protocols.
//!
//! The deterministic part uses what MariaDB does: a BENCHMARK that is interrupted is no error, and
//! a sub-query that comes after it in the same statement is NULL. A lock of the session tells when
//! the statement has come to it.

use mysql_async::prelude::Queryable;
use predictsql_tests::apparel;
use predictsql_tests::wire::SqlError;
use predictsql_tests::{Proxy, Settings, Store, Wire, eventually};
use std::sync::OnceLock;
use std::time::Duration;

use crate::differential::shop::model;

/// ER_QUERY_INTERRUPTED
const INTERRUPTED: u16 = 1317;
/// ER_STATEMENT_TIMEOUT
const TIMEOUT: u16 = 1969;

fn proxy() -> &'static Proxy {
    static MADE: OnceLock<Proxy> = OnceLock::new();
    MADE.get_or_init(|| {
        let settings = Settings {
            schema: "intr".to_owned(),
            ..Settings::default()
        };
        let proxy = Proxy::start(Store::shared(), &settings);
        let mut root = proxy.root();
        root.run(&apparel::create_task());
        root.run(&model("apparel_nano").statement());
        proxy
    })
}

/// A database of this name, with photos, and tables to change.
fn create(database: &str) -> Wire {
    let mut session = proxy().root();
    session.run(&format!("CREATE DATABASE {database}"));
    session.run(&format!("USE {database}"));
    for sql in [
        "CREATE TABLE p (id INT PRIMARY KEY, photo VARCHAR(100))",
        "INSERT INTO p SELECT seq, CONCAT('photos/', LPAD(seq, 5, '0'), '.png') FROM seq_1_to_60",
        "CREATE TABLE u (a INT, k VARCHAR(100))",
        "CREATE TABLE m (id INT PRIMARY KEY, a INT, k VARCHAR(100)) ENGINE=MyISAM",
        "INSERT INTO m VALUES (1, 5, 'old'), (2, 5, 'old'), (3, 5, 'old')",
        "CREATE TABLE t ENGINE=InnoDB AS SELECT * FROM m",
    ] {
        session.run(sql);
    }
    session
}

/// The prediction of one row, as a query.
const QUERY: &str = "(SELECT intr.apparel(photo) FROM p WHERE id = 7)";

/// Statements that wait before they evaluate [`QUERY`]. In each the store itself goes on with
/// NULL, and most of them it acknowledges.
const ASSIGNING: [&str; 4] = [
    "SET @s = WAIT, @k = QUERY",
    "SET @s = WAIT, @k = CONCAT(QUERY, '')",
    "SET STATEMENT sort_buffer_size = 100000 FOR SET @s = WAIT, @k = QUERY",
    "EXECUTE IMMEDIATE \"SET @s = WAIT, @k = QUERY\"",
];
const STORING: [&str; 8] = [
    "INSERT INTO u VALUES (WAIT, QUERY)",
    "INSERT INTO u VALUES (1, 'x'), (WAIT, CONCAT(QUERY, ''))",
    "INSERT INTO u SET a = WAIT, k = QUERY",
    "REPLACE INTO u (a, k) VALUES (WAIT, QUERY)",
    "INSERT INTO u SELECT WAIT, QUERY",
    "INSERT INTO u VALUES (WAIT + LENGTH(intr.apparel('photos/00001.png')), (SELECT MAX(photo) FROM p))",
    "UPDATE m SET a = WAIT, k = QUERY WHERE id = 1",
    "CREATE TABLE made AS SELECT WAIT AS a, QUERY AS k",
];
/// Of these the proxy knows only by the KILL that it sees, or by its own clock.
const ASKING: [&str; 6] = [
    "SELECT WAIT, QUERY",
    "SELECT WAIT, QUERY AS k, COUNT(*) FROM p WHERE id = 1",
    "SELECT WAIT, QUERY INTO @a, @b",
    "VALUES (WAIT, QUERY)",
    "DO WAIT, QUERY",
    "ANALYZE SELECT WAIT, QUERY",
];

/// What tells whether a statement has left anything.
const STATE: &str = "SELECT @s, @k, (SELECT COUNT(*) FROM u), (SELECT GROUP_CONCAT(a, k) FROM m), \
     (SELECT GROUP_CONCAT(a, k) FROM t), (SELECT COUNT(*) FROM information_schema.tables \
     WHERE table_schema = DATABASE() AND table_name = 'made')";

/// Ends the statement of connection `id`, which works in `database`, once it waits.
fn kill_once_it_waits(killer: &mut Wire, id: u32, database: &str) {
    let mut root = Store::shared().root();
    let waits = format!("SELECT 1 FROM DUAL WHERE IS_USED_LOCK('{database}') = {id}");
    eventually("the statement waits", || root.value(&waits));
    killer.run(&format!("KILL QUERY {id}"));
}

#[track_caller]
fn assert_interrupted(answer: Result<(), SqlError>, code: u16, sql: &str) {
    let error = answer.expect_err(sql);
    assert_eq!(
        (error.code, &*error.sqlstate),
        (code, "70100"),
        "{sql}: {error:?}"
    );
}

/// Statements of a session in `database`.
fn statements(groups: &[&[&str]], database: &str) -> Vec<String> {
    let wait = format!("GET_LOCK('{database}', 0) + BENCHMARK(1000000000000000, 1)");
    let all = groups.iter().flat_map(|group| group.iter());
    all.map(|sql| sql.replace("QUERY", QUERY).replace("WAIT", &wait))
        .collect()
}

/// Kills each by `killer`, and holds that it is refused and has left nothing.
fn check_killed(database: &'static str, killer: impl Fn() -> Wire, groups: &[&[&str]]) {
    let mut session = create(database);
    session.run("SET @s = 'old', @k = 'old'");
    let before = session.rows(STATE);
    for sql in &statements(groups, database) {
        let (id, mut by) = (session.connection_id(), killer());
        let killer = std::thread::spawn(move || kill_once_it_waits(&mut by, id, database));
        let answer = session.query(sql).map(drop);
        killer.join().unwrap();
        assert_interrupted(answer, INTERRUPTED, sql);
        let told = session.rows("SHOW ERRORS");
        assert_eq!(told[0][1].as_deref(), Some("1317"), "{sql}: {told:?}");
        session.run("DO RELEASE_ALL_LOCKS()");
        assert_eq!(session.rows(STATE), before, "{sql}");
        assert!(session.value(&format!("SELECT {QUERY}")).is_some());
    }
}

#[test]
fn a_kill_through_the_proxy_is_not_answered_with_ok() {
    let all = [&ASSIGNING[..], &STORING[..], &ASKING[..]];
    check_killed("intr_kill", || proxy().root(), &all);
}

#[test]
fn a_kill_past_the_proxy_stores_and_assigns_nothing() {
    let all = [&ASSIGNING[..], &STORING[..]];
    check_killed("intr_past", || Store::shared().root(), &all);
}

#[test]
fn a_time_limit_is_not_answered_with_ok() {
    let mut session = create("intr_time");
    session.run("SET @s = 'old', @k = 'old'");
    let before = session.rows(STATE);
    for sql in statements(&[&ASSIGNING, &STORING, &ASKING], "intr_time") {
        session.run("SET max_statement_time = 1");
        let answer = session.query(&sql).map(drop);
        session.run("SET max_statement_time = 0");
        assert_interrupted(answer, TIMEOUT, &sql);
        session.run("DO RELEASE_ALL_LOCKS()");
        assert_eq!(session.rows(STATE), before, "{sql}");
    }
}

#[tokio::test]
async fn statements_of_the_binary_protocol_are_not_answered_with_ok() {
    const DATABASE: &str = "intr_binary";
    type State = (String, String, u64, String, String, u64);
    drop(create(DATABASE));
    let opts = proxy().opts().db_name(Some(DATABASE));
    let mut session = mysql_async::Conn::new(opts).await.unwrap();
    session
        .query_drop("SET @s = 'old', @k = 'old'")
        .await
        .unwrap();
    let before: Option<State> = session.exec_first(STATE, ()).await.unwrap();
    for sql in statements(&[&ASSIGNING[..2], &STORING, &ASKING], DATABASE) {
        let id = session.id();
        let killer = std::thread::spawn(move || {
            kill_once_it_waits(&mut proxy().root(), id, DATABASE);
        });
        let answer = session.exec_drop(&*sql, ()).await;
        killer.join().unwrap();
        match answer {
            Err(mysql_async::Error::Server(error)) => {
                assert_eq!(error.code, INTERRUPTED, "{sql}: {error:?}");
            }
            other => panic!("{sql}: {other:?}"),
        }
        session.query_drop("DO RELEASE_ALL_LOCKS()").await.unwrap();
        let after: Option<State> = session.exec_first(STATE, ()).await.unwrap();
        assert_eq!(after, before, "{sql}");
    }
}

/// Random numbers for delays: a test that fails is one that must hold for all of them.
struct Delays(u64);

impl Delays {
    fn next(&mut self, max: Duration) -> Duration {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        max.mul_f64((self.0 >> 33) as f64 / f64::from(1_u32 << 31))
    }
}

/// KILLs at any moment: what is acknowledged is right, and what is refused has left nothing.
#[test]
fn kills_at_any_moment_leave_all_or_nothing() {
    const KILLS: usize = 300;
    let mut session = create("intr_any");
    let right = session.value(&format!("SELECT {QUERY}")).unwrap();
    let stored = |table: &str| format!("SELECT GROUP_CONCAT(k) FROM {table}");
    let t_new = vec![right.clone(); 3].join(",");
    // A statement, what shows its effect, and that before and after it.
    let cases: Vec<(String, String, Option<String>, Option<String>)> = [
        ("SET @k = QUERY", "SELECT @k".to_owned(), "old", &right),
        (
            "SET @x = 1, @k = CONCAT(QUERY, '')",
            "SELECT @k".to_owned(),
            "old",
            &right,
        ),
        ("INSERT INTO u SELECT 1, QUERY", stored("u"), "", &right),
        ("INSERT INTO u VALUES (1, QUERY)", stored("u"), "", &right),
        ("UPDATE t SET k = QUERY", stored("t"), "old,old,old", &t_new),
        (
            "UPDATE t SET k = intr.apparel('photos/00007.png') WHERE id < 9",
            stored("t"),
            "old,old,old",
            &t_new,
        ),
    ]
    .into_iter()
    .map(|(sql, effect, before, after)| {
        let before = Some(before.to_owned()).filter(|before| !before.is_empty());
        (
            sql.replace("QUERY", QUERY),
            effect,
            before,
            Some(after.clone()),
        )
    })
    .collect();
    let asking = [
        format!("SELECT {QUERY}"),
        "SELECT MAX(intr.apparel(photo)) FROM p WHERE id = 7".to_owned(),
        "SELECT intr.apparel(photo) FROM p WHERE id = 7".to_owned(),
        format!("VALUES ({QUERY})"),
    ];
    let mut delays = Delays(7);
    let mut killers = [proxy().root(), Store::shared().root()];
    for round in 0..KILLS {
        let reset = "SET @k = 'old'; DELETE FROM u; UPDATE t SET k = 'old'";
        session.query(reset).unwrap();
        let case = cases.get(round % (cases.len() + asking.len()));
        let sql = match case {
            Some((sql, ..)) => sql,
            None => &asking[round % asking.len()],
        };
        // What asks only is told of a KILL by the proxy.
        let past = case.is_some() && round % 3 == 0;
        let (id, delay) = (
            session.connection_id(),
            delays.next(Duration::from_millis(40)),
        );
        let killer = &mut killers[usize::from(past)];
        let answer = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(delay);
                killer.run(&format!("KILL QUERY {id}"));
            });
            session.query(sql)
        });
        // One that came too late ends what comes next.
        while session.query("DO 0").is_err() {}
        if let Err(error) = &answer {
            assert_eq!(error.code, INTERRUPTED, "{sql}: {error:?}");
        }
        match case {
            Some((_, effect, before, after)) => {
                let expected = if answer.is_ok() { after } else { before };
                assert_eq!(&session.value(effect), expected, "{sql}: {answer:?}");
            }
            None => {
                let rows = answer.map(|mut answers| answers.remove(0).rows);
                let cell = rows.map(|mut rows| rows.remove(0).remove(0));
                assert!(
                    cell.is_err() || cell == Ok(Some(right.clone())),
                    "{sql}: {cell:?}"
                );
            }
        }
    }
}
