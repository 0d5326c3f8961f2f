//! Recognises other protocols by the first bytes of a connection: load balancers that send a PROXY
//! header, browsers and health checks, clients that begin with TLS.

use super::Malformed;
use super::packet::HEADER_BYTES;

/// Sequence id of a client's first packet: it follows the greeting, which has id 0.
const FIRST_SEQ: u8 = 1;

/// Checks the header of a client's first packet.
///
/// # Errors
/// The bytes are no header of a first packet; names the protocol if it is a known one. (`PROX`
/// read as a header announces 5 MB, the start of a TLS record 66 kB: waiting for them would take
/// until the login's deadline.)
pub fn check_first_header(header: [u8; HEADER_BYTES]) -> Result<(), Malformed> {
    let [.., seq] = header;
    if seq == FIRST_SEQ {
        return Ok(());
    }
    Err(Malformed(match &header {
        b"PROX" | b"\r\n\r\n" => {
            "the client sends a PROXY protocol header, which is not accepted here"
        }
        b"GET " | b"HEAD" | b"POST" | b"PUT " | b"DELE" | b"OPTI" | b"PATC" | b"CONN" | b"PRI " => {
            "the client speaks HTTP on the MySQL port"
        }
        [0x16, 3, ..] => "the client begins with TLS, without a MySQL packet that asks for it",
        b"SSH-" => "the client speaks SSH on the MySQL port",
        _ => "the client's first bytes are no MySQL packet",
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_passes_and_other_protocols_are_named() {
        assert_eq!(check_first_header([0xc8, 0, 0, 1]), Ok(()));
        for (header, named) in [
            (b"PROX", "PROXY"),
            (b"\r\n\r\n", "PROXY"),
            (b"GET ", "HTTP"),
            (b"\x16\x03\x01\x00", "TLS"),
            (b"SSH-", "SSH"),
            (b"\x05\x01\x00\x00", "no MySQL packet"),
        ] {
            let refused = check_first_header(*header).map_err(|error| error.0.contains(named));
            assert_eq!(refused, Err(true), "{named}");
        }
    }
}
