//! Two proxies of one store while the catalog changes through both, and one of them is killed
//! again and again: the catalog stays whole, both agree on it,
//! and answers of what did not change are right all the time.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::thread;

use predictsql_tests::{Proxy, Settings, Store, Wire, apparel, eventually};
use rustix::process::Signal;

use crate::differential::answer;
use crate::differential::shop::model;

/// How often the second proxy is killed.
const KILLS: usize = 6;
/// Statements that change the catalog through it in each of its lives.
const CHANGES_BEFORE_KILL: usize = 7;
/// What the client library says of a lost connection.
const LOST: u16 = 2013;
/// Names that all clients make and drop.
const NAMES: [&str; 3] = ["hats", "coats", "socks"];
/// An internal error.
const UNKNOWN_ERROR: u16 = 1105;

fn settings() -> Settings {
    Settings {
        schema: "tw".to_owned(),
        ..Settings::default()
    }
}

/// What the threads share.
struct Shared {
    /// The proxies: one that lives, and one that is killed.
    doors: [Mutex<SocketAddr>; 2],
    /// Statements that changed the catalog, or were refused, through each.
    changes: [AtomicUsize; 2],
    /// Right answers by each.
    answers: [AtomicUsize; 2],
    stop: AtomicBool,
}

impl Shared {
    fn login(&self, proxy: usize) -> Option<Wire> {
        let address = *self.doors[proxy]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Wire::login(address, "root", "", Some("tw_shop")).ok()
    }
}

fn statements(turn: usize) -> Vec<String> {
    let name = NAMES[turn % NAMES.len()];
    let nano = model("apparel_nano").statement();
    let made = nano.replace(
        "CREATE MODEL apparel_nano FOR TASK apparel",
        &format!("CREATE MODEL {name}_nano FOR TASK {name}"),
    );
    assert_ne!(made, nano);
    vec![
        apparel::create_task().replace("TASK apparel", &format!("TASK {name}")),
        made,
        format!("ALTER TASK {name} SET min_accuracy = 0.{}", 1 + turn % 8),
        format!("EVALUATE MODEL {name}_nano ON (SELECT photo, label FROM labelled LIMIT 60)"),
        format!("ALTER MODEL {name}_nano SET accuracy = 0.8"),
        "EVALUATE TASK apparel ON (SELECT photo, label FROM labelled LIMIT 60)".to_owned(),
        format!("DROP MODEL {name}_nano"),
        format!("DROP TASK {name}"),
    ]
}

/// Changes the catalog; others do so at the same time,
/// and a refusal is right as long as it says why.
fn change(shared: &Shared, proxy: usize, start: usize) {
    for turn in start.. {
        let Some(mut session) = shared.login(proxy) else {
            if shared.stop.load(Relaxed) {
                return;
            }
            continue;
        };
        for sql in statements(turn) {
            if shared.stop.load(Relaxed) {
                return;
            }
            match answer::query(&mut session, &sql) {
                Err(error) if error.code == LOST || error.code == 1158 => {
                    assert_eq!(proxy, 1, "{sql}: {error:?}");
                    break;
                }
                Err(error) => assert_ne!(error.code, UNKNOWN_ERROR, "{sql}: {error:?}"),
                Ok(_) => {}
            }
            shared.changes[proxy].fetch_add(1, Relaxed);
        }
    }
}

/// Asks for what nobody changes.
fn ask(shared: &Shared, proxy: usize, right: &answer::Answer) {
    while !shared.stop.load(Relaxed) {
        let Some(mut session) = shared.login(proxy) else {
            continue;
        };
        while !shared.stop.load(Relaxed) {
            match answer::query(&mut session, RIGHT) {
                Ok(found) => {
                    assert_eq!(found.rows, right.rows);
                    shared.answers[proxy].fetch_add(1, Relaxed);
                }
                Err(error) => {
                    assert!(
                        proxy == 1 && [LOST, 1158].contains(&error.code),
                        "{error:?}"
                    );
                    break;
                }
            }
        }
    }
}

const RIGHT: &str =
    "SELECT id, tw.predict('apparel_nano@1', photo) FROM products WHERE id <= 50 ORDER BY id";

/// The functions of the catalog's schema.
fn functions(store: &Store) -> BTreeSet<String> {
    let sql = "SELECT routine_name FROM information_schema.routines \
               WHERE routine_schema = 'tw' AND routine_type = 'FUNCTION'";
    let rows = store.root().rows(sql);
    rows.into_iter().flatten().flatten().collect()
}

fn names(session: &mut Wire, sql: &str) -> BTreeSet<String> {
    let rows = session.rows(sql);
    rows.into_iter()
        .map(|mut row| row.swap_remove(0).unwrap())
        .collect()
}

#[test]
fn the_catalog_stays_whole_while_both_change_it_and_one_is_killed() {
    let store = Store::own();
    let lives = Proxy::start(&store, &settings());
    let mut root = lives.root();
    apparel::create_zoo(&mut root, |name| name == "apparel_nano");
    apparel::create_shop(&mut root, "tw_shop");
    root.run("USE tw_shop");
    apparel::create_labelled(&mut root);
    let right = answer::query(&mut root, RIGHT).unwrap();
    assert_eq!(right.rows.len(), 50);
    let before = functions(&store);

    let mut killed = Proxy::start(&store, &settings());
    let shared = Shared {
        doors: [&lives, &killed].map(|proxy| Mutex::new(proxy.address())),
        changes: Default::default(),
        answers: Default::default(),
        stop: AtomicBool::new(false),
    };
    thread::scope(|scope| {
        for proxy in [0, 1] {
            let (shared, right) = (&shared, &right);
            scope.spawn(move || change(shared, proxy, proxy));
            scope.spawn(move || ask(shared, proxy, right));
        }
        // Whatever happens, the others are to end.
        let killing = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for kill in 0..KILLS {
                let [so_far, answered] =
                    [&shared.changes[1], &shared.answers[1]].map(|n| n.load(Relaxed));
                eventually("the catalog changes through it", || {
                    let changes = shared.changes[1].load(Relaxed) - so_far;
                    let answers = shared.answers[1].load(Relaxed) - answered;
                    (changes >= CHANGES_BEFORE_KILL + kill && answers > 0).then_some(())
                });
                killed.signal(Signal::KILL);
                killed.wait();
                killed = Proxy::start(&store, &settings());
                let mut door = shared.doors[1]
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                *door = killed.address();
            }
        }));
        shared.stop.store(true, Relaxed);
        if let Err(panic) = killing {
            std::panic::resume_unwind(panic);
        }
    });
    assert!(shared.changes[0].load(Relaxed) > 0 && shared.answers[0].load(Relaxed) > 0);

    // Both agree, now and by each other's changes.
    let mut sessions = [lives.root(), killed.root()];
    for session in &mut sessions {
        session.run("USE tw_shop");
    }
    for sql in ["SHOW TASKS", "SHOW MODELS"] {
        let [a, b] = sessions.each_mut().map(|session| names(session, sql));
        assert_eq!(a, b, "{sql}");
    }
    // Every task has its function, and can be used or says what it lacks;
    // what was left half done can be done again.
    let tasks = names(&mut sessions[1], "SHOW TASKS");
    let found = functions(&store);
    for task in &tasks {
        assert!(found.contains(task), "{task}: {found:?}");
    }
    for name in NAMES {
        let statements = statements(NAMES.iter().position(|n| *n == name).unwrap());
        sessions[0].run(&format!("DROP MODEL IF EXISTS {name}_nano"));
        sessions[1].run(&format!("DROP TASK IF EXISTS {name}"));
        for sql in &statements[..5] {
            sessions[0].run(sql);
        }
        let sql = format!("SELECT tw.{name}(photo) FROM products WHERE id = 1");
        for session in &mut sessions {
            assert_eq!(session.value(&sql).as_deref(), Some("Ankle boot"), "{name}");
        }
        for sql in &statements[6..] {
            sessions[1].run(sql);
        }
        for session in &mut sessions {
            let error = session.error(&sql);
            assert!([1305, 1370].contains(&error.code), "{error:?}");
        }
    }
    assert_eq!(functions(&store), before);
    for session in &mut sessions {
        assert_eq!(answer::query(session, RIGHT).unwrap().rows, right.rows);
        assert_eq!(
            names(session, "SHOW TASKS"),
            BTreeSet::from(["apparel".to_owned()])
        );
    }
    let left = "SELECT COUNT(*) FROM tw.models WHERE state <> 'ready'";
    assert_eq!(store.root().value(left).as_deref(), Some("0"));
}
