//! What goes wrong between clients and stores: compared with a direct connection where that shows
//! anything, and without anything left behind.

mod crowd;
mod cut;
mod damaged_store;
mod ends;
mod idle;
mod kills;
mod login;
mod memory;
mod stop;
mod two_proxies;

use predictsql_proxy::metrics;
use predictsql_proxy::wire::command;
use predictsql_tests::wire::Packet;
use predictsql_tests::{Proxy, Settings, Wire, eventually};
use std::io::{self, Read, Write};
use std::net::TcpStream;

fn query(sql: &str) -> Vec<u8> {
    [&[command::QUERY], sql.as_bytes()].concat()
}

/// A proxy that only relays.
fn plain(top: &str) -> Settings {
    Settings {
        top: top.to_owned(),
        service_account: false,
        ..Settings::default()
    }
}

/// All that still comes, until the end of the connection.
fn until_end(session: &mut Wire) -> Vec<Packet> {
    let mut packets = Vec::new();
    loop {
        match session.read_packet() {
            Ok(packet) => packets.push(packet),
            Err(error) => {
                let silent = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut];
                assert!(
                    !silent.contains(&error.kind()),
                    "the connection does not end"
                );
                return packets;
            }
        }
    }
}

/// The sum of a metric over its labels that contain `label`.
fn metric(proxy: &Proxy, name: &str, label: &str) -> f64 {
    let mut stream = TcpStream::connect(proxy.http()).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let values = metrics::samples(&text)
        .filter(|(found, labels, _)| *found == name && labels.contains(label))
        .map(|(.., value)| value.parse::<f64>().unwrap());
    values.sum()
}

#[track_caller]
fn no_session_is_left(proxy: &Proxy) {
    eventually("no session is left", || {
        (metric(proxy, "predictsql_sessions", "") == 0.0).then_some(())
    });
}
