//! Stores that are stopped (SIGSTOP), and what a proxy does about them at its own stop and when
//! they are busy.

use super::{plain, query};
use predictsql_tests::process::new_dir;
use predictsql_tests::{Proxy, Settings, Store, Wire, apparel, eventually};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::net::TcpStream;

/// A store that is stopped for as long as this lives.
struct Stopped(Pid);

impl Stopped {
    fn store(pid: Pid) -> Self {
        kill_process(pid, Signal::STOP).unwrap();
        Self(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::CONT);
    }
}

#[test]
fn a_proxy_of_a_stopped_store_stops() {
    let store = Store::own();
    let settings = Settings {
        schema: "halted".to_owned(),
        top: "stop_seconds_max = 1".to_owned(),
        ..Settings::default()
    };
    let proxy = Proxy::start(&store, &settings);
    apparel::create_zoo(&mut proxy.root(), |name| name == "apparel_nano");
    apparel::create_shop(&mut proxy.root(), "halted_shop");
    let (_idle, mut busy, mut predicting) = (proxy.root(), proxy.root(), proxy.root());
    busy.send(&query("SELECT SLEEP(1000)")).unwrap();
    let running = format!(
        "SELECT COUNT(*) FROM information_schema.processlist WHERE id = {} AND state = 'User sleep'",
        busy.connection_id()
    );
    eventually("the statement runs", || {
        (store.root().value(&running)? == "1").then_some(())
    });
    let stopped = Stopped::store(store.pid());
    let predict = "SELECT halted.predict('apparel', photo) FROM halted_shop.products";
    predicting.send(&query(predict)).unwrap();
    let _in_login = TcpStream::connect(proxy.address()).unwrap();
    proxy.signal(Signal::TERM);
    assert!(proxy.wait().success());
    drop(stopped);
}

#[test]
fn a_stopped_embedded_store_is_ended_in_order() {
    let dir = new_dir("halted");
    let proxy = Proxy::embedded(
        &dir,
        &plain("stop_seconds_max = 1\nstore_stop_seconds_max = 3600"),
    );
    let proxy = proxy.unwrap();
    proxy.root().run("CREATE DATABASE kept");
    let pid = fs::read_to_string(dir.join("store.pid")).unwrap();
    let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    let stopped = Stopped::store(pid);
    proxy.signal(Signal::TERM);
    assert!(proxy.wait().success());
    std::mem::forget(stopped); // its number may be another's by now
    assert!(!proxy.log().contains("killing it"), "{}", proxy.log());
}

#[test]
fn clients_that_come_while_the_queue_of_a_socket_is_full_are_served() {
    let store = Store::start(&["--back-log=2"]);
    let url = format!("unix:{}", store.socket().display());
    let top = "connect_timeout_ms = 60000\nlogin_seconds_max = 60";
    let proxy = Proxy::serving(&url, &plain(top)).unwrap();
    let stopped = Stopped::store(store.pid());
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..30)
            .map(|_| scope.spawn(|| Wire::login(proxy.address(), "root", "", None)))
            .collect();
        eventually("more than the queue holds wait", || {
            let told = "the store's queue of new connections is full: waiting";
            (proxy.log().matches(told).count() >= 20).then_some(())
        });
        drop(stopped);
        for client in clients {
            let mut session = client.join().unwrap().unwrap();
            assert_eq!(session.value("SELECT 1").as_deref(), Some("1"));
        }
    });
}
