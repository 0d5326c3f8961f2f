//! Forwarded queries that turn out to contain predict calls: the store ran a stub, because a view
//! over predictions was created without the proxy. The proxy then reloads the catalog and the
//! views, and the lane runs the query again.

use crate::wire::{ErrPacket, HEADER_BYTES, command};

/// Longest query that is kept until its answer has arrived, in bytes.
const KEPT_BYTES_MAX: usize = 16 * 1024;

/// Buffer capacity that an idle session may keep, in bytes.
const IDLE_BYTES_MAX: usize = 1024;

/// The last command of a session, if it is a query that may be run again; otherwise empty.
#[derive(Debug, Default)]
pub struct LastQuery(Vec<u8>);

impl LastQuery {
    /// Keeps a command that goes to the store if it is a query; clears the last one.
    pub fn keep(&mut self, command: u8, body: &[u8]) {
        self.forget();
        if command == command::QUERY && body.len() <= KEPT_BYTES_MAX && only_reads(body) {
            self.0.extend_from_slice(body);
        }
    }

    /// Clears the kept query, for a command that is not to be run again.
    pub fn forget(&mut self) {
        match self.0.capacity() > IDLE_BYTES_MAX {
            true => self.0 = Vec::new(),
            false => self.0.clear(),
        }
    }

    /// Takes the kept query, if there is one.
    pub fn take(&mut self) -> Option<Vec<u8>> {
        let text = std::mem::take(&mut self.0);
        (!text.is_empty()).then_some(text)
    }
}

/// Whether a text is a single query: no semicolon except at its end, since another statement
/// might follow it.
fn only_reads(body: &[u8]) -> bool {
    let body = body.trim_ascii();
    let body = body.strip_suffix(b";").unwrap_or(body);
    let begins = |word: &[u8]| {
        let head = body.get(..word.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(word))
    };
    (begins(b"SELECT") || begins(b"WITH") || begins(b"(")) && memchr::memchr(b';', body).is_none()
}

/// The error packet that ends an answer, after the column definitions or as the only packet.
pub fn last_error(mut answer: &[u8]) -> Option<ErrPacket> {
    loop {
        let (&[a, b, c, _], rest) = answer.split_first_chunk::<HEADER_BYTES>()?;
        let (payload, rest) = rest.split_at_checked(u32::from_le_bytes([a, b, c, 0]) as usize)?;
        if rest.is_empty() {
            return ErrPacket::parse(payload).ok();
        }
        answer = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_queries_are_kept_until_the_next_command() {
        let mut last = LastQuery::default();
        for query in [
            "SELECT 1;",
            " with a AS (SELECT 1) SELECT * FROM a",
            "(SELECT 1)",
        ] {
            last.keep(command::QUERY, query.as_bytes());
            assert_eq!(last.take().as_deref(), Some(query.as_bytes()));
        }
        for other in ["SELECT 1; DELETE FROM t", "DELETE FROM t", "CALL p()"] {
            last.keep(command::QUERY, b"SELECT 1");
            last.keep(command::QUERY, other.as_bytes());
            assert_eq!(last.take(), None, "{other}");
        }
        last.keep(command::QUERY, b"SELECT 1");
        last.keep(command::STMT_EXECUTE, b"SELECT 1");
        assert_eq!(last.take(), None);
    }

    #[test]
    fn idle_sessions_hold_little() {
        let mut last = LastQuery::default();
        let long = [&b"SELECT "[..], &[b'1'; 10_000]].concat();
        last.keep(command::QUERY, &long);
        last.keep(command::QUERY, b"DO 1");
        assert!(last.0.capacity() <= IDLE_BYTES_MAX);
        last.keep(command::QUERY, &[b'('; KEPT_BYTES_MAX + 1]);
        assert_eq!(last.take(), None);
    }
}
