//! Several statements in one text, some of which hold predictions: each is answered in turn, as one
//! result after the other.

use predictsql_optimizer::ddl;
use predictsql_optimizer::statement::split;

use crate::lane::plans::materialise::restated;
use crate::lane::session::settings;
use crate::lane::statements::catalog;
use crate::lane::store::link::{Head, LinkError, Next, Protocol};
use crate::lane::store::result::write_head;
use crate::lane::{Lane, Turn, may_be_catalog_statement};
use crate::relay::Handled;
use crate::wire::{Capabilities, OkPacket, StatusFlags, command, encode_result_end};
use predictsql_optimizer::{Fragment, LexMode};

/// Bytes of rows that are collected before they are sent.
const FLUSH_BYTES: usize = 64 * 1024;

/// Whether a text may hold several statements of a client that may send them.
pub(in crate::lane) fn may_be_several(text: &[u8], capabilities: Capabilities) -> bool {
    let text = text.trim_ascii_end();
    let text = text.strip_suffix(b";").unwrap_or(text);
    capabilities.has(Capabilities::MULTI_STATEMENTS) && memchr::memchr(b';', text).is_some()
}

/// Whether one of several statements begins as a catalog statement, but for the first, which may with settings
/// of its own.
pub(in crate::lane) fn may_hold_catalog_statement(text: &[u8]) -> bool {
    catalog::is_headed(text)
        || memchr::memchr_iter(b';', text).any(|semicolon| {
            let rest = text.get(semicolon + 1..).unwrap_or_default();
            catalog::is_headed(rest)
                || (may_be_catalog_statement(rest)
                    && ddl::recognise(&String::from_utf8_lossy(rest)))
        })
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

    /// A statement for the store, with what it reads of the one before.
    fn plain(&mut self, statement: &str, mode: LexMode) -> Fragment {
        let written = self.with_remembered(statement, mode);
        Fragment {
            sql: written.unwrap_or_else(|| statement.to_owned()),
            parameters: Vec::new(),
        }
    }

    /// Runs a statement on the store and passes its results on.
    pub(in crate::lane) async fn answer_plain(
        &mut self,
        turn: &mut Turn<'_>,
        statement: &Fragment,
        protocol: &Protocol,
    ) -> Result<(), LinkError> {
        let (head, id) = turn.store.run(statement, protocol).await?;
        let passed = self.pass_results(turn, head).await;
        turn.store.finish(id, passed).await
    }

    async fn pass_results(&mut self, turn: &mut Turn<'_>, mut head: Head) -> Result<(), LinkError> {
        loop {
            let status = match head {
                Head::Done(payload) => {
                    let ok = OkPacket::parse(&payload)?;
                    let status = turn.end_status(ok.status);
                    let restated = restated(&payload, status, ok.warnings)?;
                    turn.out.write(&restated);
                    ok.status
                }
                Head::Rows(columns) => {
                    let columns = turn.as_described(columns);
                    write_head(&mut turn.out, turn.capabilities, &columns, *turn.status);
                    self.pass_rows(turn).await?
                }
            };
            *turn.status = status & !StatusFlags::SERVER_MORE_RESULTS_EXISTS;
            turn.flush().await?;
            if !status.contains(StatusFlags::SERVER_MORE_RESULTS_EXISTS) {
                return Ok(());
            }
            head = turn.store.head().await?; // of a procedure
        }
    }

    async fn pass_rows(&mut self, turn: &mut Turn<'_>) -> Result<StatusFlags, LinkError> {
        let mut unsent = 0;
        loop {
            match turn.store.next().await? {
                Next::Row(row) => {
                    turn.out.write(&row);
                    unsent += row.len();
                    if unsent >= FLUSH_BYTES {
                        unsent = 0;
                        turn.flush().await?;
                    }
                }
                Next::Part { bytes, packet, .. } => {
                    if let Some(length) = packet {
                        turn.out.put_header(length);
                    }
                    turn.out.put_bytes(&bytes);
                    turn.flush().await?;
                }
                Next::End(end) => {
                    let status = turn.end_status(end.status);
                    let end_packet = encode_result_end(turn.capabilities, status, end.warnings);
                    turn.out.write(&end_packet);
                    return Ok(end.status);
                }
            }
        }
    }
}
