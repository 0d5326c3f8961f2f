//! Rows on their way through the executor: how they are cut into pieces, and predicted.

use std::sync::Arc;

use predictsql_executor::Input;
use predictsql_executor::pump::{Feed, Piece, Room};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::error::SqlError;
use crate::lane::plans::ready::Ready;
use crate::lane::plans::stream::RowInput;
use crate::lane::plans::stream::row_filter::{PendingRow, RowFilter};
use crate::lane::store::error::LinkError;
use crate::lane::store::rows::RowCodec;
use crate::lane::store::spool::{LongInput, Rows, Spool, SpoolAccount};
use crate::predict::{Answer, Predictor};

/// Takes rows off the spool in pieces.
pub struct SpooledRows<'p> {
    spool: &'p Spool,
    codec: &'p RowCodec,
    block: Option<Rows>,
}

impl<'p> SpooledRows<'p> {
    /// All rows of the spool.
    pub fn new(spool: &'p Spool, codec: &'p RowCodec) -> Self {
        Self {
            spool,
            codec,
            block: None,
        }
    }
}

/// Rows of one piece.
pub struct PendingRows(pub Vec<PendingRow>);

impl Piece for PendingRows {
    fn inputs(&self) -> usize {
        self.0.len()
    }
}

impl Feed for SpooledRows<'_> {
    type Piece = PendingRows;
    type Error = LinkError;

    /// Rows that are here, at least one.
    async fn next(mut self, mut room: Room) -> Result<Option<(Self, PendingRows)>, LinkError> {
        let mut piece = Vec::new();
        while piece.is_empty() {
            if self.block.is_none() {
                self.block = self.spool.read().await?;
            }
            let Some(block) = &mut self.block else {
                return Ok(None);
            };
            while !room.is_full()
                && let Some(row) = block.next()?
            {
                let row = PendingRow::new(row, self.codec).await?;
                match row.row.is_long() {
                    true => room.take_long(),
                    false => room.take(row.row.held_bytes()),
                }
                piece.push(row);
            }
            if !room.is_full() {
                self.block = None;
            }
        }
        Ok(Some((self, PendingRows(piece))))
    }
}

/// Inputs with what they are known by.
pub struct KeyedInputs<K> {
    pub keys: Vec<K>,
    pub inputs: Vec<RowInput>,
}

impl<K> Default for KeyedInputs<K> {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            inputs: Vec::new(),
        }
    }
}

impl<K> Piece for KeyedInputs<K> {
    fn inputs(&self) -> usize {
        self.keys.len()
    }
}

/// Makes the predictions that the rows of a piece need, one after the other: each only for rows
/// that the ones before have not decided.
pub async fn predict(
    (ready, row_filter, order): (&Ready<'_, '_>, &RowFilter<'_, '_, '_>, &[usize]),
    PendingRows(mut rows): PendingRows,
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

/// One answer an input. What lies on disk is held by a task of its own: a client that reads slowly
/// must not hold up others that wait for room.
pub async fn answer_inputs(
    predictor: &Predictor,
    inputs: Vec<RowInput>,
    account: &Arc<SpoolAccount>,
    cancel: &CancellationToken,
) -> Result<Vec<Answer>, LinkError> {
    if inputs.iter().all(|input| input.far_bytes() == 0) {
        let (inputs, _) = read_inputs(inputs, account).await?;
        return Ok(predictor.answer(inputs, cancel).await?);
    }
    let (predictor, account, cancel) = (predictor.clone(), Arc::clone(account), cancel.clone());
    let task = tokio::spawn(async move {
        let (inputs, _room) = read_inputs(inputs, &account).await?;
        Ok(predictor.answer(inputs, &cancel).await?)
    });
    let answered = AbortOnDropHandle::new(task).await;
    answered.unwrap_or_else(|_| Err(SqlError::other("internal error in predicting").into()))
}

/// Reads inputs, those that lie on disk once there is room for them, which is to be held as long
/// as they are.
pub async fn read_inputs(
    inputs: Vec<RowInput>,
    account: &Arc<SpoolAccount>,
) -> Result<(Vec<Input>, Option<LongInput>), LinkError> {
    let room = match inputs.iter().map(RowInput::far_bytes).sum() {
        0 => None,
        far => Some(account.long_input(far).await),
    };
    let mut read = Vec::with_capacity(inputs.len());
    for input in inputs {
        read.push(input.read().await?);
    }
    Ok((read, room))
}
