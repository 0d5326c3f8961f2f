//! Statements over views with predict calls, and statements that change views.

use mysql_common::constants::ColumnFlags;
use predictsql_optimizer::statement::explained_statement;
use predictsql_optimizer::views::{Expansion, Reading, changes_views, stored_view};
use predictsql_optimizer::{Fragment, quote_name};

use crate::error::{ErrorKind, SqlError};
use crate::lane::context::LaneContext;
use crate::lane::plans::reading;
use crate::lane::session::lane::Lane;
use crate::lane::session::left::Left;
use crate::lane::session::settings::SessionSettings;
use crate::lane::store::as_written;
use crate::lane::store::bounds::is_interruption;
use crate::lane::store::error::LinkError;
use crate::lane::store::link::UNPREPARABLE;
use crate::lane::store::link::{Head, Protocol, ResultEnd, StoreLink};
use crate::lane::store::ok::restated;
use crate::lane::store::result::write_head;
use crate::lane::turn::Turn;
use crate::wire::{ColumnDefinition, ErrPacket, OkPacket, encode_result_end};

/// A statement rewritten so that its own text contains the predict calls of its views.
#[derive(Debug)]
pub(in crate::lane) struct Expanded {
    pub text: Fragment,
    /// The columns of its answer, as the store describes them over the views; `None` if they are
    /// not known (an EXPLAIN, or a statement that the store cannot prepare).
    pub columns: Option<Vec<ColumnDefinition>>,
}

/// Rewrites a statement over views with predict calls. The store has checked the client's own text
/// and accepts the rewritten one. `None` if the statement uses no such view, or none of their
/// predictions.
pub(in crate::lane) async fn expand(
    turn: &mut Turn<'_>,
    context: &LaneContext,
    settings: &SessionSettings,
    text: &str,
) -> Result<Option<Expanded>, LinkError> {
    let views = context.account.views();
    let expansion = views.expand(text, &settings.for_views(), Reading::Statement)?;
    let Some(expansion) = expansion else {
        return Ok(None);
    };
    // Not every store supports each EXPLAIN syntax, and the lane defines the columns of EXPLAIN.
    let explained = explained_statement(text, settings.lex);
    let columns = match turn.store.describe(explained.unwrap_or(text)).await {
        Ok(columns) => Some(columns).filter(|_| explained.is_none()),
        Err(LinkError::Refused(error)) if error.code == UNPREPARABLE => None,
        Err(error) => return Err(error),
    };
    if shadowed(&mut turn.store, &expansion).await? {
        return Ok(None);
    }
    let text = accepted(turn, context, settings, expansion).await?;
    Ok(Some(Expanded { text, columns }))
}

/// Whether a temporary table hides one of the views: its columns belong to a table.
async fn shadowed(store: &mut StoreLink<'_>, expansion: &Expansion) -> Result<bool, LinkError> {
    for (table, column) in &expansion.named {
        let probe = format!("SELECT {} FROM {table}", quote_name(column));
        match store.describe(&probe).await {
            Ok(columns) if columns.iter().any(|c| !c.schema.is_empty()) => return Ok(true),
            Err(LinkError::Refused(error)) if !is_interruption(error.code) => {}
            Ok(_) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// The first candidate text that the store accepts.
async fn accepted(
    turn: &mut Turn<'_>,
    context: &LaneContext,
    settings: &SessionSettings,
    expansion: Expansion,
) -> Result<Fragment, LinkError> {
    let mut refused = None;
    for text in expansion.candidates {
        let read = reading::read(context, settings, &text.sql).await?;
        let Some((statement, _)) = read else {
            return Ok(text);
        };
        let described = match statement.is_several() {
            true => Ok(Vec::new()), // refused later, with a specific error
            false => turn.store.describe(&statement.as_stubs().sql).await,
        };
        drop(statement);
        match described {
            Ok(_) => return Ok(text),
            Err(LinkError::Refused(error)) if error.code == UNPREPARABLE => return Ok(text),
            Err(LinkError::Refused(error)) if !is_interruption(error.code) => {
                refused.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    match refused {
        Some(error)
            if let Some(kind) = missing_right(&error)
                && !expansion.bodies.is_empty() =>
        {
            let view = expansion.bodies.join(", ");
            let message = format!(
                "View {view} predicts of what it does not show, so its query is run with your own rights: \
                 {}. Let it show the columns that it predicts of, or make it with SQL SECURITY INVOKER",
                String::from_utf8_lossy(&error.message)
            );
            Err(SqlError::new(kind, message).into())
        }
        // The store accepts the client's text, so its error for the rewritten text is not the
        // client's fault: a query in place of the view cannot be updated, for example.
        Some(error) if !is_about_rights(&error) && !expansion.bodies.is_empty() => {
            // A syntax error quotes text that the client does not see.
            let reason = match error.code {
                code if code == ErrorKind::Syntax.code() => String::new(),
                _ => format!(" ({})", String::from_utf8_lossy(&error.message)),
            };
            Err(SqlError::unsupported(format!(
                "this statement over view {}, which predicts of what it does not show, or in its conditions, \
                 so that its query takes its place{reason}",
                expansion.bodies.join(", "),
            ))
            .into())
        }
        Some(error) => Err(LinkError::Refused(error)),
        None => Err(SqlError::unsupported("this statement over a view of predictions").into()),
    }
}

/// Whether an error is about missing privileges: [`missing_right`], ER_DBACCESS_DENIED_ERROR,
/// ER_ACCESS_DENIED_ERROR, ER_SPECIFIC_ACCESS_DENIED_ERROR or ER_PROCACCESS_DENIED_ERROR.
fn is_about_rights(error: &ErrPacket) -> bool {
    missing_right(error).is_some() || matches!(error.code, 1044 | 1045 | 1227 | 1370)
}

/// The error kind for a missing table or column privilege; `None` for other errors.
fn missing_right(error: &ErrPacket) -> Option<ErrorKind> {
    let kinds = [ErrorKind::TableAccessDenied, ErrorKind::ColumnAccessDenied];
    kinds.into_iter().find(|kind| kind.code() == error.code)
}

impl Turn<'_> {
    /// Column definitions for the client: those of its own text, if that text was rewritten.
    pub(in crate::lane) fn as_described(
        &self,
        mut columns: Vec<ColumnDefinition>,
    ) -> Vec<ColumnDefinition> {
        as_written::apply(&mut columns, self.as_written.as_deref().unwrap_or_default());
        match &self.own_columns {
            Some(own) if own.len() == columns.len() => {
                let pairs = own.iter().zip(columns);
                // The running statement's column types determine the layout of the rows.
                let same_layout = |(own, column): (&ColumnDefinition, ColumnDefinition)| match own
                    .column_type
                    == column.column_type
                {
                    // Only at run time the store may find that an outer join makes a column
                    // nullable.
                    true => ColumnDefinition {
                        flags: own.flags & (column.flags | !ColumnFlags::NOT_NULL_FLAG.bits()),
                        ..own.clone()
                    },
                    false => ColumnDefinition {
                        name: own.name.clone(),
                        ..column
                    },
                };
                pairs.map(same_layout).collect()
            }
            _ => columns,
        }
    }
}

impl Lane {
    /// Whether a statement may use or change a view with predict calls.
    pub(in crate::lane) fn concerns_views(&self, body: &[u8]) -> bool {
        let account = &self.context.account;
        account.may_name_view(body) && account.views().concerns(&String::from_utf8_lossy(body))
    }

    /// Runs a statement that changes views, with its text in stored form. All sessions see the
    /// change before the client gets its answer. `None` for any other statement.
    pub(in crate::lane) async fn change_views(
        &mut self,
        turn: &mut Turn<'_>,
        settings: &SessionSettings,
        text: &str,
    ) -> Result<Option<Left>, LinkError> {
        if !changes_views(text, settings.lex) {
            return Ok(None);
        }
        let stored = self.stored(settings, text).await?;
        let (head, _) = turn.store.run(&stored, &Protocol::Text).await?;
        if let Err(error) = self.context.account.refresh_views().await {
            tracing::debug!(%error, "views over predictions cannot be read");
        }
        match head {
            Head::Done(payload) => {
                let ok = OkPacket::parse(&payload)?;
                turn.status.set(ok.status);
                let restated = restated(&payload, turn.end_status(ok.status), ok.warnings)?;
                turn.out.write(&restated);
            }
            // No such statement returns rows today.
            Head::Rows(columns) => {
                let ResultEnd { status, warnings } = turn.store.drain().await?;
                turn.status.set(status);
                let state = turn.end_status(status);
                write_head(&mut turn.out, turn.capabilities, &columns, state);
                let end = encode_result_end(turn.capabilities, state, warnings);
                turn.out.write(&end);
            }
        }
        turn.flush().await?;
        Ok(Some(Left::default()))
    }

    /// The text, as sent to the store, of a statement that changes views.
    pub(in crate::lane) async fn stored(
        &self,
        settings: &SessionSettings,
        text: &str,
    ) -> Result<Fragment, LinkError> {
        if let Some((statement, _)) = reading::read(&self.context, settings, text).await?
            && let Some(stored) = stored_view(&statement)?
        {
            return Ok(stored);
        }
        Ok(Fragment {
            sql: text.to_owned(),
            parameters: Vec::new(),
        })
    }
}
