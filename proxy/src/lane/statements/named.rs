//! Statements prepared in SQL: `PREPARE`, `EXECUTE`, `EXECUTE IMMEDIATE`.
//!
//! The store prepares them too, over stubs, so names, limits and `DEALLOCATE` work as in the
//! store. The lane answers the execution of a statement with predict calls, with the parameter
//! values substituted into its text.

use bytes::Bytes;
use predictsql_optimizer::heads::{
    NamedStatement, parameter_count, statement_settings, with_values,
};
use predictsql_optimizer::views::changes_views;
use predictsql_optimizer::{Fragment, LexMode};

use crate::lane::plans::reading;
use crate::lane::plans::ready::choose;
use crate::lane::session::lane::Lane;
use crate::lane::session::left::{Done, Left};
use crate::lane::session::named::Named;
use crate::lane::session::settings::SessionSettings;
use crate::lane::statements::views;
use crate::lane::store::bounds::is_interruption;
use crate::lane::store::error::LinkError;
use crate::lane::store::link::{Protocol, command_payload};
use crate::lane::turn::Turn;
use crate::wire::{Malformed, command};

/// Collation id of binary.
const BINARY: u16 = 63;

/// Whether a text begins with one of `words`, ignoring case and leading whitespace.
fn begins(body: &[u8], words: &[&[u8]]) -> bool {
    let body = body.trim_ascii_start();
    words.iter().any(|word| {
        body.get(..word.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(word))
    })
}

/// Whether a text begins with a keyword of a statement about prepared statements.
pub fn begins_so(body: &[u8]) -> bool {
    begins(body, &[b"PREPARE", b"EXECUTE", b"DEALLOCATE", b"DROP"])
}

impl Lane {
    /// Whether a text may prepare or execute a statement with predict calls, or may deallocate
    /// one.
    pub(in crate::lane) fn may_be_named(&self, body: &[u8]) -> bool {
        let known = !self.named.0.is_empty();
        if begins(body, &[b"PREPARE", b"EXECUTE"]) {
            // A variable can hold any statement text.
            return known || memchr::memchr(b'@', body).is_some() || self.may_predict(body);
        }
        known && begins(body, &[b"DEALLOCATE", b"DROP"])
    }

    /// Answers a text that begins with such a keyword; the flag is true if it is a statement about
    /// prepared statements.
    pub(in crate::lane) async fn answer_named_or_select(
        &mut self,
        turn: &mut Turn<'_>,
        body: &Bytes,
    ) -> Result<(Done, bool), LinkError> {
        if let Some(done) = self.answer_named(turn, body).await? {
            return Ok((done, true));
        }
        let done = self.answer_select(turn, body, Protocol::Text, None).await?;
        Ok((done, false))
    }

    /// Answers a statement about prepared statements; `None` for any other statement.
    async fn answer_named(
        &mut self,
        turn: &mut Turn<'_>,
        body: &Bytes,
    ) -> Result<Option<Done>, LinkError> {
        let mut settings = SessionSettings::read(&mut turn.store, body).await?;
        // What is prepared may stand in a long literal.
        settings.read_whole(&mut turn.store, body);
        let text = settings.encoding.decode(body);
        let Some(statement) = NamedStatement::read(&text, settings.lex) else {
            return Ok(None);
        };
        let as_sent = Done::Forward(command_payload(command::QUERY, body));
        match statement {
            NamedStatement::Prepare { name, text } => {
                self.named.0.remove(&name);
                let Some(text) = self.predicting_text(turn, &settings, &text).await? else {
                    return Ok(Some(as_sent));
                };
                self.find_bare_calls(turn, &mut settings, &text).await?;
                self.check_named(turn, &settings, &text).await?;
                let whole = Fragment {
                    sql: settings.encoding.decode(body).into_owned(),
                    parameters: Vec::new(),
                };
                self.pass_through(turn, &whole, &Protocol::Text).await?;
                let meaning = settings.meaning;
                self.named.0.insert(name, Named { text, meaning });
                Ok(Some(Done::Answered(Left::default())))
            }
            NamedStatement::Execute { name, values } => match self.named.0.get(&name).cloned() {
                Some(named) => {
                    self.execute_named(turn, &settings, named, &values, as_sent)
                        .await
                }
                None => Ok(Some(as_sent)),
            },
            NamedStatement::Immediate { text, values } => {
                let Some(text) = self.predicting_text(turn, &settings, &text).await? else {
                    return Ok(Some(as_sent));
                };
                let meaning = settings.meaning.clone();
                let named = Named { text, meaning };
                self.execute_named(turn, &settings, named, &values, as_sent)
                    .await
            }
            NamedStatement::Deallocate { name } => {
                self.named.0.remove(&name);
                Ok(Some(as_sent))
            }
        }
    }

    /// Does the checks that the store's preparation over stubs does not do.
    async fn check_named(
        &self,
        turn: &mut Turn<'_>,
        settings: &SessionSettings,
        text: &str,
    ) -> Result<(), LinkError> {
        if changes_views(text, settings.lex) || statement_settings(text, settings.lex).is_some() {
            return Ok(());
        }
        let expanded = views::expand(turn, &self.context, settings, text).await?;
        let text = expanded.as_ref().map_or(text, |e| &e.text.sql);
        if let Some((statement, _)) = reading::read(&self.context, settings, text).await? {
            choose(turn, &statement, settings.forced_plan).await?;
        }
        Ok(())
    }

    /// The statement text that an expression evaluates to, if it may contain predict calls.
    async fn predicting_text(
        &mut self,
        turn: &mut Turn<'_>,
        settings: &SessionSettings,
        expression: &str,
    ) -> Result<Option<String>, LinkError> {
        let asked = format!("SELECT HEX(CONVERT({expression} USING utf8mb4)) LIMIT 1");
        let answer = match turn.store.ask_text(&asked).await {
            Ok(answer) => answer,
            // The store returns the same error for the client's statement.
            Err(LinkError::Refused(error)) if !is_interruption(error.code) => return Ok(None),
            Err(error) => return Err(error),
        };
        let digits = answer.text(0, 0)?.unwrap_or_default();
        let Ok(text) = String::from_utf8(from_hex(&digits)?) else {
            return Ok(None);
        };
        let ours = self.is_ours(settings.encoding.encode(&text).as_ref());
        Ok(ours.then_some(text))
    }

    async fn execute_named(
        &mut self,
        turn: &mut Turn<'_>,
        settings: &SessionSettings,
        named: Named,
        values: &[String],
        as_sent: Done,
    ) -> Result<Option<Done>, LinkError> {
        if parameter_count(&named.text, settings.lex) != Some(values.len()) {
            return Ok(Some(as_sent)); // the store reports the wrong count
        }
        let literals = literals(turn, values, settings.lex).await?;
        let Some(text) = with_values(&named.text, settings.lex, &literals) else {
            return Ok(Some(as_sent));
        };
        if !values.is_empty() {
            // Unnamed columns are named after their text, with the parameter markers.
            let columns = turn.store.describe(&named.text).await?;
            turn.own_columns = Some(columns);
        }
        let sql = Bytes::from(settings.encoding.encode(&text).into_owned());
        let handled = self.answer_select(turn, &sql, Protocol::Text, Some(named.meaning));
        Box::pin(handled).await.map(Some)
    }
}

/// The values of expressions, as literals of their types.
async fn literals(
    turn: &mut Turn<'_>,
    values: &[String],
    mode: LexMode,
) -> Result<Vec<String>, LinkError> {
    if values.is_empty() {
        return Ok(Vec::new());
    }
    let columns: Vec<String> = values
        .iter()
        .map(|v| format!("{v}, HEX({v}), HEX(CONVERT({v} USING utf8mb4))"))
        .collect();
    let asked = format!("SELECT {} LIMIT 1", columns.join(", "));
    let answer = turn.store.ask_text(&asked).await?;
    let mut literals = Vec::new();
    for place in (0..answer.columns.len()).step_by(3) {
        let bytes = answer.text(0, place + 1)?;
        let text = answer.text(0, place + 2)?;
        let kind = answer
            .columns
            .get(place)
            .map(|c| (c.column_type, c.charset));
        literals.push(match (bytes, text, kind) {
            (Some(bytes), Some(text), Some((kind, charset))) => {
                literal(&bytes, &from_hex(&text)?, kind, charset, mode)
            }
            _ => "NULL".to_owned(),
        });
    }
    Ok(literals)
}

/// A value as a literal: `bytes` is the raw value in hexadecimal digits, `text` the value in
/// UTF-8.
fn literal(bytes: &str, text: &[u8], kind: u8, charset: u16, mode: LexMode) -> String {
    let shown = String::from_utf8_lossy(text);
    match kind {
        // DECIMAL, TINY to LONGLONG, INT24, NEWDECIMAL
        0..=3 | 8 | 9 | 13 | 246 if shown.starts_with('-') => format!("({shown})"),
        0..=3 | 8 | 9 | 13 | 246 => shown.into_owned(),
        // FLOAT, DOUBLE
        4 | 5 if shown.contains('e') => format!("({shown})"),
        4 | 5 => format!("({shown}e0)"),
        _ if charset == BINARY && !matches!(kind, 7 | 10..=12) => format!("X'{bytes}'"),
        _ if shown.is_ascii() && !mode.no_backslash_escapes => {
            format!("'{}'", shown.replace('\\', "\\\\").replace('\'', "''"))
        }
        _ if shown.is_ascii() => format!("'{}'", shown.replace('\'', "''")),
        _ => {
            format!("_utf8mb4 X'{}'", hex::encode_upper(text))
        }
    }
}

fn from_hex(digits: &str) -> Result<Vec<u8>, Malformed> {
    hex::decode(digits).map_err(|_| Malformed("the store gave no hexadecimal digits"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn values_become_literals_of_their_types() {
        let mode = LexMode::default();
        for (text, kind, charset, expected) in [
            ("-5", 8, BINARY, "(-5)"),
            ("1.50", 246, BINARY, "1.50"),
            ("0.1", 5, BINARY, "(0.1e0)"),
            ("1e-7", 5, BINARY, "(1e-7)"),
            (r"it's \", 253, 45, r"'it''s \\'"),
            ("é", 253, 45, "_utf8mb4 X'C3A9'"),
            ("2026-01-02", 10, BINARY, "'2026-01-02'"),
        ] {
            assert_eq!(literal("", text.as_bytes(), kind, charset, mode), expected);
        }
        assert_eq!(literal("00FF", b"", 253, BINARY, mode), "X'00FF'");
        assert_eq!(from_hex("00FF").unwrap(), [0, 255]);
        assert!(from_hex("0x").is_err());
    }
}
