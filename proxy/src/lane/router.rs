//! From a command to the lane's answer: who answers it, and the handler of its kind.

use bytes::Bytes;

use crate::error::SqlError;
use crate::lane::session::diagnostics::ShowDiagnostics;
use crate::lane::session::lane::Lane;
use crate::lane::session::last_query::last_error;
use crate::lane::session::left::{Done, Remembered};
use crate::lane::session::named::NamedStatements;
use crate::lane::session::prepared::PreparedStatements;
use crate::lane::statements::kill::Kill;
use crate::lane::statements::recognition::utf8;
use crate::lane::statements::{catalog, failure, several};
use crate::lane::store::error::LinkError;
use crate::lane::store::link::{Protocol, command_payload};
use crate::lane::turn::Turn;
use crate::relay::{Handled, Route, Router, SessionEnd, Takeover};
use crate::wire::command;
use predictsql_optimizer::may_leave_traces;

impl Router for Lane {
    fn route(&mut self, command: u8, body: &[u8]) -> Route {
        self.note_database(command, body);
        let route = self.route_noted(command, body);
        match route {
            Route::Forward => self.last_query.keep(command, body),
            Route::Lane => self.last_query.forget(),
        }
        route
    }

    fn take_back(&mut self, answer: &[u8]) -> Option<Bytes> {
        self.take_last_query(answer)
    }

    fn passed_unseen(&mut self, command: u8, head: &[u8]) {
        self.last_query.forget();
        self.may_be_in_schema |= matches!(command, command::QUERY | command::STMT_PREPARE);
        match command {
            command::STMT_PREPARE => self.prepared.forget_last(),
            // The store runs its stubs, which refuse; that uses up what was sent ahead.
            command::STMT_EXECUTE | command::STMT_BULK_EXECUTE => {
                self.prepared.executed_unseen(head);
            }
            command::STMT_RESET => self.prepared.reset(head),
            command::STMT_SEND_LONG_DATA => self.prepared.long_data_lost(head),
            command::STMT_CLOSE => {
                self.prepared.close(head);
                return; // changes no diagnostics
            }
            command::CHANGE_USER | command::RESET_CONNECTION => {
                self.prepared = PreparedStatements::default();
                self.named = NamedStatements::default();
                self.tables.forget();
            }
            _ => {}
        }
        self.remembered = Remembered::default();
    }

    async fn handle(&mut self, takeover: Takeover<'_>) -> Result<Handled, SessionEnd> {
        let command = takeover.command.first().copied().unwrap_or_default();
        let body = takeover.command.slice(1.min(takeover.command.len())..);
        let prepared = takeover.prepared;
        let mut turn = Turn::new(takeover);
        self.prepared.taken_over(command, prepared);
        let done = self.answer_once(&mut turn, command, &body).await;
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
    /// Who answers a command whose choice of a database is noted.
    fn route_noted(&mut self, command: u8, body: &[u8]) -> Route {
        let ours = match command {
            command::QUERY => {
                self.is_ours(body)
                    || self.may_be_named(body)
                    || Kill::parse(body).is_some()
                    || (self.remembered.diagnostics.is_some()
                        && ShowDiagnostics::recognise(body).is_some())
                    || self.may_read_remembered(body)
            }
            command::STMT_PREPARE => {
                let ours = self.is_ours(body);
                if !ours {
                    self.prepared.forget_last();
                }
                ours
            }
            command::STMT_EXECUTE | command::STMT_BULK_EXECUTE | command::STMT_SEND_LONG_DATA => {
                self.prepared.owns(body) || self.prepared.names_last(body)
            }
            command::STMT_CLOSE | command::STMT_RESET | command::STMT_FETCH
                if self.prepared.names_last(body) =>
            {
                true
            }
            command::STMT_CLOSE => {
                self.prepared.close(body);
                return Route::Forward; // changes no diagnostics
            }
            command::STMT_RESET => {
                self.prepared.reset(body);
                false
            }
            command::CHANGE_USER | command::RESET_CONNECTION => {
                self.prepared = PreparedStatements::default();
                self.named = NamedStatements::default();
                self.tables.forget();
                false
            }
            _ => false,
        };
        if ours {
            return Route::Lane;
        }
        self.remembered = Remembered::default();
        Route::Forward
    }

    async fn answer(
        &mut self,
        turn: &mut Turn<'_>,
        command: u8,
        body: &Bytes,
    ) -> Result<Done, LinkError> {
        if let Some(body) = self.prepared.with_id(command, body) {
            return self.answer_last(turn, command, &body).await;
        }
        match command {
            command::QUERY => {
                if let Some(left) = self.show_diagnostics(turn, body).await? {
                    return Ok(Done::Answered(left));
                }
                if let Some(kill) = Kill::parse(body) {
                    return self.answer_kill(turn, body, kill).await;
                }
                if !self.is_ours(body) && !self.may_be_named(body) {
                    return Ok(self.forward_with_remembered(body));
                }
                if several::may_be_several(body, turn.capabilities) {
                    return self.answer_several(turn, body).await;
                }
                if catalog::recognise(&String::from_utf8_lossy(body)) {
                    return self.answer_catalog(turn, command, utf8(body)?).await;
                }
                if let Some(done) = self.answer_named(turn, body).await? {
                    if matches!(done, Done::Forward(_)) {
                        self.leave_as_found(turn).await?;
                    }
                    return Ok(done);
                }
                self.answer_select(turn, body, Protocol::Text, None).await
            }
            command::STMT_PREPARE => self.answer_prepare(turn, body).await,
            command::STMT_EXECUTE => self.answer_execute(turn, body).await,
            command::STMT_SEND_LONG_DATA => {
                self.keep_long_data(body);
                Ok(Done::Answered(self.remembered.unchanged())) // the protocol has no answer to it
            }
            _ => Err(SqlError::unsupported("bulk execution of statements with predictions").into()),
        }
    }
}

impl Lane {
    /// A command of the statement prepared last, by its id.
    async fn answer_last(
        &mut self,
        turn: &mut Turn<'_>,
        command: u8,
        body: &Bytes,
    ) -> Result<Done, LinkError> {
        let is_close = command == command::STMT_CLOSE;
        match command {
            command::STMT_CLOSE => self.prepared.close(body),
            command::STMT_RESET => self.prepared.reset(body),
            command::STMT_FETCH => {}
            _ if self.prepared.owns(body) => {
                return Box::pin(self.answer(turn, command, body)).await;
            }
            _ => {}
        }
        if !is_close {
            self.remembered = Remembered::default();
        }
        Ok(Done::Forward(command_payload(command, body)))
    }
}

impl Lane {
    /// The query that the store has just answered with the error of a stub, if it can be answered again.
    pub(in crate::lane) fn take_last_query(&mut self, answer: &[u8]) -> Option<Bytes> {
        let account = &self.context.account;
        let text = self.last_query.take().filter(|text| {
            account.may_look_anew() && !may_leave_traces(&String::from_utf8_lossy(text))
        });
        let (Some(text), Some(error)) = (text, last_error(answer)) else {
            // Of other statements the next ones will be known.
            account.suspect_views();
            return None;
        };
        self.taken_back = Some(error);
        Some(command_payload(command::QUERY, &text))
    }

    /// Answers a command. One that was taken back has run at the store: it does not run there once more.
    pub(in crate::lane) async fn answer_once(
        &mut self,
        turn: &mut Turn<'_>,
        command: u8,
        body: &Bytes,
    ) -> Result<Done, LinkError> {
        let Some(error) = self.taken_back.take() else {
            return self.answer(turn, command, body).await;
        };
        self.look_anew().await;
        match Box::pin(self.answer(turn, command, body)).await {
            Ok(Done::Forward(_)) => {
                self.context.account.looked_in_vain();
                Err(LinkError::Refused(error))
            }
            answered => answered,
        }
    }

    /// Looks at the catalog and at the store's views.
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
