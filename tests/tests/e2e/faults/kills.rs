//! Statements with predictions, prepared and by other routes, under KILL QUERY: each answer is
//! whole and right, or ends in an error where the protocol lets one in;
//! afterwards the connection works.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;

use predictsql_proxy::wire::{ErrPacket, OkPacket, StatusFlags};
use predictsql_tests::wire::Packet;
use predictsql_tests::{Proxy, Settings, Store, Wire, apparel};

use crate::differential::answer::{self, Param};
use crate::fidelity::encode::{Parameter, close, execute, fetch, query};

const READ_ONLY_CURSOR: u8 = 1;
const INTERRUPTED: u16 = 1317;
/// Answers that are to be interrupted for each statement and way, of so many at most: how many
/// others there are is chance.
const INTERRUPTIONS: usize = 12;
/// Where a KILL has to meet one of many questions.
const MANY_INTERRUPTIONS: usize = 100;
const ASKED_MAX: usize = 100_000;

/// A proxy that keeps no outputs, so that each statement takes its time.
fn proxy() -> &'static Proxy {
    static MADE: OnceLock<Proxy> = OnceLock::new();
    MADE.get_or_init(|| {
        let settings = Settings {
            schema: "bk".to_owned(),
            tables: "[cache]\nmode = 'off'".to_owned(),
            ..Settings::default()
        };
        let proxy = Proxy::start(Store::shared(), &settings);
        let mut root = proxy.root();
        apparel::create_zoo(&mut root, |name| name == "apparel_nano");
        apparel::create_shop(&mut root, "bk_shop");
        root.run("USE bk_shop");
        root.run("CREATE VIEW shown AS SELECT id, photo, bk.apparel(photo) AS kind FROM products");
        root.run("CREATE VIEW hidden AS SELECT id, bk.apparel(photo) AS kind FROM products");
        proxy
    })
}

/// Ends statements of the session again and again, by the proxy or at the store,
/// until it is told to stop.
fn with_killer<T>(id: u32, by_proxy: bool, act: impl FnOnce(&AtomicUsize) -> T) -> T {
    let (stop, kills) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut killer = if by_proxy {
                proxy().root()
            } else {
                Store::shared().root()
            };
            while !stop.load(Relaxed) {
                killer.run(&format!("KILL QUERY {id}"));
                kills.fetch_add(1, Relaxed);
                // Another moment of the statement each time, and now and then none at all.
                thread::yield_now();
                killer.run(&format!(
                    "SELECT {}",
                    "1 + ".repeat(kills.load(Relaxed) * 37 % 400) + "0"
                ));
            }
        });
        // Whatever happens, the killer is to end.
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| act(&kills)));
        stop.store(true, Relaxed);
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The packets of an answer are numbered in turn, and only the last may be an error, which has the
/// code of a KILL. Whether it is one.
#[track_caller]
fn is_interrupted(answer: &[Packet]) -> bool {
    for (packet, place) in answer.iter().zip(1_usize..) {
        assert_eq!(usize::from(packet.seq), place % 256, "{answer:?}");
    }
    let (last, before) = answer.split_last().unwrap();
    // Rows of the binary protocol begin with 0, those of the text protocol here with no 0xFF.
    assert!(
        before
            .iter()
            .all(|packet| !ErrPacket::is_err(&packet.payload)),
        "{answer:?}"
    );
    if !ErrPacket::is_err(&last.payload) {
        return false;
    }
    assert_eq!(
        ErrPacket::parse(&last.payload).unwrap().code,
        INTERRUPTED,
        "{last:?}"
    );
    true
}

/// A KILL that came late may meet one statement more.
#[track_caller]
fn assert_works(session: &mut Wire) {
    if session.query("SELECT 'late'").is_err() {
        assert_eq!(session.value("SELECT 'late'").as_deref(), Some("late"));
    }
    assert_eq!(session.value("SELECT 'works'").as_deref(), Some("works"));
    let label = "SELECT bk.apparel(photo) FROM bk_shop.products WHERE id = 1";
    assert_eq!(session.value(label).as_deref(), Some("Ankle boot"));
}

const STATEMENTS: [&str; 4] = [
    "SELECT id, bk.apparel(photo), photo FROM products WHERE id <= ?",
    "SELECT id FROM products WHERE bk.apparel(photo) IN ('Bag', 'Sneaker') AND id <= ?",
    "SELECT bk.apparel(photo) AS k, COUNT(*) FROM products WHERE id <= ? GROUP BY k ORDER BY k",
    "SELECT kind, MIN(id) FROM shown WHERE id <= ? GROUP BY kind ORDER BY kind",
];

/// Sends a command again and again while it is killed.
#[track_caller]
fn assert_whole_or_interrupted(
    session: &mut Wire,
    ask: &[u8],
    by_proxy: bool,
    interruptions: usize,
) {
    let sql = ask.escape_ascii();
    // What is right is known from an undisturbed run.
    let right = session.command(ask).unwrap();
    assert!(!is_interrupted(&right), "{sql}");
    let connection = session.connection_id();
    with_killer(connection, by_proxy, |_| {
        let mut interrupted = 0;
        for asked in 0.. {
            if interrupted == interruptions {
                break;
            }
            assert!(asked < ASKED_MAX, "no KILL interrupts {sql}");
            let told = session.command(ask).unwrap();
            if is_interrupted(&told) {
                interrupted += 1;
                let rows = &told[..told.len() - 1];
                assert!(right.starts_with(rows), "{sql}: {told:?}");
            } else {
                assert_eq!(told, right, "{sql}");
            }
        }
    });
    assert_works(session);
    assert_eq!(session.command(ask).unwrap(), right, "{sql}");
}

#[test]
fn prepared_selects_are_answered_whole_or_interrupted() {
    for sql in STATEMENTS {
        for (by_proxy, flags) in [(true, 0), (false, 0), (true, READ_ONLY_CURSOR)] {
            let mut session = proxy().root();
            session.run("USE bk_shop");
            let id = answer::prepare(&mut session, sql).unwrap();
            let ask = execute(id, flags, &[Parameter::Int(600)]);
            assert_whole_or_interrupted(&mut session, &ask, by_proxy, INTERRUPTIONS);
            session.send(&close(id)).unwrap();
        }
    }
}

/// What the lane asks the store about a statement is interrupted too, and tells nothing then.
#[test]
fn selects_of_other_routes_are_answered_whole_or_interrupted() {
    for (database, sql) in [
        (
            "bk_shop",
            "EXECUTE IMMEDIATE 'SELECT bk.apparel(photo), COUNT(*) FROM products GROUP BY 1 ORDER BY 1'",
        ),
        (
            "bk_shop",
            "SELECT kind, COUNT(*) FROM hidden GROUP BY kind ORDER BY kind",
        ),
        (
            "bk",
            "SELECT apparel(photo) AS k, COUNT(*) FROM bk_shop.products GROUP BY k ORDER BY k",
        ),
    ] {
        for by_proxy in [true, false] {
            let mut session = proxy().root();
            session.run(&format!("USE {database}"));
            session.run("SET @ml_plan = 'temporary'");
            assert_whole_or_interrupted(&mut session, &query(sql), by_proxy, MANY_INTERRUPTIONS);
        }
    }
}

/// The store's own cursors pass through the same proxy.
#[test]
fn fetches_are_answered_whole_or_interrupted() {
    let mut session = proxy().root();
    session.run("USE bk_shop");
    let sql = "SELECT p.id, SHA2(REPEAT(q.sku, 2000), 512) FROM products p, products q WHERE p.id <= ? AND q.id <= 20";
    let id = answer::prepare(&mut session, sql).unwrap();
    let connection = session.connection_id();
    with_killer(connection, true, |_| {
        let mut interrupted = 0;
        for asked in 0.. {
            if interrupted == INTERRUPTIONS {
                break;
            }
            assert!(asked < ASKED_MAX, "no KILL interrupts it");
            let opened = session
                .command(&execute(id, READ_ONLY_CURSOR, &[Parameter::Int(100)]))
                .unwrap();
            if is_interrupted(&opened) {
                interrupted += 1;
                continue;
            }
            let mut rows = 0;
            loop {
                let told = session.command(&fetch(id, 100)).unwrap();
                if is_interrupted(&told) {
                    interrupted += 1;
                    break;
                }
                rows += told.len() - 1;
                let [.., a, b] = told.last().unwrap().payload[..] else {
                    panic!("{told:?}");
                };
                let status = StatusFlags::from_bits_truncate(u16::from_le_bytes([a, b]));
                if status.contains(StatusFlags::SERVER_STATUS_LAST_ROW_SENT) {
                    assert_eq!(rows, 2000);
                    break;
                }
            }
        }
    });
    assert_works(&mut session);
}

/// All or nothing, and what was acknowledged is there.
#[test]
fn prepared_changes_are_made_whole_or_not_at_all() {
    let mut session = proxy().root();
    session.run("USE bk_shop");
    session.run("CREATE TABLE marked (id INT PRIMARY KEY, photo VARCHAR(200), label VARCHAR(40), mark INT) ENGINE = InnoDB");
    session.run("INSERT INTO marked SELECT id, photo, NULL, 0 FROM products WHERE id <= 60");
    let update = "UPDATE marked SET label = bk.apparel(photo), mark = ? WHERE id <= 60";
    let id = answer::prepare(&mut session, update).unwrap();
    let mut store = Store::shared().root();
    let state = "SELECT MIN(mark), MAX(mark), COUNT(label) FROM bk_shop.marked";
    let connection = session.connection_id();
    let mut kept = 0;
    for by_proxy in [true, false] {
        with_killer(connection, by_proxy, |_| {
            let mut interrupted = 0;
            for asked in 0.. {
                if interrupted == INTERRUPTIONS {
                    break;
                }
                assert!(asked < ASKED_MAX, "no KILL interrupts it");
                let mark = kept + 1;
                let told = session
                    .command(&execute(id, 0, &[Parameter::Int(mark)]))
                    .unwrap();
                if is_interrupted(&told) {
                    interrupted += 1;
                } else {
                    assert_eq!(told[0].payload[0], OkPacket::HEADER, "{told:?}");
                    kept = mark;
                }
                let row = store.rows(state).remove(0);
                let kept = Some(kept.to_string());
                let labels = if kept.as_deref() == Some("0") {
                    "0"
                } else {
                    "60"
                };
                let expected = [kept.clone(), kept, Some(labels.to_owned())];
                assert_eq!(row, expected, "interrupted {interrupted}");
            }
        });
    }
    let told = loop {
        match answer::execute(&mut session, id, &[Param::Int(kept + 1)]) {
            Err(error) if error.code == INTERRUPTED => {}
            told => break told.unwrap(),
        }
    };
    assert_eq!(told.done.unwrap().0, 60);
    assert_works(&mut session);
}
