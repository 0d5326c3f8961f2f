//! Pass 2: runs the statement itself and sends its answer to the client.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use bytes::Bytes;
use predictsql_optimizer::Fragment;

use crate::lane::context::LaneContext;
use crate::lane::plans::answered::{Answered, Audience};
use crate::lane::plans::ready::Materialisation;
use crate::lane::plans::stream::copy_row;
use crate::lane::session::diagnostics::Diagnostics;
use crate::lane::store::error::LinkError;
use crate::lane::store::filling::spool_all;
use crate::lane::store::link::{Head, ResultEnd, StoreLink};
use crate::lane::store::ok::restated;
use crate::lane::store::result::{name_cells, write_head};
use crate::lane::store::spool::{Row, Spool};
use crate::lane::turn::Turn;
use crate::live::{Phase, Statement};
use crate::wire::{ColumnDefinition, ErrPacket, OkPacket, StatusFlags, encode_result_end};

/// SQLSTATE that a stub signals: in pass 2 it means that a key is missing in a relation.
const STUB_SQLSTATE: &[u8] = b"ML001";

/// The complete answer of a statement.
pub enum Finished {
    /// The payload of an OK packet.
    Done(Bytes),
    /// A result set.
    Rows {
        /// The columns.
        columns: Vec<ColumnDefinition>,
        /// The buffered rows.
        spool: Box<Spool>,
        /// The end of the result set.
        end: ResultEnd,
    },
}

impl Finished {
    /// ROW_COUNT() after the statement.
    pub fn row_count(&self) -> Result<i64, LinkError> {
        match self {
            Self::Rows { .. } => Ok(-1),
            Self::Done(payload) => {
                let affected = OkPacket::parse(payload)?.affected_rows;
                Ok(i64::try_from(affected).unwrap_or(i64::MAX))
            }
        }
    }

    /// The answer without the status flag of a transaction, for a client that has begun none.
    pub fn outside_transaction(mut self) -> Result<Self, LinkError> {
        match &mut self {
            Self::Done(payload) => {
                let ok = OkPacket::parse(payload)?;
                let status = ok.status - StatusFlags::SERVER_STATUS_IN_TRANS;
                *payload = restated(payload, status, ok.warnings)?;
            }
            Self::Rows { end, .. } => end.status -= StatusFlags::SERVER_STATUS_IN_TRANS,
        }
        Ok(self)
    }
}

/// Runs the statement and reads its whole answer; `None` if a key is missing in a relation.
pub async fn run(
    store: &mut StoreLink<'_>,
    context: &LaneContext,
    plan: &Materialisation<'_, '_, '_>,
    running: &Statement,
    statement: &Fragment,
) -> Result<Option<Finished>, LinkError> {
    match read(store, context, plan, running, statement).await {
        Ok(finished) => Ok(Some(finished)),
        Err(LinkError::Refused(error)) if is_missing_key(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a stub was run: a key is missing in a relation.
pub fn is_missing_key(error: &ErrPacket) -> bool {
    error.sqlstate == STUB_SQLSTATE
}

async fn read(
    store: &mut StoreLink<'_>,
    context: &LaneContext,
    plan: &Materialisation<'_, '_, '_>,
    running: &Statement,
    statement: &Fragment,
) -> Result<Finished, LinkError> {
    let begin = Instant::now();
    let (head, id) = store.run_answering(statement, &plan.ready.protocol).await?;
    running.note_store(begin);
    let mut columns = match head {
        Head::Done(payload) => {
            store.finish(id, Ok(())).await?;
            return Ok(Finished::Done(payload));
        }
        Head::Rows(columns) => columns,
    };
    name_cells(
        &mut columns,
        &plan.passes().marked_names(),
        store.encoding(),
    );
    let spool = Box::new(Spool::new(context.spool.clone()));
    let end = spool_all(store, &spool, running, id).await?;
    Ok(Finished::Rows {
        columns,
        spool,
        end,
    })
}

/// Writes the answer if `audience` is the client, and returns the statement's effects.
pub async fn write(
    turn: &mut Turn<'_>,
    running: &Statement,
    finished: Finished,
    row_count: Option<i64>,
    mut diagnostics: Diagnostics,
    audience: Audience,
) -> Result<Answered, LinkError> {
    running.enter(Phase::Sending);
    let sends = audience == Audience::Client;
    let of_store = match &finished {
        Finished::Done(payload) => OkPacket::parse(payload)?.warnings,
        Finished::Rows { end, .. } => end.warnings,
    };
    let own = diagnostics.count() > 0;
    diagnostics.note_at_store(of_store);
    let warnings = if own { diagnostics.count() } else { of_store };
    let (mut rows, mut affected) = (None, None);
    match finished {
        Finished::Done(payload) => {
            let ok = OkPacket::parse(&payload)?;
            affected = Some(ok.affected_rows);
            let state = ok.status & !StatusFlags::SERVER_MORE_RESULTS_EXISTS;
            turn.status.set(state);
            if sends {
                let restated = restated(&payload, turn.end_status(state), warnings)?;
                turn.out.write(&restated);
            }
        }
        Finished::Rows {
            columns,
            spool,
            end,
        } => {
            let state = end.status
                & !(StatusFlags::SERVER_MORE_RESULTS_EXISTS
                    | StatusFlags::SERVER_STATUS_LAST_ROW_SENT
                    | StatusFlags::SERVER_STATUS_CURSOR_EXISTS);
            turn.status.set(state);
            let columns = turn.as_described(columns);
            if sends {
                write_head(&mut turn.out, turn.capabilities, &columns, state);
            }
            let count = send_rows(turn, running, &spool, sends).await?;
            rows = Some(count);
            if sends {
                let state = turn.end_status(state);
                turn.out
                    .write(&encode_result_end(turn.capabilities, state, warnings));
            }
        }
    }
    Ok(Answered {
        found_rows: None,
        diagnostics: own.then_some(diagnostics),
        row_count,
        rows,
        affected,
        warnings,
    })
}

/// Counts the rows of an answer, and sends them if `sends` is set.
async fn send_rows(
    turn: &mut Turn<'_>,
    running: &Statement,
    spool: &Spool,
    sends: bool,
) -> Result<u64, LinkError> {
    let mut count = 0;
    while let Some(mut block) = spool.read().await? {
        while let Some(row) = block.next()? {
            count += 1;
            if sends {
                match row {
                    Row::Held(row) => turn.out.write(&row),
                    Row::Long(row) => copy_row(&row, &mut turn.out, turn.client).await?,
                }
                running.rows_sent.store(count, Relaxed);
            }
        }
        turn.flush().await?;
    }
    Ok(count)
}
