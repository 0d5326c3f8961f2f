//! The HTTP endpoints of the programs under test.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// The answer of a program to `GET /metrics`, head included.
pub(crate) fn metrics(http: SocketAddr) -> String {
    let mut stream = TcpStream::connect(http).unwrap();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// The address that the log says an endpoint for operators has.
pub(crate) fn endpoint_address(log: &str, name: &str) -> Option<SocketAddr> {
    let said = format!(" {name}: listening on ");
    let (_, address) = log.lines().find_map(|line| line.split_once(&said))?;
    Some(address.trim().parse().unwrap())
}
