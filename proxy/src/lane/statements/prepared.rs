//! Statements that clients prepared through the lane. Their ids are the store's own: the store
//! holds the statement over typed stubs, and the lane the text that it came from.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::{BufMut, Bytes, BytesMut};
use predictsql_optimizer::ddl::{self, CatalogStatement};
use predictsql_optimizer::explain::WIDTH;
use predictsql_optimizer::planner::check_has_model;
use predictsql_optimizer::statement::explained_statement;
use predictsql_optimizer::views::changes_views;

use crate::error::{ErrorKind, SqlError};
use crate::lane::plans::reading;
use crate::lane::plans::ready::choose;
use crate::lane::session::effects::Counts;
use crate::lane::session::settings;
use crate::lane::session::settings::Meaning;
use crate::lane::statements::{catalog, evaluate, views};
use crate::lane::store::link::{LinkError, Prepared, Protocol, command_payload};
use crate::lane::store::parameters::Parameters;
use crate::lane::store::result::{name_cells, text_column, with_negotiated_metadata};
use crate::lane::store::rows::Codec;
use crate::lane::store::spool::{SentAhead, SpoolAccount};
use crate::lane::{Lane, Turn};
use crate::relay::Handled;
use crate::wire::{Capabilities, Malformed, StatusFlags, command, encode_eof, lenenc};

/// Statement id by which MariaDB's clients mean the one prepared last.
const LAST: u32 = u32::MAX;

#[derive(Debug)]
enum Kept {
    Select(Box<KeptSelect>),
    Catalog(Box<CatalogStatement>),
}

#[derive(Debug)]
struct KeptSelect {
    /// As the client sent it.
    statement: Bytes,
    /// What it was prepared under.
    meaning: Meaning,
    parameter_count: usize,
    /// Types of the last execution's parameters.
    kinds: Vec<u16>,
    /// Data sent ahead; an error once it was too long.
    long_data: Result<LongData, SqlError>,
}

/// Data sent ahead.
#[derive(Debug, Default)]
struct LongData {
    by_parameter: BTreeMap<u16, BytesMut>,
    bytes: usize,
    held: Option<SentAhead>,
}

impl LongData {
    fn push(
        &mut self,
        parameter: u16,
        data: &[u8],
        bytes_max: usize,
        account: &Arc<SpoolAccount>,
    ) -> Result<(), SqlError> {
        if self.bytes + data.len() > bytes_max {
            return Err(too_long());
        }
        let held = self.held.get_or_insert_with(|| SentAhead::new(account));
        if !held.grow(data.len() as u64) {
            return Err(SqlError::new(
                ErrorKind::OutOfMemory,
                "Out of memory: data sent ahead for parameters in all sessions reaches a quarter of \
                 statements_memory_bytes_max",
            ));
        }
        self.bytes += data.len();
        let of_parameter = self.by_parameter.entry(parameter).or_default();
        of_parameter.extend_from_slice(data);
        Ok(())
    }
}

fn too_long() -> SqlError {
    SqlError::new(
        ErrorKind::PacketTooLarge,
        "Data sent ahead for a parameter exceeds long_data_bytes_max",
    )
}

/// The prepared statements of one session that are the lane's.
#[derive(Debug, Default)]
pub struct PreparedStatements {
    by_id: BTreeMap<u32, Kept>,
    last: Last,
}

/// The statement that the client has prepared last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Last {
    /// There is none, or it is closed.
    #[default]
    None,
    /// The store takes it for the last one, too: the lane has prepared none since.
    AtStore,
    /// The store may take one of the lane's for it.
    Known(u32),
}

impl PreparedStatements {
    /// Whether the command body starts with the id of one of them.
    pub fn owns(&self, body: &[u8]) -> bool {
        self.id(body).is_some_and(|id| self.by_id.contains_key(&id))
    }

    /// The store was asked to prepare another statement.
    pub fn forget_last(&mut self) {
        self.last = Last::AtStore;
    }

    /// The lane takes over; the store has prepared `prepared` for the client last, if it could. A statement that
    /// cannot be prepared leaves none.
    pub fn taken_over(&mut self, command: u8, prepared: Option<u32>) {
        if command == command::STMT_PREPARE {
            self.last = Last::None;
        } else if self.last == Last::AtStore {
            self.last = prepared.map_or(Last::None, Last::Known);
        }
    }

    /// Whether a command body means the statement prepared last where the store may take another for it.
    pub fn names_last(&self, body: &[u8]) -> bool {
        lenenc::get_u32(&mut &*body) == Ok(LAST) && matches!(self.last, Last::Known(_))
    }

    /// A command body that means the statement prepared last, with its id.
    pub fn with_id(&self, command: u8, body: &[u8]) -> Option<Bytes> {
        let Last::Known(id) = self.last else {
            return None;
        };
        if matches!(command, command::QUERY | command::STMT_PREPARE) {
            return None;
        }
        let (named, rest) = body.split_at_checked(size_of::<u32>())?;
        (named == LAST.to_le_bytes()).then(|| [&id.to_le_bytes(), rest].concat().into())
    }

    /// COM_STMT_CLOSE.
    pub fn close(&mut self, body: &[u8]) {
        if let Some(id) = self.id(body) {
            self.by_id.remove(&id);
            if self.last == Last::Known(id) {
                self.last = Last::None;
            }
        }
    }

    /// COM_STMT_RESET: drops data sent ahead.
    pub fn reset(&mut self, body: &[u8]) {
        if let Some(Kept::Select(kept)) = self.id(body).and_then(|id| self.by_id.get_mut(&id)) {
            kept.long_data = Ok(LongData::default());
        }
    }

    /// COM_STMT_EXECUTE that was too long to be looked at: it may have bound other types.
    pub fn executed_unseen(&mut self, body: &[u8]) {
        self.reset(body);
        if let Some(Kept::Select(kept)) = self.id(body).and_then(|id| self.by_id.get_mut(&id)) {
            kept.kinds.clear();
        }
    }

    /// COM_STMT_SEND_LONG_DATA; what goes wrong is told at the execution, as the store does.
    pub fn long_data(&mut self, body: &[u8], bytes_max: usize, account: &Arc<SpoolAccount>) {
        let Some(Kept::Select(kept)) = self.id(body).and_then(|id| self.by_id.get_mut(&id)) else {
            return;
        };
        let mut input = body.get(4..).unwrap_or_default();
        let Ok(parameter) = lenenc::get_u16(&mut input) else {
            return;
        };
        if let Ok(long_data) = &mut kept.long_data
            && let Err(error) = long_data.push(parameter, input, bytes_max, account)
        {
            kept.long_data = Err(error);
        }
    }

    /// A COM_STMT_SEND_LONG_DATA that was too long to be looked at went to the store: as [`Self::long_data`] of too much.
    pub fn long_data_lost(&mut self, head: &[u8]) {
        if let Some(Kept::Select(kept)) = self.id(head).and_then(|id| self.by_id.get_mut(&id)) {
            kept.long_data = Err(too_long());
        }
    }

    fn id(&self, body: &[u8]) -> Option<u32> {
        match (lenenc::get_u32(&mut &*body).ok()?, self.last) {
            (LAST, Last::Known(id)) => Some(id),
            (LAST, _) => None,
            (id, _) => Some(id),
        }
    }

    fn keep(&mut self, id: u32, kept: Kept) {
        self.by_id.insert(id, kept);
        self.last = Last::Known(id);
    }
}

impl KeptSelect {
    /// The parameters of an execution; data sent ahead is used up.
    fn parameters(&mut self, body: &Bytes) -> Result<(Parameters, Option<SentAhead>), LinkError> {
        let long_data = std::mem::replace(&mut self.long_data, Ok(LongData::default()))?;
        let sent = &long_data.by_parameter;
        let parameters = Parameters::read(body, self.parameter_count, &mut self.kinds, sent);
        let wrong = |Malformed(_)| {
            SqlError::new(ErrorKind::WrongArguments, "Incorrect arguments to EXECUTE")
        };
        Ok((parameters.map_err(wrong)?, long_data.held))
    }
}

impl Lane {
    /// COM_STMT_PREPARE: the store prepares the statement over typed stubs, which checks and
    /// describes it.
    pub(in crate::lane) async fn answer_prepare(
        &mut self,
        turn: &mut Turn<'_>,
        body: &Bytes,
    ) -> Result<Handled, LinkError> {
        if ddl::recognise(&String::from_utf8_lossy(body)) {
            return self.prepare_catalog(turn, crate::lane::utf8(body)?).await;
        }
        let (settings, text) = self.settings_of(turn, body).await?;
        if changes_views(&text, settings.lex) {
            let stored = self.stored(&settings, &text).await?;
            let prepared = turn.store.prepare(&stored.sql).await?;
            return self.keep_prepared(turn, body, settings, prepared).await;
        }
        let context = Arc::clone(&self.context);
        let expanded = views::expand(turn, &context, &settings, &text).await?;
        let own_text = expanded.is_some().then_some(&*text);
        let text = expanded.as_ref().map_or(&*text, |e| &e.text.sql);
        let Some((statement, catalog)) = reading::read(&self.context, &settings, text).await?
        else {
            if let Some(text) = own_text {
                let prepared = turn.store.prepare(text).await?;
                return self.keep_prepared(turn, body, settings, prepared).await;
            }
            self.leave_as_found(turn).await?;
            self.prepared.forget_last();
            let payload = command_payload(command::STMT_PREPARE, body);
            return Ok(Handled::Forward(payload));
        };
        let planned = choose(turn, &statement, settings.forced_plan).await?;
        for (task, model) in planned.asked() {
            if model.is_none() {
                check_has_model(task, catalog.models_of(&task.name))?;
            }
        }
        let own_text = own_text.map(|text| explained_statement(text, settings.lex).unwrap_or(text));
        let mut prepared = match own_text {
            Some(text) => turn.store.prepare(text).await?,
            None => {
                let mut prepared = turn.store.prepare(&planned.describe().sql).await?;
                name_cells(
                    &mut prepared.columns,
                    &planned.marked_names(),
                    settings.encoding,
                );
                prepared
            }
        };
        if let Some(how) = statement.explain() {
            let column = text_column(how.column, WIDTH);
            prepared.columns = vec![with_negotiated_metadata(&column, turn.capabilities)];
        }
        self.keep_prepared(turn, body, settings, prepared).await
    }

    /// Keeps a statement that the store has prepared, and answers with what the store said of it.
    async fn keep_prepared(
        &mut self,
        turn: &mut Turn<'_>,
        body: &Bytes,
        settings: settings::SessionSettings,
        prepared: Prepared,
    ) -> Result<Handled, LinkError> {
        write_prepared(turn, &prepared);
        let kept = KeptSelect {
            statement: body.clone(),
            meaning: settings.meaning,
            parameter_count: prepared.parameters.len(),
            kinds: Vec::new(),
            long_data: Ok(LongData::default()),
        };
        self.prepared
            .keep(prepared.id, Kept::Select(Box::new(kept)));
        turn.flush().await?;
        self.leave_as_found(turn).await?;
        Ok(Handled::Answered)
    }

    async fn prepare_catalog(
        &mut self,
        turn: &mut Turn<'_>,
        text: &str,
    ) -> Result<Handled, LinkError> {
        let statement = catalog::parse(turn, text).await?;
        if crate::ddl::as_select(&statement, &self.context.schema).is_some() {
            let select = self
                .answer_catalog(turn, command::STMT_PREPARE, text)
                .await?;
            self.prepared.forget_last();
            return Ok(select);
        }
        catalog::check_rights(turn, &statement, &self.context.schema).await?;
        let mut columns = Vec::new();
        if let CatalogStatement::Evaluate(statement) = &statement {
            evaluate::check(turn, &self.context, statement).await?;
            columns = evaluate::columns();
        }
        // A statement of the store that does nothing lends its id.
        let mut prepared = turn.store.prepare("DO 0").await?;
        let negotiated = |c| with_negotiated_metadata(c, turn.capabilities);
        prepared.columns = columns.iter().map(negotiated).collect();
        write_prepared(turn, &prepared);
        self.prepared
            .keep(prepared.id, Kept::Catalog(Box::new(statement)));
        turn.flush().await?;
        Ok(Handled::Answered)
    }

    /// A command of the statement prepared last, by its id.
    pub(in crate::lane) async fn answer_last(
        &mut self,
        turn: &mut Turn<'_>,
        command: u8,
        body: &Bytes,
    ) -> Result<Handled, LinkError> {
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
            self.diagnostics = None;
            self.counts = Counts::default();
        }
        Ok(Handled::Forward(command_payload(command, body)))
    }

    /// COM_STMT_SEND_LONG_DATA of a statement prepared here.
    pub(in crate::lane) fn keep_long_data(&mut self, body: &[u8]) {
        let (bytes_max, account) = (
            self.context.long_data_bytes_max,
            &self.context.spool.account,
        );
        self.prepared.long_data(body, bytes_max, account);
    }

    /// COM_STMT_EXECUTE of a statement prepared here.
    pub(in crate::lane) async fn answer_execute(
        &mut self,
        turn: &mut Turn<'_>,
        body: &Bytes,
    ) -> Result<Handled, LinkError> {
        let unknown = || {
            SqlError::new(
                ErrorKind::UnknownPreparedStatement,
                "Unknown prepared statement handler given to EXECUTE",
            )
        };
        let id = self.prepared.id(body).ok_or_else(unknown)?;
        match self.prepared.by_id.get_mut(&id).ok_or_else(unknown)? {
            Kept::Select(kept) => {
                // Data sent ahead counts until the statement has ended.
                let (parameters, _held) = kept.parameters(body)?;
                let (statement, meaning) = (kept.statement.clone(), kept.meaning.clone());
                self.answer_select(
                    turn,
                    &statement,
                    Protocol::Binary(parameters),
                    Some(meaning),
                )
                .await
            }
            Kept::Catalog(statement) => {
                let statement = statement.clone();
                self.run_catalog(turn, &statement, Codec::Binary).await?;
                Ok(Handled::Answered)
            }
        }
    }
}

fn write_prepared(turn: &mut Turn<'_>, prepared: &Prepared) {
    let (columns, parameters) = (prepared.columns.len(), prepared.parameters.len());
    turn.out.write_with(|out| {
        out.put_u8(0);
        out.put_u32_le(prepared.id);
        out.put_u16_le(u16::try_from(columns).unwrap_or(u16::MAX));
        out.put_u16_le(u16::try_from(parameters).unwrap_or(u16::MAX));
        out.put_u8(0);
        out.put_u16_le(prepared.warnings);
    });
    for parameter in &prepared.parameters {
        turn.out.write(parameter);
    }
    write_definitions_end(turn, parameters);
    for column in &prepared.columns {
        turn.out.write(&column.encode());
    }
    write_definitions_end(turn, columns);
    turn.complete.store(true, Relaxed);
}

fn write_definitions_end(turn: &mut Turn<'_>, count: usize) {
    if count > 0 && !turn.capabilities.has(Capabilities::DEPRECATE_EOF) {
        turn.out.write(&encode_eof(
            *turn.status & !StatusFlags::SERVER_MORE_RESULTS_EXISTS,
            0,
        ));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn data_that_passed_unseen_is_too_long_until_the_execution() {
        let mut statements = PreparedStatements::default();
        let kept = KeptSelect {
            statement: Bytes::new(),
            meaning: Meaning::default(),
            parameter_count: 0,
            kinds: Vec::new(),
            long_data: Ok(LongData::default()),
        };
        statements.keep(7, Kept::Select(Box::new(kept)));
        statements.long_data_lost(b"\x08\0\0\0\0\0");
        statements.long_data_lost(b"\x07\0\0\0\0\0");
        let account = SpoolAccount::new(1000, 0);
        statements.long_data(b"\x07\0\0\0\0\0more", 100, &account);
        let Some(Kept::Select(kept)) = statements.by_id.get_mut(&7) else {
            panic!("the statement is gone");
        };
        let execution = Bytes::from_static(b"\x07\0\0\0\0\x01\0\0\0");
        let Err(LinkError::Sql(error)) = kept.parameters(&execution) else {
            panic!("executed without its data");
        };
        assert_eq!(error.kind, ErrorKind::PacketTooLarge);
        assert!(kept.parameters(&execution).is_ok());
    }
}
