//! The catalog in schema `ml` of a store: bootstrap and migrations, snapshots, and changes.
//!
//! All functions run on a connection of the service account (for [`bootstrap`], of an admin); none
//! reads user data. All changes hold one named lock of the store. A row found in state `creating`
//! or `dropping` while holding the lock thus belongs to a writer that died, and is completed or
//! undone by the current holder.

mod alter;
mod beside;
mod constraints;
mod error;
mod lock;
mod migrate;
mod predictions;
mod read;
mod schema;
mod statistics;
mod stub;
mod views;
mod write;

pub use alter::{alter_model, alter_task};
pub use error::StoreError;
pub use migrate::{MIGRATIONS, Migration, bootstrap, bootstrap_script, check, render};
pub use predictions::{
    FoundOutput, KeptOutput, OUTPUT_BYTES_MAX, evict_outputs, mark_outputs_used, read_outputs,
    write_outputs,
};
pub use read::{epoch, snapshot};
pub use schema::{SchemaName, quote_identifier, quote_text};
pub use statistics::{NewEvaluation, Population, Published, StatisticsCache, publish_evaluation};
pub use stub::{generic_stubs, typed_stub};
pub use views::{ViewDefinition, grant_views_procedure, views, views_procedure};
pub use write::{NewModel, NewTask, create_model, create_task, drop_model, drop_task};
