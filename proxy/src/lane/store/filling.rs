//! Reads answers of the store into a spool.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use crate::error::SqlError;
use crate::lane::store::error::LinkError;
use crate::lane::store::link::{Next, ResultEnd, StoreLink};
use crate::lane::store::spool::{OpenBlock, Spool};
use crate::live::Statement;
use crate::relay::SessionEnd;

/// Reads the store's answer into the spool, up to its end; the spool gets the outcome.
pub async fn fill(store: &mut StoreLink<'_>, spool: &Spool, running: &Statement) {
    let begin = Instant::now();
    let mut block = OpenBlock::default();
    let mut failed: Option<SqlError> = None;
    let end = loop {
        match store.next().await {
            Ok(Next::Row(row)) if failed.is_none() => {
                running.rows_read.fetch_add(1, Relaxed);
                block.push(&row);
                if (block.is_full() || store.would_wait())
                    && let Err(error) = spool.write(&mut block).await
                {
                    failed = Some(error);
                    block = OpenBlock::default();
                }
            }
            Ok(Next::Part { bytes, last, .. }) if failed.is_none() => {
                running.rows_read.fetch_add(u64::from(last), Relaxed);
                let written = async {
                    spool.write(&mut block).await?;
                    spool.write_part(bytes, last).await
                };
                failed = written.await.err();
            }
            Ok(Next::Row(_) | Next::Part { .. }) => {} // dropped; the session stays usable
            Ok(Next::End(end)) => break Ok(end),
            Err(error) => break Err(error),
        }
    };
    if failed.is_none()
        && !block.is_empty()
        && let Err(error) = spool.write(&mut block).await
    {
        failed = Some(error);
    }
    running.note_store(begin);
    spool.finish(match (end, failed) {
        (Ok(_), Some(error)) => Err(LinkError::Sql(error)),
        (end, _) => end,
    });
}

/// Reads an answer into the spool up to its end, so that the store connection is idle again while
/// the rows wait in the spool.
pub async fn spool_all(
    store: &mut StoreLink<'_>,
    spool: &Spool,
    running: &Statement,
    id: Option<u32>,
) -> Result<ResultEnd, LinkError> {
    fill(store, spool, running).await;
    let end = spool
        .take_end()
        .unwrap_or(Err(LinkError::End(SessionEnd::StoreClosed)));
    let end = store.finish(id, end).await?;
    spool.finish(Ok(end));
    Ok(end)
}
