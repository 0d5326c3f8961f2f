//! Routes each command to the store or the lane, and calls the handler for its kind.

use bytes::Bytes;

use crate::error::SqlError;
use crate::lane::session::lane::Lane;
use crate::lane::session::last_query::last_error;
use crate::lane::session::left::{Done, Remembered};
use crate::lane::session::named::NamedStatements;
use crate::lane::session::prepared::PreparedStatements;
use crate::lane::statements::failure;
use crate::lane::statements::route::{PreparedKind, Routed, StatementKind, utf8};
use crate::lane::store::error::LinkError;
use crate::lane::store::link::{Protocol, command_payload};
use crate::lane::turn::Turn;
use crate::relay::{Handled, LongHead, LongRoute, Refusal, Route, Router, Takeover};
use crate::session_end::SessionEnd;
use crate::wire::{ErrPacket, command};
use predictsql_optimizer::may_leave_traces;

impl Router for Lane {
    type Routed = Routed;

    fn route(&mut self, command: u8, body: &[u8]) -> Route<Routed> {
        self.note_database(command, body);
        self.note_last_command(command, false);
        if let Some(routed) = self.routed(command, body) {
            self.last_query.forget();
            return Route::Lane(routed);
        }
        self.last_query.keep(command, body);
        self.note_forwarded(command, body);
        Route::Forward
    }

    /// The query that the store has just answered with a stub's error, if the lane may run it
    /// again.
    fn take_back(&mut self, answer: &[u8]) -> Option<(Bytes, Routed)> {
        let account = &self.context.account;
        let text = self.last_query.take().filter(|text| {
            account.may_look_anew() && !may_leave_traces(&String::from_utf8_lossy(text))
        });
        let (Some(text), Some(error)) = (text, last_error(answer)) else {
            // This statement fails; after a refresh of the views, later ones are routed to the
            // lane.
            account.suspect_views();
            return None;
        };
        let routed = Routed::TakenBack(Box::new(error));
        Some((command_payload(command::QUERY, &text), routed))
    }

    fn long_begins(&mut self, long: LongHead<'_>) -> LongRoute {
        self.route_long(long)
    }

    fn look(&mut self, part: &[u8]) -> bool {
        self.look_at(part)
    }

    fn looked_in_vain(&mut self, command: u8) {
        self.note_last_command(command, false);
        self.note_long_forwarded(command, &[]);
    }

    fn passed_unseen(&mut self, command: u8, head: &[u8]) {
        self.may_be_in_schema |= matches!(command, command::QUERY | command::STMT_PREPARE);
        self.note_last_command(command, true);
        self.note_long_forwarded(command, head);
    }

    fn refuse(&mut self, command: u8, head: &[u8], why: Refusal) -> Option<Routed> {
        self.refuse_long(command, head, why)
    }

    fn instead_of_stub(&mut self) -> Option<ErrPacket> {
        self.unseen_call()
    }

    async fn handle(&mut self, mut takeover: Takeover<'_, Routed>) -> Result<Handled, SessionEnd> {
        let command = takeover.command.first().copied().unwrap_or_default();
        let body = takeover.command.split_off(1.min(takeover.command.len()));
        self.prepared.taken_over(command, takeover.prepared);
        let (mut turn, routed) = Turn::new(takeover);
        let done = self.answer(&mut turn, routed, command, &body).await;
        let handled = match done {
            Ok(Done::Answered(left)) => self
                .leave(&mut turn, left)
                .await
                .map(|()| Handled::Answered),
            Ok(Done::Forward(payload)) => {
                self.remembered.forwarded(&payload);
                Ok(Handled::Forward(payload))
            }
            Err(error) => Err(error),
        };
        turn.record.note_outcome(failure::outcome(&handled));
        match handled {
            Ok(handled) => Ok(handled),
            Err(error) => self.fail(&mut turn, command, error).await,
        }
    }
}

impl Lane {
    /// Updates the lane's state for a command that is forwarded to the store.
    fn note_forwarded(&mut self, command: u8, body: &[u8]) {
        match command {
            command::STMT_PREPARE => self.prepared.forget_last(),
            command::STMT_CLOSE => {
                self.prepared.close(body);
                return; // changes no diagnostics
            }
            command::STMT_RESET => self.prepared.reset(body),
            command::CHANGE_USER | command::RESET_CONNECTION => {
                self.prepared = PreparedStatements::default();
                self.named = NamedStatements::default();
                self.tables.forget();
            }
            _ => {}
        }
        self.remembered = Remembered::default();
    }

    /// The same for a long command, which may be known by its head only.
    pub(in crate::lane) fn note_long_forwarded(&mut self, command: u8, head: &[u8]) {
        self.last_query.forget();
        self.note_forwarded(command, head);
    }

    async fn answer(
        &mut self,
        turn: &mut Turn<'_>,
        routed: Routed,
        command: u8,
        body: &Bytes,
    ) -> Result<Done, LinkError> {
        match routed {
            Routed::Query(kind) => self.answer_query(turn, kind, body).await,
            Routed::TakenBack(error) => {
                // The store has run the query already and must not run it twice.
                self.look_anew().await;
                let done = match self.statement_kind(body) {
                    Some(kind) => Some(Box::pin(self.answer_query(turn, kind, body)).await?),
                    None => None,
                };
                match done {
                    Some(done @ Done::Answered(_)) => Ok(done),
                    Some(Done::Forward(_)) | None => {
                        self.context.account.looked_in_vain();
                        Err(LinkError::Refused(*error))
                    }
                }
            }
            Routed::Prepare(PreparedKind::Catalog) => self.prepare_catalog(turn, utf8(body)?).await,
            Routed::Prepare(PreparedKind::Predict) => self.answer_prepare(turn, body).await,
            Routed::Execute => self.answer_execute(turn, body).await,
            Routed::LongData => Ok(self.keep_long_data(body)),
            Routed::BulkExecute => Err(bulk_execution()),
            Routed::Refused(error) => Err(LinkError::Sql(*error)),
            Routed::OfLast => match self.prepared.with_id(command, body) {
                Some(body) => self.answer_last(turn, command, &body).await,
                None => Ok(Done::Forward(command_payload(command, body))),
            },
        }
    }

    async fn answer_query(
        &mut self,
        turn: &mut Turn<'_>,
        kind: StatementKind,
        body: &Bytes,
    ) -> Result<Done, LinkError> {
        match kind {
            StatementKind::Diagnostics(show) => self.show_diagnostics(turn, show).await,
            StatementKind::Kill(kill) => self.answer_kill(turn, body, kill).await,
            StatementKind::Several => self.answer_several(turn, body).await,
            StatementKind::Catalog => self.answer_catalog(turn, command::QUERY, utf8(body)?).await,
            StatementKind::Named => {
                let (done, named) = self.answer_named_or_select(turn, body).await?;
                if named && matches!(done, Done::Forward(_)) {
                    self.leave_as_found(turn).await?;
                }
                Ok(done)
            }
            StatementKind::Predict => self.answer_select(turn, body, Protocol::Text, None).await,
            StatementKind::Remembered => Ok(self.forward_with_remembered(body)),
        }
    }

    /// Handles a command for the last prepared statement; the body holds its real id.
    async fn answer_last(
        &mut self,
        turn: &mut Turn<'_>,
        command: u8,
        body: &Bytes,
    ) -> Result<Done, LinkError> {
        let owned = self.prepared.owns(body);
        match command {
            command::STMT_CLOSE => self.prepared.close(body),
            command::STMT_RESET => self.prepared.reset(body),
            command::STMT_EXECUTE if owned => return self.answer_execute(turn, body).await,
            command::STMT_SEND_LONG_DATA if owned => return Ok(self.keep_long_data(body)),
            command::STMT_BULK_EXECUTE if owned => return Err(bulk_execution()),
            _ => {}
        }
        if command != command::STMT_CLOSE {
            self.remembered = Remembered::default();
        }
        Ok(Done::Forward(command_payload(command, body)))
    }

    /// Reloads the catalog and the store's views.
    async fn look_anew(&self) {
        let account = &self.context.account;
        account.invalidate();
        if let Err(error) = account.snapshot().await {
            tracing::debug!(%error, "the catalog cannot be read");
        }
        if let Err(error) = account.refresh_views().await {
            tracing::debug!(%error, "views over predictions cannot be read");
        }
    }
}

fn bulk_execution() -> LinkError {
    SqlError::unsupported("bulk execution of statements with predictions").into()
}
