//! Rows on their way through the executor: some at a time, by number and by bytes.

use std::sync::Arc;

use predictsql_executor::Input;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::error::SqlError;
use crate::lane::plans::ready::Ready;
use crate::lane::plans::stream::RowInput;
use crate::lane::plans::stream::row_filter::{PendingRow, RowFilter};
use crate::lane::store::error::LinkError;
use crate::lane::store::rows::RowCodec;
use crate::lane::store::spool::{Rows, Spool, SpoolAccount};
use crate::predict::{Answer, Predictor};

/// A piece of rows ends when it has so many bytes.
const PIECE_BYTES: usize = 512 * 1024;

/// Takes rows off the spool in pieces.
pub struct Pieces<'p> {
    spool: &'p Spool,
    codec: &'p RowCodec,
    block: Option<Rows>,
}

impl<'p> Pieces<'p> {
    /// All rows of the spool.
    pub fn new(spool: &'p Spool, codec: &'p RowCodec) -> Self {
        Self {
            spool,
            codec,
            block: None,
        }
    }

    /// Up to `rows` rows that are here, at least one; `None` at the end. A long row ends a piece.
    /// By value, so that a caller can wait for it beside other things and lose nothing.
    pub async fn next(
        mut self,
        rows: usize,
    ) -> Result<(Pieces<'p>, Option<Vec<PendingRow>>), LinkError> {
        let (mut piece, mut bytes) = (Vec::new(), 0);
        loop {
            if self.block.is_none() {
                self.block = self.spool.read().await?;
            }
            let Some(block) = &mut self.block else {
                return Ok((self, None));
            };
            while piece.len() < rows
                && bytes < PIECE_BYTES
                && let Some(row) = block.next()?
            {
                let row = PendingRow::new(row, self.codec).await?;
                bytes += row.row.held_bytes();
                if row.row.is_long() {
                    bytes = bytes.max(PIECE_BYTES);
                }
                piece.push(row);
            }
            if piece.len() < rows && bytes < PIECE_BYTES {
                self.block = None;
            }
            if !piece.is_empty() {
                return Ok((self, Some(piece)));
            }
        }
    }
}

/// Makes the predictions that the rows of a piece need, one after the other: each only for rows
/// that the ones before have not decided.
pub async fn predict(
    (ready, row_filter, order): (&Ready<'_, '_>, &RowFilter<'_, '_, '_>, &[usize]),
    mut rows: Vec<PendingRow>,
    account: &Arc<SpoolAccount>,
    cancel: &CancellationToken,
) -> Result<Vec<PendingRow>, LinkError> {
    for row in &mut rows {
        row_filter.begin(row)?;
    }
    for &prediction in order {
        let Some(predictor) = ready.predictors.get(prediction) else {
            continue;
        };
        let mut places = Vec::new();
        let mut inputs = Vec::new();
        for (place, row) in rows.iter().enumerate() {
            if let Some(input) = row_filter.input(row, prediction)? {
                places.push(place);
                inputs.push(input);
            }
        }
        let answers = answer_inputs(predictor, inputs, account, cancel).await?;
        for (place, answer) in places.into_iter().zip(answers) {
            if let Some(row) = rows.get_mut(place) {
                row_filter.answer(row, prediction, answer)?;
            }
        }
    }
    Ok(rows)
}

/// One answer an input. What lies on disk is read once there is room for it, and held by a task of
/// its own: a client that reads slowly must not hold up others that wait for room.
pub async fn answer_inputs(
    predictor: &Predictor,
    inputs: Vec<RowInput>,
    account: &Arc<SpoolAccount>,
    cancel: &CancellationToken,
) -> Result<Vec<Answer>, LinkError> {
    let far: u64 = inputs.iter().map(RowInput::far_bytes).sum();
    if far == 0 {
        let inputs = read(inputs).await?;
        return Ok(predictor.answer(inputs, cancel).await?);
    }
    let (predictor, account, cancel) = (predictor.clone(), Arc::clone(account), cancel.clone());
    let task = tokio::spawn(async move {
        let _room = account.long_input(far).await;
        let inputs = read(inputs).await?;
        Ok(predictor.answer(inputs, &cancel).await?)
    });
    let answered = AbortOnDropHandle::new(task).await;
    answered.unwrap_or_else(|_| Err(SqlError::other("internal error in predicting").into()))
}

async fn read(inputs: Vec<RowInput>) -> Result<Vec<Input>, LinkError> {
    let mut read = Vec::with_capacity(inputs.len());
    for input in inputs {
        read.push(input.read().await?);
    }
    Ok(read)
}
