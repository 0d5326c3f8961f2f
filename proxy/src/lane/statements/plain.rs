//! Statements that the store answers, between statements that the lane answers: the lane runs them
//! on the store and passes the results on.

use predictsql_optimizer::{Fragment, LexMode};

use crate::lane::session::lane::Lane;
use crate::lane::session::left::Left;
use crate::lane::store::error::LinkError;
use crate::lane::store::link::{Head, Next, Protocol};
use crate::lane::store::ok::restated;
use crate::lane::store::result::write_head;
use crate::lane::turn::Turn;
use crate::wire::{Capabilities, OkPacket, StatusFlags, command, encode_result_end, lenenc};

/// Row bytes that are buffered before a flush.
const FLUSH_BYTES: usize = 64 * 1024;

impl Lane {
    /// A statement for the store, with the values of the previous statement substituted.
    fn plain(&mut self, statement: &str, mode: LexMode) -> Fragment {
        let written = self.with_remembered(statement, mode);
        Fragment {
            sql: written.unwrap_or_else(|| statement.to_owned()),
            parameters: Vec::new(),
        }
    }

    /// Runs a statement on the store, with the values of the previous statement substituted, and
    /// passes its results on.
    pub(in crate::lane) async fn answer_plain(
        &mut self,
        turn: &mut Turn<'_>,
        statement: &str,
        mode: LexMode,
    ) -> Result<Left, LinkError> {
        let plain = self.plain(statement, mode);
        self.pass_through(turn, &plain, &Protocol::Text).await?;
        Ok(self.remembered.unchanged())
    }

    /// Runs a statement on the store and passes its results on.
    pub(in crate::lane) async fn pass_through(
        &mut self,
        turn: &mut Turn<'_>,
        statement: &Fragment,
        protocol: &Protocol,
    ) -> Result<(), LinkError> {
        let (head, id) = match protocol {
            Protocol::Text => {
                turn.store.send_text(command::QUERY, &statement.sql).await?;
                (passed_head(turn).await?, None)
            }
            Protocol::Binary(_) => turn.store.run(statement, protocol).await?,
        };
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
                    write_head(
                        &mut turn.out,
                        turn.capabilities,
                        &columns,
                        turn.status.flags(),
                    );
                    self.pass_rows(turn).await?
                }
            };
            turn.status
                .set(status & !StatusFlags::SERVER_MORE_RESULTS_EXISTS);
            turn.flush().await?;
            if !status.contains(StatusFlags::SERVER_MORE_RESULTS_EXISTS) {
                return Ok(());
            }
            head = passed_head(turn).await?; // a procedure's next result
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

/// The start of an answer of the store; the client sends a file before, if the store asks for one.
async fn passed_head(turn: &mut Turn<'_>) -> Result<Head, LinkError> {
    loop {
        let first = turn.store.payload().await?;
        let asks = first.first() == Some(&lenenc::NULL);
        if !asks || !turn.capabilities.has(Capabilities::LOCAL_FILES) {
            return turn.store.head_from(first).await;
        }
        turn.pass_local_file(&first).await?;
    }
}
