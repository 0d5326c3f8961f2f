//! Handling of failed commands: whether the client gets an error packet, and the state of the
//! session afterwards.

use crate::error::Outcome;
use crate::lane::session::lane::Lane;
use crate::lane::session::left::Remembered;
use crate::lane::store::error::LinkError;
use crate::lane::turn::Turn;
use crate::relay::{Handled, SessionEnd};
use crate::wire::command;
use std::sync::atomic::Ordering::Relaxed;

impl Turn<'_> {
    /// Whether the client still waits for a packet. A packet after the last one of an answer would
    /// be read as the start of the next answer.
    fn owes(&self, command: u8) -> bool {
        let unanswered = matches!(
            command,
            command::STMT_SEND_LONG_DATA | command::STMT_CLOSE | command::QUIT
        );
        !unanswered && !self.complete.load(Relaxed)
    }
}

impl Lane {
    /// Sends the error to the client if it waits for an answer, and sets the session state of a
    /// failed statement.
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
            // If the store refused the client's statement itself, it holds the error already.
            LinkError::Refused(refused) => (refused, turn.store.is_answering()),
            LinkError::Sql(error) => (error.packet(), false),
            // If the store connection is lost, the client's connection ends too.
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

/// Handles an error in the lane's work at the store after the answer, or for a command that has no
/// answer.
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

/// The outcome of a command, for metrics.
pub(in crate::lane) fn outcome(answered: &Result<Handled, LinkError>) -> Outcome {
    match answered {
        Ok(Handled::Answered) => Outcome::Ok,
        Ok(Handled::Forward(_)) => Outcome::Forwarded,
        Err(LinkError::Refused(_)) => Outcome::RefusedByStore,
        Err(LinkError::Sql(error)) => error.kind.outcome(),
        Err(LinkError::End(end)) => end.outcome(),
    }
}
