//! Tests of the records of sessions and statements.

#![allow(clippy::unwrap_used)]
use super::*;
use crate::metrics::Metrics;
use predictsql_optimizer::LexMode;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio_util::sync::CancellationToken;

fn live() -> Arc<Live> {
    Arc::new(Live::new(Arc::new(Metrics::new())))
}

fn enter(live: &Arc<Live>, id: u32) -> (SessionGuard, CancellationToken) {
    let kill = CancellationToken::new();
    let (peer, leave) = ("1.2.3.4:5".to_owned(), CancellationToken::new());
    let guard = live.enter(id, b"ann", peer, Some(b""), kill.clone(), leave);
    (guard, kill)
}

#[test]
fn commands_are_counted_once_however_often_somebody_looks() {
    let live = live();
    let (session, _) = enter(&live, 7);
    session.note(Activity::Forwarding, 3);
    let _ = live.metrics_text();
    session.note(Activity::Idle, 5);
    let _ = live.metrics_text();
    assert_eq!(live.metrics().commands_forwarded.get(), 5);
    session.note(Activity::Idle, 6);
    drop(session);
    assert_eq!(live.metrics().commands_forwarded.get(), 6);
    assert_eq!(live.metrics().sessions.get(), 0);
    assert_eq!(live.metrics().sessions_opened.get(), 1);
    assert!(live.sessions().is_empty());
}

#[test]
fn kill_ends_only_the_session_that_is_named() {
    let live = live();
    let ((_one, kill_one), (_two, kill_two)) = (enter(&live, 1), enter(&live, 2));
    assert!(!live.kill(3));
    assert!(live.kill(2));
    assert!(kill_two.is_cancelled() && !kill_one.is_cancelled());
    assert!(!live.kill(2), "it is ending already");
    assert_eq!(live.metrics().sessions_killed.get(), 1);
}

#[test]
fn only_a_running_statement_is_interrupted() {
    let live = live();
    let ((one, kill_one), (two, kill_two)) = (enter(&live, 1), enter(&live, 2));
    live.interrupt(1, false);
    assert!(!kill_one.is_cancelled(), "the store ends it");
    let running = (
        one.begin("select", "a", LexMode::default()),
        two.begin("select", "b", LexMode::default()),
    );
    live.interrupt(1, true);
    assert!(running.0.cancel.is_cancelled() && !running.1.cancel.is_cancelled());
    assert!(!kill_one.is_cancelled());
    live.interrupt(2, false);
    assert!(running.1.cancel.is_cancelled() && kill_two.is_cancelled());
}

#[test]
fn a_statement_shows_no_literals_and_is_counted_when_it_ends() {
    let live = live();
    let (session, _) = enter(&live, 1);
    let running = session.begin("select", "SELECT ml.t(p) = 'secret'", LexMode::default());
    running.rows_sent.store(4, Relaxed);
    let seen = live.sessions().first().unwrap().statement().unwrap();
    assert_eq!(seen.masked_text(), "SELECT ml.t(p) = ?");
    assert_eq!(live.metrics().statements_running.get(), 1);
    drop(running);
    assert!(session.statement().is_none());
    assert_eq!(live.metrics().statements_running.get(), 0);
    assert_eq!(live.metrics().rows_sent.get(), 4);
    assert_eq!(live.metrics().statement_seconds.get_sample_count(), 1);
}
