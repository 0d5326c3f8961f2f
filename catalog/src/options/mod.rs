//! Interpretation of the options of statements for tasks and models.

mod classes;
mod image;
mod model;
mod preprocessing;
mod task;
#[cfg(test)]
mod tests;

pub use model::{model_options, set_model_options};
