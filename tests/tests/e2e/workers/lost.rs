//! Workers that are killed, stopped, drained and started again in the middle of queries.

use std::sync::atomic::{AtomicBool, Ordering};

use predictsql_tests::{Proxy, Wire, Worker, apparel, eventually};
use rustix::process::Signal;

use super::{proxy_of, workers};

/// A question over all photos, without kept outputs.
struct Question {
    sql: String,
    expected: Vec<Vec<Option<String>>>,
}

/// A proxy with workers, a session, and a question.
fn asked(schema: &str, workers: &[Worker], more: &str) -> (Proxy, Wire, Question) {
    let proxy = proxy_of(schema, workers, more);
    let mut session = proxy.root();
    apparel::create_zoo(&mut session, |name| {
        matches!(name, "apparel_nano" | "apparel_micro")
    });
    apparel::create_shop(&mut session, &format!("{schema}_shop"));
    session.run("SET @ml_cache = 'off'");
    let sql = format!(
        "SELECT /*+ ML(strategy = all) */ id, {schema}.apparel(photo) FROM {schema}_shop.products ORDER BY id"
    );
    let expected = session.rows(&sql);
    assert_eq!(expected.len(), apparel::PHOTOS);
    let question = Question { sql, expected };
    (proxy, session, question)
}

impl Question {
    #[track_caller]
    fn ask(&self, session: &mut Wire) {
        let found = session.rows(&self.sql);
        assert!(found == self.expected, "an answer differs");
    }
}

/// Does something to workers while questions are asked, `rounds` times.
fn beside(
    session: &mut Wire,
    question: &Question,
    rounds: usize,
    mut disturb: impl FnMut(usize) + Send,
) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let done = &done;
        scope.spawn(move || {
            (0..rounds).for_each(&mut disturb);
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) {
            question.ask(session);
        }
    });
    question.ask(session);
}

#[test]
fn killed_workers_lose_and_double_nothing() {
    let workers = workers(2);
    let (_proxy, mut session, question) = asked("workers_killed", &workers, "");
    beside(&mut session, &question, 12, |round| {
        let worker = &workers[round % 2];
        worker.signal(Signal::KILL);
        worker.wait();
        worker.restart();
    });
    assert_eq!(session.rows("SHOW WARNINGS"), Vec::<Vec<_>>::new());
}

#[test]
fn a_worker_that_stops_in_order_answers_what_it_has() {
    let workers = workers(2);
    let (_proxy, mut session, question) = asked("workers_drained", &workers, "");
    beside(&mut session, &question, 4, |round| {
        let worker = &workers[round % 2];
        worker.signal(Signal::TERM);
        assert!(worker.wait().success());
        let log = worker.log();
        assert!(!log.contains("a request ended without an answer"), "{log}");
        worker.restart();
    });
}

#[test]
fn a_worker_that_hangs_is_given_up() {
    let workers = workers(2);
    let (proxy, mut session, question) = asked("workers_hung", &workers, "");
    workers[0].signal(Signal::STOP);
    question.ask(&mut session);
    let given_up = format!("{}", workers[0].address());
    let is_given_up = |log: String| {
        log.lines()
            .any(|line| line.contains("worker given up") && line.contains(&given_up))
    };
    assert!(is_given_up(proxy.log()));
    workers[0].signal(Signal::CONT);
    workers[1].signal(Signal::KILL);
    workers[1].wait();
    question.ask(&mut session);
}

#[test]
fn without_workers_there_is_one_clear_error() {
    let workers = workers(1);
    let more = "worker_wait_seconds_max = 1\n";
    let (proxy, mut session, question) = asked("workers_none", &workers, more);
    workers[0].signal(Signal::KILL);
    workers[0].wait();
    let error = session.error(&question.sql);
    assert_eq!(
        (error.code, &error.sqlstate[..]),
        (1105, "HY000"),
        "{error:?}"
    );
    for said in [
        "no worker",
        "worker_wait_seconds_max",
        &workers[0].address().to_string(),
    ] {
        assert!(error.message.contains(said), "{said}: {}", error.message);
    }
    // Nothing is left of it, and the session goes on.
    assert_eq!(session.value("SELECT 1"), Some("1".to_owned()));
    eventually("no chunk is under way", || {
        (proxy.metric("predictsql_executor_chunks_in_flight") == 0).then_some(())
    });
    workers[0].restart();
    question.ask(&mut session);
}

#[test]
fn a_query_that_is_killed_ends_its_work_at_the_workers() {
    let workers = workers(1);
    let (proxy, mut session, question) = asked("workers_cancelled", &workers, "");
    // It waits for a worker that does nothing.
    workers[0].signal(Signal::STOP);
    let id = session.connection_id();
    let mut other = proxy.root();
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| session.error(&question.sql));
        eventually("the query runs", || {
            (proxy.metric("predictsql_statements_running") > 0).then_some(())
        });
        other.run(&format!("KILL QUERY {id}"));
        assert_eq!(asking.join().unwrap().code, 1317);
    });
    workers[0].signal(Signal::CONT);
    eventually("the worker has no request left", || {
        (workers[0].metric("predictsql_worker_requests") == 0).then_some(())
    });
    session.run("SET max_statement_time = 0.001");
    assert_eq!(session.error(&question.sql).code, 1969);
    session.run("SET max_statement_time = 0");
    question.ask(&mut session);
}
