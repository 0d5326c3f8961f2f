//! Pass-through fidelity: answers through the proxy are, byte for byte, those of the store.
//!
//! Every script of the corpus runs twice, in a session with the store and in one through the proxy,
//! both sides from the same state, for each set of capabilities that clients use. Every packet of
//! every answer must be the same, header included. What differs by nature is left out of the
//! scripts or masked there: ids of connections, and the text of COM_STATISTICS.

mod scripts;
mod statements;
mod tape;

use predictsql_proxy::wire::{Capabilities, Greeting, command};
use predictsql_tests::wire::{Login, Packet};
use predictsql_tests::{Proxy, Settings, Store, Wire};
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use tape::{Tape, about, difference};

/// The two ends that are compared. Scripts change the same database, so one runs at a time.
struct Ends {
    store: Store,
    proxy: Proxy,
    turn: Mutex<()>,
}

fn ends() -> (&'static Ends, MutexGuard<'static, ()>) {
    static ENDS: OnceLock<Ends> = OnceLock::new();
    let ends = ENDS.get_or_init(|| {
        let store = Store::own();
        let proxy = Proxy::start(&store, &Settings::default());
        Ends {
            store,
            proxy,
            turn: Mutex::new(()),
        }
    });
    let turn = ends.turn.lock().unwrap_or_else(PoisonError::into_inner);
    (ends, turn)
}

/// What clients ask for: old and new connectors of MySQL, connectors of MariaDB.
fn capability_sets() -> [(&'static str, Capabilities); 4] {
    let base = Login::default().capabilities;
    let new = base
        .or(Capabilities::DEPRECATE_EOF)
        .or(Capabilities::SESSION_TRACK);
    let mariadb = Capabilities(new.0 & !Capabilities::LONG_PASSWORD.0)
        .or(Capabilities::MARIADB_EXTENDED_METADATA)
        .or(Capabilities::MARIADB_BULK);
    let mariadb_eof = Capabilities(mariadb.0 & !Capabilities::DEPRECATE_EOF.0);
    [
        ("EOF", base),
        ("DEPRECATE_EOF", new),
        ("MariaDB", mariadb),
        ("MariaDB, EOF", mariadb_eof),
    ]
}

/// A script and its name.
type Script<'a> = (String, Box<dyn Fn(&mut Tape) + 'a>);

/// Runs the scripts on both sides, each in a session of its own, and compares.
#[track_caller]
fn compare(capabilities: Capabilities, scripts: &[Script<'_>]) {
    let (ends, _turn) = ends();
    let side = |address| {
        reset(&mut ends.store.root());
        let run = |(_, script): &Script<'_>| {
            let mut tape = Tape::open(address, capabilities);
            script(&mut tape);
            tape.into_answers()
        };
        scripts.iter().map(run).collect::<Vec<_>>()
    };
    let direct = side(ends.store.address());
    let proxied = side(ends.proxy.address());
    for (((name, _), direct), proxied) in scripts.iter().zip(direct).zip(proxied) {
        assert!(!direct.is_empty(), "{name} asks nothing");
        assert_eq!(direct.len(), proxied.len(), "{name}: number of answers");
        for ((asked, a), (_, b)) in direct.iter().zip(&proxied) {
            assert!(a == b, "{name}, {asked}: {}", difference(a, b));
        }
    }
}

/// The state that each side starts from.
fn reset(root: &mut Wire) {
    for sql in statements::RESET {
        root.run(sql);
    }
}

/// A script that does `ask` with each statement of each group.
fn groups(set: &str, ask: fn(&mut Tape, &str)) -> Vec<Script<'static>> {
    let script = |(group, statements): &(&str, &'static [&'static str])| -> Script<'static> {
        let statements = *statements;
        let run = move |tape: &mut Tape| statements.iter().for_each(|sql| ask(tape, sql));
        (format!("{group} ({set})"), Box::new(run))
    };
    statements::GROUPS.iter().map(script).collect()
}

#[test]
fn statements_of_all_kinds() {
    let statements = statements::GROUPS
        .iter()
        .flat_map(|(_, statements)| *statements);
    let distinct: BTreeSet<_> = statements.collect();
    assert!(distinct.len() >= 120, "{}", distinct.len());
    for (set, capabilities) in capability_sets() {
        let ask = |tape: &mut Tape, sql: &str| {
            tape.query(sql);
        };
        compare(capabilities, &groups(set, ask));
    }
}

#[test]
fn the_same_statements_prepared() {
    for (set, capabilities) in capability_sets() {
        let ask = |tape: &mut Tape, sql: &str| {
            let id = tape.prepare(sql);
            if id > 0 {
                tape.execute(id, 0, &[]);
                tape.command(&about(command::STMT_CLOSE, id, &[]));
            }
        };
        compare(capabilities, &groups(set, ask));
    }
}

#[test]
fn commands_and_sequences_of_all_kinds() {
    for (set, capabilities) in capability_sets() {
        let script = |(name, run): &(&str, scripts::Run)| -> Script<'static> {
            (format!("{name} ({set})"), Box::new(*run))
        };
        let scripts: Vec<_> = scripts::SCRIPTS.iter().map(script).collect();
        compare(capabilities, &scripts);
    }
}

/// Only offered capabilities differ, and only those that the relay clears.
#[test]
fn the_greeting_is_the_stores_but_for_cleared_capabilities() {
    let (ends, _turn) = ends();
    let greeting = |address| {
        let wire = Wire::login(address, "root", "", None).unwrap();
        let Packet { seq, mut payload } = wire.handshake()[0].clone();
        let version = payload.iter().position(|&byte| byte == 0).unwrap() + 1;
        // Connection id and both parts of the nonce.
        payload[version..version + 12].fill(0);
        payload[version + 31..version + 43].fill(0);
        (seq, payload)
    };
    let (seq, mut direct) = greeting(ends.store.address());
    let (proxied_seq, proxied) = greeting(ends.proxy.address());
    assert_eq!(seq, proxied_seq);
    assert_ne!(direct, proxied, "nothing was cleared");
    Greeting::restrict(&mut direct, Capabilities::RELAYED).unwrap();
    assert_eq!(direct, proxied);
}
