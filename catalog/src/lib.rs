//! Tasks, models and their options as pure data types, and the snapshot used for planning.
//!
//! With feature `sql`, module `store` stores them in schema `ml` of a store; the rest of this
//! crate does no I/O.

mod answer_shape;
mod constraints;
mod definition;
mod device;
mod evaluated;
mod import;
mod model;
mod option_value;
mod options;
mod output_id;
mod preprocessing;
mod shares;
mod snapshot;
mod statistics;
mod task;

#[cfg(feature = "sql")]
pub mod store;

pub use answer_shape::{AnswerShape, OutputCodec, RelationColumn};
pub use constraints::{ACCURACY_SLACK_POINTS_DEFAULT, Answers, TaskConstraints};
pub use definition::{model_definition, task_definition};
pub use device::Device;
pub use evaluated::{Confused, EvaluatedModel, PartTally};
pub use import::{
    Described, ImportError, Imported, Labels, OnnxHead, imported, labels_of_model, labels_of_text,
};
pub use model::{ImageOptions, Layout, Model, ModelInput, ModelOptions, Normalisation, Output};
pub use option_value::{OptionError, OptionValue};
pub use options::{model_options, set_model_options};
pub use preprocessing::{
    Background, ChannelOrder, Colour, Decode, Interpolation, NoColour, OrientationTag,
    Preprocessing, Resize,
};
pub use shares::{ClassShares, DeclaredShares, WrongShares};
pub use snapshot::Snapshot;
pub use statistics::{Calibration, CostCurve, ModelStatistics, Part, TaskStatistics, Vote};
pub use task::{
    Column, ColumnKind, Task, TaskInput, TaskKind, check_classes, check_columns, check_name,
    is_reserved_name,
};
