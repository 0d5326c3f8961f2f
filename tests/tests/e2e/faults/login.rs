//! Clients that connect and do not log in: they keep nobody out, and are not waited for.

use super::{metric, no_session_is_left, plain};
use crate::admin::{PASSWORD, admin};
use predictsql_proxy::wire::packet_header;
use predictsql_tests::{Proxy, Settings, Store, Wire, eventually};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// Longer than any test: nobody is given up meanwhile.
const PATIENT: &str = "login_seconds_max = 3600";

/// A client that has been greeted and says nothing.
fn silent(address: SocketAddr) -> TcpStream {
    let mut client = TcpStream::connect(address).unwrap();
    let mut header = [0; 4];
    client.read_exact(&mut header).unwrap();
    let mut greeting = vec![0; usize::from(header[0]) + (usize::from(header[1]) << 8)];
    client.read_exact(&mut greeting).unwrap();
    client
}

fn is_closed(client: &mut TcpStream) -> bool {
    client.set_nonblocking(true).unwrap();
    match client.read(&mut [0; 1]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}

#[test]
fn silent_clients_keep_nobody_out() {
    let top = format!("{PATIENT}\nconnections_max = 5");
    let proxy = Proxy::start(Store::shared(), &plain(&top));
    let mut crowd: Vec<_> = (0..5).map(|_| silent(proxy.address())).collect();
    // One takes the place of each.
    let mut sessions: Vec<_> = (0..5).map(|_| proxy.root()).collect();
    for session in &mut sessions {
        assert_eq!(session.value("SELECT 1").as_deref(), Some("1"));
    }
    for client in &mut crowd {
        eventually("a silent client has given way", || {
            is_closed(client).then_some(())
        });
    }
    let displaced = metric(&proxy, "predictsql_sessions_ended_total", "\"displaced\"");
    assert_eq!(displaced, 5.0);
    // Who has logged in gives way to nobody.
    assert!(Wire::login(proxy.address(), "root", "", None).is_err());
    drop(sessions);
    no_session_is_left(&proxy);
}

/// A load balancer that sends a PROXY header, a health check by HTTP, a driver set to TLS from the
/// first byte.
#[test]
fn clients_of_other_protocols_are_turned_away_and_named() {
    let proxy = Proxy::start(Store::shared(), &plain(PATIENT));
    let mut v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    v2.extend([203, 0, 113, 7, 203, 0, 113, 8, 0xc7, 0x97, 0x0c, 0xea]);
    let mut hello = vec![0x16, 3, 1, 0, 0xc8, 1, 0, 0, 0xc4, 3, 3];
    hello.extend([0; 60]);
    let openings: [(&[u8], &str); 6] = [
        (
            b"PROXY TCP4 203.0.113.7 203.0.113.8 51111 3306\r\n",
            "PROXY",
        ),
        (b"PROXY UNKNOWN\r\n", "PROXY"),
        (&v2, "PROXY"),
        (b"GET /metrics HTTP/1.1\r\nHost: db\r\n\r\n", "HTTP"),
        (&hello, "TLS"),
        (b"\x05\x01\x00\x00", "no MySQL packet"),
    ];
    for (number, (opening, name)) in openings.into_iter().enumerate() {
        let mut client = TcpStream::connect(proxy.address()).unwrap();
        client.write_all(opening).unwrap();
        // The login's deadline is an hour away. What is left unread may reset the connection.
        let _ = client.read_to_end(&mut Vec::new());
        // The log has a line a second of its kind.
        eventually("it is counted", || {
            let ended = metric(&proxy, "predictsql_sessions_ended_total", "\"protocol\"");
            (ended >= (number + 1) as f64).then_some(())
        });
        if number == 0 {
            eventually("it is named", || proxy.log().contains(name).then_some(()));
        }
    }
    assert_eq!(proxy.root().value("SELECT 1").as_deref(), Some("1"));
    no_session_is_left(&proxy);
}

#[test]
fn silent_clients_of_one_address_have_a_limit_of_their_own() {
    let top = format!("{PATIENT}\nlogins_max_by_address = 2");
    let proxy = Proxy::start(Store::shared(), &plain(&top));
    let mut crowd: Vec<_> = (0..3).map(|_| silent(proxy.address())).collect();
    eventually("the oldest has given way", || {
        is_closed(&mut crowd[0]).then_some(())
    });
    assert!(!is_closed(&mut crowd[1]) && !is_closed(&mut crowd[2]));
}

#[test]
fn silent_clients_leave_room_in_the_store() {
    let store = Store::start(&["--max-connections=10", "--connect-timeout=3600"]);
    let mut root = store.root();
    root.run("CREATE USER plain@'127.0.0.1'");
    let proxy = Proxy::start(&store, &plain(PATIENT));
    // The store takes one more than it says, for an administrator.
    let mut crowd: Vec<_> = (0..10).map(|_| silent(proxy.address())).collect();
    eventually("the store has room", || {
        Wire::login(proxy.address(), "plain", "", None).ok()
    });
    let left = crowd
        .iter_mut()
        .filter_map(|client| (!is_closed(client)).then_some(()));
    assert!(left.count() > 0, "not all had to go");
}

#[test]
fn logins_that_do_not_go_on_are_given_up() {
    let top = "login_seconds_max = 1\n[tls]\nself_signed = true";
    let proxy = Proxy::start(Store::shared(), &plain(top));
    let capabilities = |flags: u32| flags.to_le_bytes();
    let login = |flags: u32| {
        let mut payload = capabilities(flags).to_vec();
        payload.extend([0, 0, 0, 1, 45]);
        payload.extend([0; 23]);
        payload
    };
    const PROTOCOL_41: u32 = 0x200;
    const SSL: u32 = 0x800;
    const SECURE_CONNECTION: u32 = 0x8000;
    const PLUGIN_AUTH: u32 = 0x8_0000;
    let mut switched = login(PROTOCOL_41 | SECURE_CONNECTION | PLUGIN_AUTH);
    switched.extend(b"root\0\0no_such_plugin\0");
    let stages = [
        ("greeted", Vec::new()),
        ("half a header", vec![9, 0]),
        ("half a login", packet_header(200, 1).into()),
        (
            "TLS",
            [&packet_header(32, 1)[..], &login(PROTOCOL_41 | SSL)].concat(),
        ),
        (
            "a plugin",
            [&packet_header(switched.len(), 1)[..], &switched].concat(),
        ),
    ];
    for (name, sent) in stages {
        let mut client = silent(proxy.address());
        client.write_all(&sent).unwrap();
        eventually(name, || {
            let mut rest = [0; 200];
            client.set_nonblocking(true).unwrap();
            match client.read(&mut rest) {
                Ok(0) => Some(()),
                Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => Some(()),
                _ => None,
            }
        });
    }
    eventually("all are counted", || {
        let lost = metric(&proxy, "predictsql_sessions_ended_total", "\"client_lost\"");
        (lost == 5.0).then_some(())
    });
}

#[test]
fn silent_clients_keep_no_operator_out() {
    let settings = Settings {
        top: PATIENT.to_owned(),
        admin_password: Some(PASSWORD.to_owned()),
        ..Settings::default()
    };
    let proxy = Proxy::start(Store::shared(), &settings);
    let crowd: Vec<_> = (0..200).map(|_| silent(proxy.admin())).collect();
    assert!(!admin(&proxy, "SHOW CONFIG").is_empty());
    drop(crowd);
}

#[test]
fn wrong_logins_delay_their_own_address_alone() {
    let settings = Settings {
        top: "login_seconds_max = 1".to_owned(),
        admin_password: Some(PASSWORD.to_owned()),
        ..Settings::default()
    };
    let proxy = Proxy::start(Store::shared(), &settings);
    eventually("the delay is longer than a login may be", || {
        assert!(Wire::login(proxy.admin(), "admin", "wrong", None).is_err());
        let told = "too many wrong logins from its address";
        proxy.log().contains(told).then_some(())
    });
    let refused = proxy.log().matches("admin: refused a login").count();
    assert!(refused > 0);
    // It passes.
    eventually("the right password is let in", || {
        Wire::login(proxy.admin(), "admin", PASSWORD, None).ok()
    });
}

#[test]
fn health_is_told_whatever_else_hangs() {
    let proxy = Proxy::start(Store::shared(), &Settings::default());
    let crowd: Vec<_> = (0..200)
        .map(|_| {
            let mut client = TcpStream::connect(proxy.http()).unwrap();
            client.write_all(b"GET /readyz HTTP/1.1\r\nHost: ").unwrap();
            client
        })
        .collect();
    for path in ["/healthz", "/readyz"] {
        let mut client = TcpStream::connect(proxy.http()).unwrap();
        write!(client, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert!(
        proxy
            .log()
            .contains("http: a connection gave way to another")
    );
    drop(crowd);
}
