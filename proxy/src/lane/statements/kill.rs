//! `KILL` from clients: the store checks and executes it, and the proxy also interrupts a predict
//! statement of the killed session.
//!
//! The store alone cannot interrupt a session that waits for inference in the proxy, because the
//! session is idle at the store.

use crate::lane::session::lane::Lane;
use crate::lane::session::left::{Done, Left};
use crate::lane::store::error::LinkError;
use crate::lane::turn::Turn;
use crate::wire::{OkPacket, command};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// A `KILL` of one connection by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kill {
    /// The store's id of the connection.
    pub connection_id: u32,
    /// `KILL QUERY`: ends the running statement, not the session.
    pub query_only: bool,
}

impl Kill {
    /// Parses `KILL [HARD | SOFT] [CONNECTION | QUERY] n`. Other forms, such as
    /// `KILL QUERY ID n`, are left to the store alone.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let body = body.trim_ascii_start();
        if !body.get(..4)?.eq_ignore_ascii_case(b"KILL") {
            return None; // nearly every statement ends here
        }
        let text = std::str::from_utf8(body).ok()?.trim_end();
        let text = text.strip_suffix(';').unwrap_or(text);
        let mut words = text.split_ascii_whitespace().peekable();
        let mut skip = |word: &str| {
            words
                .next_if(|next| next.eq_ignore_ascii_case(word))
                .is_some()
        };
        if !skip("KILL") {
            return None;
        }
        let _ = skip("HARD") || skip("SOFT");
        let query_only = skip("QUERY");
        let _ = !query_only && skip("CONNECTION");
        let connection_id = words.next()?.parse().ok()?;
        words.next().is_none().then_some(Self {
            connection_id,
            query_only,
        })
    }
}

impl Lane {
    /// Sends the KILL to the store; if it succeeds, interrupts the session in the proxy too.
    pub(in crate::lane) async fn answer_kill(
        &mut self,
        turn: &mut Turn<'_>,
        body: &Bytes,
        kill: Kill,
    ) -> Result<Done, LinkError> {
        let live = Arc::clone(&self.context.live);
        // A session may see the store's interruption before the store's OK arrives here.
        let sessions = live.sessions_of(kill.connection_id);
        let mut being_killed = Vec::new();
        for session in &sessions {
            being_killed.push(session.being_killed().await);
        }
        turn.store.send(command::QUERY, body).await?;
        let answer = turn.store.payload().await?;
        if answer.first() == Some(&OkPacket::HEADER) {
            turn.status.set(OkPacket::parse(&answer)?.status);
            live.interrupt(kill.connection_id, kill.query_only);
        }
        drop(being_killed);
        turn.out.write(&answer);
        turn.complete.store(true, Relaxed);
        turn.flush().await?;
        Ok(Done::Answered(Left::default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kill(connection_id: u32, query_only: bool) -> Option<Kill> {
        Some(Kill {
            connection_id,
            query_only,
        })
    }

    #[test]
    fn kills_of_one_connection_are_read() {
        assert_eq!(Kill::parse(b"KILL 7"), kill(7, false));
        assert_eq!(Kill::parse(b" kill connection 7 ; "), kill(7, false));
        assert_eq!(Kill::parse(b"KILL QUERY 7"), kill(7, true));
        assert_eq!(Kill::parse(b"Kill\tsoft\nquery 7;"), kill(7, true));
        assert_eq!(Kill::parse(b"KILL HARD 7"), kill(7, false));
    }

    #[test]
    fn all_else_is_the_stores_alone() {
        for text in [
            "",
            "KILL",
            "KILL QUERY",
            "KILL QUERY ID 7",
            "KILL USER root",
            "KILL 7; SELECT 1",
            "KILL 7 8",
            "KILL QUERY CONNECTION 7",
            "KILL @id",
            "KILL -1",
            "KILL 4294967296",
            "SELECT 'KILL 7'",
            "killer 7",
        ] {
            assert_eq!(Kill::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Kill::parse(b"KILL \xff"), None);
    }
}
