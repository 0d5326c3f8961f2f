//! Certificates and settings that change while the proxy serves.

use super::*;
use predictsql_tests::process::new_dir;
use predictsql_tests::{Wire, eventually};
use rustix::process::Signal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Sessions that go on, and connections that come, while the certificate changes.
const BUSY_SESSIONS: usize = 8;

#[tokio::test]
async fn a_certificate_is_replaced_under_load() {
    let dir = new_dir("rotated");
    let pair = authority().write_pair(&dir, HERE);
    let proxy = Proxy::start(store(), &with_pair(&pair, ""));
    let (old, new) = (trusting(authority()), Authority::new());
    let address = proxy.address();

    let stop = Arc::new(AtomicBool::new(false));
    let queries = Arc::new(AtomicUsize::new(0));
    let mut busy = Vec::new();
    for _ in 0..BUSY_SESSIONS {
        let mut conn = connect(address, "root", Some(old.clone())).await.unwrap();
        let (stop, queries) = (Arc::clone(&stop), Arc::clone(&queries));
        busy.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let one: Option<u8> = conn.query_first("SELECT 1").await.unwrap();
                assert_eq!(one, Some(1));
                queries.fetch_add(1, Ordering::Relaxed);
                // New ones too: none may be turned away in between.
                let fresh = connect(address, "root", Some(trusting_anybody())).await;
                fresh.unwrap().disconnect().await.unwrap();
            }
            conn.disconnect().await.unwrap();
        }));
    }
    new.write_pair(&dir, HERE);
    proxy.signal(Signal::HUP);
    while connect(address, "root", Some(trusting(&new)))
        .await
        .is_err()
    {
        tokio::task::yield_now().await;
    }
    let refused = connect(address, "root", Some(old)).await;
    assert!(
        refused.is_err(),
        "the old certificate is not shown any more"
    );
    let before = queries.load(Ordering::Relaxed);
    while queries.load(Ordering::Relaxed) < before + BUSY_SESSIONS {
        tokio::task::yield_now().await;
    }
    stop.store(true, Ordering::Relaxed);
    for session in busy {
        session.await.unwrap();
    }
}

#[test]
fn changed_files_are_seen_without_a_signal_and_wrong_ones_change_nothing() {
    let dir = new_dir("watched");
    let pair = authority().write_pair(&dir, HERE);
    let proxy = Proxy::start(store(), &with_pair(&pair, ""));
    std::fs::write(&pair.key, "no key").unwrap();
    eventually("the wrong key is told", || {
        let log = proxy.log();
        log.contains("the certificate stays what it was")
            .then_some(())
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let log_in = |tls| {
        let connected = runtime.block_on(connect(proxy.address(), "root", Some(tls)));
        connected.map(drop)
    };
    log_in(trusting(authority())).unwrap();
    let new = Authority::new();
    new.write_pair(&dir, HERE);
    eventually("the new certificate is shown", || {
        log_in(trusting(&new)).ok()
    });
}

#[tokio::test]
async fn a_certificate_of_its_own() {
    let proxy = Proxy::start(store(), &top("[tls]\nself_signed = true\n"));
    let conn = connect(proxy.address(), "root", Some(trusting_anybody())).await;
    conn.unwrap().disconnect().await.unwrap();
    let verified = connect(proxy.address(), "root", Some(trusting(authority()))).await;
    assert!(verified.is_err());
}

#[test]
fn a_certificate_that_cannot_be_used_is_told_at_the_start() {
    let pair = authority().new_pair(HERE);
    let other = authority().new_pair(HERE);
    let missing = pair.key.with_file_name("missing.pem");
    for (key, said) in [
        (&other.key, "cannot be used with the key"),
        (&missing, "cannot read"),
    ] {
        let mut wrong = pair.clone();
        wrong.key = key.clone();
        let settings = Settings {
            service_account: false,
            ..with_pair(&wrong, "")
        };
        let started = Proxy::serving(&store().url(), &settings);
        let log = started.err().expect("it does not start").log;
        assert!(log.contains(said), "{log}");
    }
}

#[test]
fn settings_are_read_again_at_a_signal() {
    let settings = Settings {
        admin_password: Some("secret".to_owned()),
        ..top("connections_max = 2\n")
    };
    let proxy = Proxy::start(Store::shared(), &settings);
    let mut sessions = vec![proxy.root(), proxy.root()];
    assert!(Wire::login(proxy.address(), "root", "", None).is_err());

    proxy.rewrite_settings(|file| file.replace("connections_max = 2", "connections_max = 3"));
    proxy.signal(Signal::HUP);
    sessions.push(eventually("there is room for a third", || {
        Wire::login(proxy.address(), "root", "", None).ok()
    }));
    let mut admin = Wire::login(proxy.admin(), "admin", "secret", None).unwrap();
    let shown = |admin: &mut Wire, name: &str| {
        let rows = admin.rows("SHOW CONFIG");
        let row = rows.into_iter().find(|row| row[0].as_deref() == Some(name));
        row.unwrap()[1].clone()
    };
    assert_eq!(shown(&mut admin, "connections_max").as_deref(), Some("3"));

    // What cannot be taken over is named; what is wrong changes nothing.
    proxy.rewrite_settings(|file| format!("runtimes = 7\n{file}"));
    proxy.signal(Signal::HUP);
    eventually("the restart is asked for", || {
        let log = proxy.log();
        log.lines()
            .any(|line| line.contains("need a restart") && line.contains("runtimes"))
            .then_some(())
    });
    assert_ne!(shown(&mut admin, "runtimes").as_deref(), Some("7"));
    proxy.rewrite_settings(|file| format!("no_such_setting = 1\n{file}"));
    proxy.signal(Signal::HUP);
    eventually("the wrong file is told", || {
        proxy.log().contains("no_such_setting").then_some(())
    });
    for session in &mut sessions {
        assert_eq!(session.value("SELECT 1").as_deref(), Some("1"));
    }
}
