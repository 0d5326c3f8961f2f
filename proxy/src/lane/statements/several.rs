//! Several statements in one text, some of which hold predictions: each is answered in turn, as one
//! result after the other.

use predictsql_optimizer::statement::split;

use crate::lane::session::lane::Lane;
use crate::lane::session::settings;
use crate::lane::statements::catalog;
use crate::lane::store::error::LinkError;
use crate::lane::store::link::Protocol;
use crate::lane::turn::Turn;
use crate::relay::Handled;
use crate::wire::{Capabilities, command};

/// Whether a text may hold several statements of a client that may send them.
pub(in crate::lane) fn may_be_several(text: &[u8], capabilities: Capabilities) -> bool {
    let text = text.trim_ascii_end();
    let text = text.strip_suffix(b";").unwrap_or(text);
    capabilities.has(Capabilities::MULTI_STATEMENTS) && memchr::memchr(b';', text).is_some()
}

impl Lane {
    /// Answers a text of several statements; of one, where its semicolons turn out to be in strings.
    pub(in crate::lane) async fn answer_several(
        &mut self,
        turn: &mut Turn<'_>,
        body: &[u8],
    ) -> Result<Handled, LinkError> {
        let settings = settings::SessionSettings::read(&mut turn.store, body).await?;
        let text = settings.encoding.decode(body);
        let Some(statements) = split(&text, settings.lex) else {
            return match catalog::recognise(&text) {
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
        for (number, statement) in statements.into_iter().enumerate() {
            turn.more = number < last;
            turn.own_columns = None;
            turn.store.set_for_statements(None);
            let sql = settings.encoding.encode(statement);
            if self.show_diagnostics(turn, &sql).await? {
                continue;
            }
            if catalog::recognise(statement) {
                let handled = self.answer_catalog(turn, command::QUERY, statement);
                if let Handled::Forward(select) = handled.await? {
                    let select = String::from_utf8_lossy(select.get(1..).unwrap_or_default());
                    let plain = self.plain(&select, settings.lex);
                    self.answer_plain(turn, &plain, &Protocol::Text).await?;
                }
                continue;
            }
            match self.answer_named(turn, &sql).await? {
                Some(Handled::Answered) => {
                    turn.store.end_statement();
                    continue;
                }
                Some(Handled::Forward(_)) => {
                    let plain = self.plain(statement, settings.lex);
                    self.answer_plain(turn, &plain, &Protocol::Text).await?;
                    turn.store.end_statement();
                    continue;
                }
                None => {}
            }
            if !self.is_ours(statement.as_bytes()) {
                let plain = self.plain(statement, settings.lex);
                self.answer_plain(turn, &plain, &Protocol::Text).await?;
                continue;
            }
            if let Handled::Forward(_) =
                self.answer_select(turn, &sql, Protocol::Text, None).await?
            {
                let plain = self.plain(statement, settings.lex);
                self.answer_plain(turn, &plain, &Protocol::Text).await?;
            }
            turn.store.end_statement();
        }
        Ok(Handled::Answered)
    }
}
