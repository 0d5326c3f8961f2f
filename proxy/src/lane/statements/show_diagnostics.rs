//! SHOW WARNINGS and SHOW ERRORS after a statement whose diagnostics the lane holds.

use crate::lane::session::diagnostics::ShowDiagnostics;
use crate::lane::session::lane::Lane;
use crate::lane::session::left::{Done, Left};
use crate::lane::store::error::LinkError;
use crate::lane::store::rows::Codec;
use crate::lane::turn::Turn;

impl Lane {
    /// Answers a statement that reads diagnostics held by the lane.
    pub(in crate::lane) async fn show_diagnostics(
        &mut self,
        turn: &mut Turn<'_>,
        show: ShowDiagnostics,
    ) -> Result<Done, LinkError> {
        let diagnostics = self.remembered.diagnostics.get_or_insert_default();
        diagnostics.fetch_from(&mut turn.store).await?;
        let (status, shown) = (turn.end_status(turn.status.flags()), diagnostics.show(show));
        shown.write(&mut turn.out, turn.capabilities, Codec::Text, status, 0);
        turn.flush().await?;
        Ok(Done::Answered(Left {
            row_count: Some(-1),
            ..self.remembered.unchanged()
        }))
    }
}
