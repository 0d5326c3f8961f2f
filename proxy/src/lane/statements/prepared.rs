//! COM_STMT_PREPARE and COM_STMT_EXECUTE of statements that the lane handles.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::{BufMut, Bytes};
use predictsql_optimizer::ddl::{CatalogStatement, Work};
use predictsql_optimizer::explain::WIDTH;
use predictsql_optimizer::planner::check_has_model;
use predictsql_optimizer::statement::explained_statement;
use predictsql_optimizer::views::changes_views;

use crate::ddl::Right;
use crate::error::{ErrorKind, SqlError};
use crate::lane::plans::reading;
use crate::lane::plans::ready::choose;
use crate::lane::session::lane::Lane;
use crate::lane::session::left::Done;
use crate::lane::session::prepared::{Kept, KeptSelect, LongData};
use crate::lane::session::settings;
use crate::lane::statements::{catalog, evaluate, views};
use crate::lane::store::as_written;
use crate::lane::store::error::LinkError;
use crate::lane::store::link::{Prepared, Protocol, command_payload};
use crate::lane::store::result::{name_cells, text_column, with_negotiated_metadata};
use crate::lane::store::rows::Codec;
use crate::lane::turn::Turn;
use crate::wire::{Capabilities, StatusFlags, command, encode_eof};

impl Lane {
    /// COM_STMT_PREPARE: the store prepares the statement over typed stubs and so checks and
    /// describes it.
    pub(in crate::lane) async fn answer_prepare(
        &mut self,
        turn: &mut Turn<'_>,
        body: &Bytes,
    ) -> Result<Done, LinkError> {
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
            return Ok(Done::Forward(payload));
        };
        let is_data = |content: &str| settings.encoding.is_data(content, settings.lex);
        let with_bytes = statement.with_images_as_bytes(is_data);
        let written = match own_text {
            None => {
                as_written::columns(&mut turn.store, &statement, text, with_bytes.is_some()).await?
            }
            Some(_) => None,
        };
        let again = match &with_bytes {
            Some(text) => reading::read(&self.context, &settings, text).await?,
            None => None,
        };
        let (statement, catalog) = again.unwrap_or((statement, catalog));
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
                    &settings.encoding,
                );
                as_written::apply(
                    &mut prepared.columns,
                    written.as_deref().unwrap_or_default(),
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

    /// Keeps a statement that the store has prepared, and answers with the store's description.
    async fn keep_prepared(
        &mut self,
        turn: &mut Turn<'_>,
        body: &Bytes,
        settings: settings::SessionSettings,
        prepared: Prepared,
    ) -> Result<Done, LinkError> {
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
        Ok(Done::Answered(self.as_found(turn).await?))
    }

    /// COM_STMT_PREPARE of a catalog statement.
    pub(in crate::lane) async fn prepare_catalog(
        &mut self,
        turn: &mut Turn<'_>,
        text: &str,
    ) -> Result<Done, LinkError> {
        let schema = self.context.schema.clone();
        let (kept, columns) = match catalog::parse(turn, text).await? {
            CatalogStatement::Show(_) => {
                let select = self
                    .answer_catalog(turn, command::STMT_PREPARE, text)
                    .await?;
                self.prepared.forget_last();
                return Ok(select);
            }
            CatalogStatement::Change(change) => {
                catalog::check_right(turn, Right::of_change(&change), &schema).await?;
                (Kept::Change(Box::new(change)), Vec::new())
            }
            CatalogStatement::Work(work) => {
                catalog::check_right(turn, Right::of_work(&work), &schema).await?;
                let columns = match &work {
                    Work::Evaluate(statement) => {
                        evaluate::check(turn, &self.context, statement).await?;
                        evaluate::columns()
                    }
                };
                (Kept::Work(Box::new(work)), columns)
            }
        };
        // A no-op statement prepared at the store provides the id.
        let mut prepared = turn.store.prepare("DO 0").await?;
        let negotiated = |c| with_negotiated_metadata(c, turn.capabilities);
        prepared.columns = columns.iter().map(negotiated).collect();
        write_prepared(turn, &prepared);
        self.prepared.keep(prepared.id, kept);
        turn.flush().await?;
        Ok(Done::Answered(self.remembered.unchanged()))
    }

    /// COM_STMT_SEND_LONG_DATA for a statement of the lane.
    pub(in crate::lane) fn keep_long_data(&mut self, body: &[u8]) -> Done {
        let (bytes_max, account) = (
            self.context.long_data_bytes_max,
            &self.context.spool.account,
        );
        self.prepared.long_data(body, bytes_max, account);
        Done::Answered(self.remembered.unchanged()) // the command has no answer
    }

    /// COM_STMT_EXECUTE of a statement of the lane.
    pub(in crate::lane) async fn answer_execute(
        &mut self,
        turn: &mut Turn<'_>,
        body: &Bytes,
    ) -> Result<Done, LinkError> {
        let unknown = || {
            SqlError::new(
                ErrorKind::UnknownPreparedStatement,
                "Unknown prepared statement handler given to EXECUTE",
            )
        };
        let id = self.prepared.id(body).ok_or_else(unknown)?;
        match self.prepared.by_id.get_mut(&id).ok_or_else(unknown)? {
            Kept::Select(kept) => {
                // Long data counts against the memory limit until the statement has ended.
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
            Kept::Change(change) => {
                let change = change.clone();
                let left = self.run_change(turn, &change).await?;
                Ok(Done::Answered(left))
            }
            Kept::Work(work) => {
                let work = work.clone();
                let left = self.run_work(turn, &work, Codec::Binary).await?;
                Ok(Done::Answered(left))
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
            turn.status.flags() & !StatusFlags::SERVER_MORE_RESULTS_EXISTS,
            0,
        ));
    }
}
