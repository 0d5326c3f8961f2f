//! One session's lane: the state that it keeps between commands.

use std::sync::Arc;

use crate::lane::context::LaneContext;
use crate::lane::session::last_query::LastQuery;
use crate::lane::session::left::Remembered;
use crate::lane::session::long_commands::LongCommands;
use crate::lane::session::named::NamedStatements;
use crate::lane::session::prepared::PreparedStatements;
use crate::lane::session::temporary_tables::Tables;
use crate::predict::UsedDecisions;
use crate::relay::SessionStatus;
use crate::wire::{Capabilities, command};

/// One session's lane.
pub struct Lane {
    pub(in crate::lane) context: Arc<LaneContext>,
    /// The negotiated capabilities.
    pub(in crate::lane) capabilities: Capabilities,
    pub(in crate::lane) prepared: PreparedStatements,
    pub(in crate::lane) named: NamedStatements,
    /// Values of the last statement that only the lane holds.
    pub(in crate::lane) remembered: Remembered,
    /// Temporary tables that the lane has created in the session.
    pub(in crate::lane) tables: Tables,
    /// Whether the catalog's schema may be the session's current database.
    pub(in crate::lane) may_be_in_schema: bool,
    pub(in crate::lane) last_query: LastQuery,
    pub(in crate::lane) long: LongCommands,
    /// Number of the current transaction, and the decisions that its statements have used.
    used: (u64, Arc<UsedDecisions>),
}

impl Lane {
    /// The lane of a new session whose login named `database`.
    pub fn new(
        context: Arc<LaneContext>,
        capabilities: Capabilities,
        database: Option<&[u8]>,
    ) -> Self {
        let mut lane = Self {
            context,
            capabilities,
            prepared: PreparedStatements::default(),
            named: NamedStatements::default(),
            remembered: Remembered::default(),
            tables: Tables::default(),
            may_be_in_schema: false,
            last_query: LastQuery::default(),
            long: LongCommands::default(),
            used: Default::default(),
        };
        lane.note_database(command::INIT_DB, database.unwrap_or_default());
        lane
    }

    /// The decisions that statements of the current transaction have used; `None` for a statement
    /// that is committed by itself.
    pub(in crate::lane) fn used_decisions(
        &mut self,
        status: SessionStatus,
    ) -> Option<Arc<UsedDecisions>> {
        let transaction = status.transaction()?;
        if self.used.0 != transaction {
            self.used = (transaction, Arc::default());
        }
        Some(Arc::clone(&self.used.1))
    }
}
