//! Multi-statement texts in which some statements contain predict calls: the lane answers the
//! statements in order, one result after the other.

use bytes::Bytes;
use predictsql_optimizer::statement::split;

use crate::lane::session::lane::Lane;
use crate::lane::session::left::{Done, Left};
use crate::lane::session::settings::SessionSettings;
use crate::lane::statements::route::{StatementKind, is_catalog};
use crate::lane::store::error::LinkError;
use crate::lane::store::link::Protocol;
use crate::lane::turn::Turn;
use crate::wire::command;

impl Lane {
    /// Answers a multi-statement text, or a single statement whose semicolons turn out to be in
    /// string literals.
    pub(in crate::lane) async fn answer_several(
        &mut self,
        turn: &mut Turn<'_>,
        body: &Bytes,
    ) -> Result<Done, LinkError> {
        let settings = SessionSettings::read(&mut turn.store, body).await?;
        let text = settings.encoding.decode(body);
        let Some(statements) = split(&text, settings.lex) else {
            return match is_catalog(body) {
                true => self.answer_catalog(turn, command::QUERY, &text).await,
                false => self.answer_select(turn, body, Protocol::Text, None).await,
            };
        };
        if statements
            .first()
            .is_some_and(|first| !self.is_ours(first.as_bytes()))
        {
            self.leave_as_found(turn).await?;
        }
        let last = statements.len() - 1;
        let mut left = Left::default();
        for (number, statement) in statements.into_iter().enumerate() {
            if number > 0 {
                self.leave(turn, left).await?;
            }
            turn.more = number < last;
            turn.own_columns = None;
            turn.as_written = None;
            turn.store.set_for_statements(None);
            left = self
                .answer_one_of_several(turn, statement, &settings)
                .await?;
        }
        Ok(Done::Answered(left))
    }

    async fn answer_one_of_several(
        &mut self,
        turn: &mut Turn<'_>,
        statement: &str,
        settings: &SessionSettings,
    ) -> Result<Left, LinkError> {
        let sql = Bytes::from(settings.encoding.encode(statement).into_owned());
        let done = match self.statement_kind(&sql) {
            Some(StatementKind::Diagnostics(show)) => self.show_diagnostics(turn, show).await?,
            Some(StatementKind::Catalog) => {
                return match self.answer_catalog(turn, command::QUERY, statement).await? {
                    Done::Answered(left) => Ok(left),
                    Done::Forward(select) => {
                        let select = String::from_utf8_lossy(select.get(1..).unwrap_or_default());
                        self.answer_plain(turn, &select, settings.lex).await
                    }
                };
            }
            Some(StatementKind::Named) => self.answer_named_or_select(turn, &sql).await?.0,
            // `Several`: the semicolon is in a string literal.
            Some(StatementKind::Predict | StatementKind::Several) => {
                self.answer_select(turn, &sql, Protocol::Text, None).await?
            }
            Some(StatementKind::Kill(_) | StatementKind::Remembered) | None => {
                return self.answer_plain(turn, statement, settings.lex).await;
            }
        };
        let left = match done {
            Done::Answered(left) => left,
            Done::Forward(_) => self.answer_plain(turn, statement, settings.lex).await?,
        };
        turn.store.end_statement();
        Ok(left)
    }
}
