//! What is done about a command that failed: whether the client is told,
//! and how the session goes on.

use crate::error::Outcome;
use crate::lane::session::lane::Lane;
use crate::lane::session::left::Remembered;
use crate::lane::store::error::LinkError;
use crate::lane::turn::Turn;
use crate::relay::{Handled, SessionEnd};
use crate::wire::command;
use std::sync::atomic::Ordering::Relaxed;

impl Turn<'_> {
    /// Whether the client waits for a packet. After the last packet of an answer one more would be
    /// taken for the start of the next answer.
    fn owes(&self, command: u8) -> bool {
        let unanswered = matches!(
            command,
            command::STMT_SEND_LONG_DATA | command::STMT_CLOSE | command::QUIT
        );
        !unanswered && !self.complete.load(Relaxed)
    }
}

impl Lane {
    /// Tells the client of an error where it waits for an answer, and leaves the session as after
    /// a statement that failed.
    pub(in crate::lane) async fn fail(
        &mut self,
        turn: &mut Turn<'_>,
        command: u8,
        error: LinkError,
    ) -> Result<Handled, SessionEnd> {
        if !turn.owes(command) {
            return fail_after_answer(turn, error).await;
        }
        let (error, known) = match error {
            // The store knows of its own refusal of the statement itself.
            LinkError::Refused(refused) => (refused, turn.store.is_answering()),
            LinkError::Sql(error) => (error.packet(), false),
            // A store that is lost is told by the end of the connection.
            LinkError::End(end) => return Err(end),
        };
        self.remembered = Remembered {
            found_rows: turn.found_rows_if_refused.filter(|_| known),
            ..Remembered::default()
        };
        turn.out.write(&error.encode());
        let told = turn.flush().await;
        let left = match known {
            true => Ok(()),
            false => turn.store.leave_error(command, &error).await,
        };
        match told.and(left) {
            Err(LinkError::End(end)) => Err(end),
            _ => Ok(Handled::Answered),
        }
    }
}

/// What the lane has still to do at the store has failed: the client has its answer,
/// or is not to get one.
async fn fail_after_answer(turn: &mut Turn<'_>, error: LinkError) -> Result<Handled, SessionEnd> {
    let told = turn.flush().await;
    match error {
        LinkError::End(end) => Err(end),
        error => {
            tracing::debug!(?error, "a session is not quite as its statement leaves it");
            match told {
                Err(LinkError::End(end)) => Err(end),
                _ => Ok(Handled::Answered),
            }
        }
    }
}

/// How a command ended, for metrics.
pub(in crate::lane) fn outcome(answered: &Result<Handled, LinkError>) -> Outcome {
    match answered {
        Ok(Handled::Answered) => Outcome::Ok,
        Ok(Handled::Forward(_)) => Outcome::Forwarded,
        Err(LinkError::Refused(_)) => Outcome::RefusedByStore,
        Err(LinkError::Sql(error)) => error.kind.outcome(),
        Err(LinkError::End(end)) => end.outcome(),
    }
}
