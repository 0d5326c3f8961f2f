//! Connections that end in the middle of something.

use super::{no_session_is_left, plain, query, until_end};
use predictsql_proxy::wire::{PACKET_BYTES_MAX, command, packet_header};
use predictsql_tests::wire::{Packet, packets};
use predictsql_tests::{Proxy, Settings, Store, Wire, apparel, eventually};
use std::io::Read;
use std::net::{Shutdown, SocketAddr, TcpStream};

/// What a session is told after it has sent `bytes` in writes of `write_bytes`,
/// until its connection ends.
fn told(address: SocketAddr, bytes: &[u8], write_bytes: usize) -> Vec<Packet> {
    let mut session = Wire::login(address, "root", "", None).unwrap();
    for part in bytes.chunks(write_bytes) {
        // The server may have closed already: what it said first counts.
        if session.send_raw(part).is_err() {
            break;
        }
    }
    until_end(&mut session)
}

#[test]
fn a_packet_too_big_for_the_store_is_answered_as_without_a_proxy() {
    let store = Store::start(&["--max-allowed-packet=1M"]);
    let proxy = Proxy::start(&store, &plain(""));
    let comment = |bytes: usize| query(&format!("SELECT /*{}*/ 1", "x".repeat(bytes)));
    let long_data = [
        &[command::STMT_SEND_LONG_DATA, 1, 0, 0, 0, 0, 0],
        &[b'x'; 2 << 20][..],
    ];
    let mut unfinished = packet_header(PACKET_BYTES_MAX, 0).to_vec();
    unfinished.extend(query(&"x".repeat(20_000)));
    let cases = [
        // Shorter and longer than what the proxy looks at.
        ("just too big", packets(&comment(1 << 20), 0)),
        ("twice too big", packets(&comment(2 << 20), 0)),
        ("of two packets", packets(&comment(20 << 20), 0)),
        (
            "the next behind it",
            [
                packets(&comment(2 << 20), 0),
                packets(&query("SELECT 5"), 0),
            ]
            .concat(),
        ),
        (
            "one before it",
            [
                packets(&query("SELECT 5"), 0),
                packets(&comment(2 << 20), 0),
            ]
            .concat(),
        ),
        ("long data", packets(&long_data.concat(), 0)),
        ("only begun", unfinished),
    ];
    for (name, bytes) in &cases {
        for write_bytes in [bytes.len(), 50_000] {
            let direct = told(store.address(), bytes, write_bytes);
            assert!(!direct.is_empty(), "{name}");
            // More than once: which end of the store's leg fails first is chance.
            for _ in 0..5 {
                assert_eq!(told(proxy.address(), bytes, write_bytes), direct, "{name}");
            }
        }
    }
    no_session_is_left(&proxy);
}

/// What a session is told that sends `bytes` and then only reads.
fn told_half_closed(address: SocketAddr, bytes: &[u8]) -> Vec<Packet> {
    let mut session = Wire::login(address, "root", "", None).unwrap();
    session.send_raw(bytes).unwrap();
    session.socket().shutdown(Shutdown::Write).unwrap();
    until_end(&mut session)
}

#[test]
fn a_client_that_only_reads_on_gets_its_answers() {
    let (store, proxy) = (Store::shared(), Proxy::shared());
    let command = |sql: &str| packets(&query(sql), 0);
    let half = |sql: &str| {
        let mut bytes = command(sql);
        bytes.pop();
        bytes
    };
    let cases = [
        Vec::new(),
        command("SELECT 1"),
        command("SELECT SLEEP(0.5)"),
        [
            command("SELECT SLEEP(0.2)"),
            command("SELECT 2"),
            command("SELECT 3"),
        ]
        .concat(),
        [command("DO SLEEP(0.2)"), half("SELECT 1")].concat(),
        half("SELECT 1"),
        vec![7, 0],
        packets(&[command::QUIT], 0),
        [command("SELECT 1"), packets(&[command::QUIT], 0)].concat(),
        command("SELECT REPEAT('x', 1000) FROM seq_1_to_20000"),
        command("LOAD DATA LOCAL INFILE 'x' INTO TABLE mysql.plugin"),
        packets(b"\x11root\0\0\0", 0),
    ];
    for bytes in &cases {
        let direct = told_half_closed(store.address(), bytes);
        let through = told_half_closed(proxy.address(), bytes);
        assert!(
            through == direct,
            "{}: {through:?}, directly {direct:?}",
            bytes.escape_ascii()
        );
    }
}

#[test]
fn a_predict_statement_of_a_half_closed_client_ends() {
    let proxy = Proxy::with_zoo();
    let photo = apparel::Photos::path(1);
    let predict = query(&format!("SELECT ml.predict('apparel', '{photo}')"));
    let plain = query("SELECT 'plain'");
    for commands in [
        vec![&predict],
        vec![&plain, &predict],
        vec![&predict, &plain],
    ] {
        let bytes: Vec<u8> = commands
            .iter()
            .flat_map(|command| packets(command, 0))
            .collect();
        // It counts as gone, like one that has closed; what matters is that it does not hang.
        let answers = told_half_closed(proxy.address(), &bytes);
        let is_plain = |packet: &Packet| packet.payload == b"\x05plain";
        if *commands[0] == plain {
            assert!(answers.iter().any(is_plain), "{answers:?}");
        }
    }
}

#[test]
fn a_store_that_dies_ends_the_connections_without_a_word() {
    let store = Store::own();
    let proxy = Proxy::start(&store, &plain(""));
    let (mut waiting, mut idle) = (proxy.root(), proxy.root());
    let mut root = store.root();
    let id = waiting.connection_id();
    for sql in ["SELECT 1", "SELECT SLEEP(1000)", "SELECT 2"] {
        waiting.send(&query(sql)).unwrap();
    }
    waiting.read_answer(command::QUERY).unwrap();
    let runs = format!(
        "SELECT COUNT(*) FROM information_schema.processlist WHERE id = {id} AND state = 'User sleep'"
    );
    eventually("the statement runs", || {
        (root.value(&runs)? == "1").then_some(())
    });
    store.kill();
    // As it does on connections of their own.
    assert_eq!(until_end(&mut waiting), []);
    assert!(until_end(&mut idle).is_empty());
    no_session_is_left(&proxy);

    store.restart();
    let mut sessions: Vec<_> = (0..20).map(|_| proxy.root()).collect();
    for session in &mut sessions {
        assert_eq!(session.value("SELECT 1").as_deref(), Some("1"));
    }
}

#[test]
fn a_session_that_the_store_kills_ends() {
    let (store, proxy) = (Store::shared(), Proxy::shared());
    let mut root = store.root();
    for commands in [
        &[][..],
        &["SELECT SLEEP(1000)"],
        &["SELECT SLEEP(1000)", "SELECT 2"],
    ] {
        let mut session = proxy.root();
        let id = session.connection_id();
        for sql in commands {
            session.send(&query(sql)).unwrap();
        }
        let runs = format!(
            "SELECT COUNT(*) FROM information_schema.processlist WHERE id = {id} AND state = 'User sleep'"
        );
        eventually("the statement runs", || {
            (commands.is_empty() || root.value(&runs)? == "1").then_some(())
        });
        root.run(&format!("KILL {id}"));
        // MariaDB says 1927 or nothing at all, and the proxy adds nothing.
        let told = until_end(&mut session);
        let killed = [0xff, 0x87, 0x07];
        assert!(told.len() <= 1, "{told:?}");
        assert!(told.is_empty() || !commands.is_empty(), "{told:?}");
        assert!(told.iter().all(|packet| packet.payload[..3] == killed));
    }
}

#[test]
fn clients_that_never_log_in_leave_nothing_behind() {
    let store = Store::shared();
    let proxy = Proxy::start(store, &plain("connections_max = 5"));
    let greeted = |_| {
        let mut client = TcpStream::connect(proxy.address()).unwrap();
        client.read_exact(&mut [0; 4]).unwrap();
        client
    };
    for _ in 0..4 {
        let clients: Vec<_> = (0..5).map(greeted).collect();
        drop(clients);
        // Their places are free: all five.
        let sessions: Vec<_> = (0..5)
            .map(|_| {
                eventually("a place is free", || {
                    Wire::login(proxy.address(), "root", "", None).ok()
                })
            })
            .collect();
        drop(sessions);
        eventually("places are free", || {
            Wire::login(proxy.address(), "root", "", None).ok()
        });
        no_session_is_left(&proxy);
    }
}

#[test]
fn clients_that_vanish_before_a_silent_store_greets_are_told_apart_from_it() {
    // A store that takes connections and says nothing, such as one that is stopped.
    let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("mysql://{}", silent.local_addr().unwrap());
    let settings = Settings {
        top: "connect_timeout_ms = 500".to_owned(),
        ..plain("")
    };
    let proxy = Proxy::serving(&url, &settings).unwrap();
    let client = TcpStream::connect(proxy.address()).unwrap();
    let (leg, _) = silent.accept().unwrap();
    drop(leg);
    let mut told = Vec::new();
    (&client).read_to_end(&mut told).unwrap();
    // 1429, Unable to connect to foreign data source.
    assert_eq!(told[4..7], [0xff, 0x95, 0x05]);
}
