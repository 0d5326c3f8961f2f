//! Many clients at once.

use super::{metric, no_session_is_left, plain};
use predictsql_proxy::open_files;
use predictsql_proxy::wire::{OkPacket, command};
use predictsql_tests::{Proxy, Store, Wire, eventually};

const IDLE: usize = 1000;
const BUSY: usize = 200;
/// Statements of each busy session.
const STATEMENTS: usize = 20;
/// Threads that log the idle ones in.
const DOORS: usize = 4;

/// Right answers of one session, told apart from those of all others.
fn work(mut session: Wire, number: usize) {
    for statement in 0..STATEMENTS {
        let sql = format!("SELECT {number} * 1000 + {statement}, REPEAT('{number},', {statement})");
        let row = session.rows(&sql).remove(0);
        let sum = (number * 1000 + statement).to_string();
        let text = format!("{number},").repeat(statement);
        assert_eq!(row, [Some(sum), Some(text)]);
    }
    // The session is a session: it keeps what it was told.
    session.run(&format!("SET @mine = {number}"));
    assert_eq!(session.value("SELECT @mine"), Some(number.to_string()));
}

#[test]
fn a_thousand_idle_and_two_hundred_busy_clients_are_all_served() {
    open_files::raise_limit(IDLE + BUSY);
    let store = Store::start(&["--max-connections=1500"]);
    let proxy = Proxy::start(
        &store,
        &plain("connections_max = 1200\nconnect_timeout_ms = 60_000"),
    );
    let login = || proxy.root();
    let mut idle: Vec<Wire> = std::thread::scope(|scope| {
        let doors: Vec<_> = (0..DOORS)
            .map(|_| scope.spawn(|| (0..IDLE / DOORS).map(|_| login()).collect::<Vec<_>>()))
            .collect();
        let sessions = doors.into_iter().flat_map(|door| door.join().unwrap());
        sessions.collect()
    });
    std::thread::scope(|scope| {
        for number in 0..BUSY {
            scope.spawn(move || work(login(), number));
        }
    });
    assert!(metric(&proxy, "predictsql_sessions", "") >= IDLE as f64);
    for session in &mut idle {
        let answer = session.command(&[command::PING]).unwrap();
        assert_eq!(answer[0].payload[0], OkPacket::HEADER);
    }
    assert_eq!(
        metric(&proxy, "predictsql_sessions_opened_total", ""),
        (IDLE + BUSY) as f64
    );
    drop(idle);
    no_session_is_left(&proxy);
    eventually("all ends are counted", || {
        let ended = metric(&proxy, "predictsql_sessions_ended_total", "client_closed");
        (ended == (IDLE + BUSY) as f64).then_some(())
    });
}
