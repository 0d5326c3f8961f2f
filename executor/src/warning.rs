//! What is suspicious of a model that is nevertheless accepted, worded for its creator.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A reason why a model may answer other than its creator expects.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum ModelWarning {
    /// `mean` or `std` do not fit the range of pixel values.
    #[error("{option} = ({values}) does not fit pixel values of 0..{pixel_max}: {remedy}")]
    PixelRange {
        /// `mean` or `std`.
        option: String,
        /// Its values.
        values: String,
        /// Greatest pixel value.
        pixel_max: String,
        /// What to change, as a clause.
        remedy: String,
    },
    /// `output = 'logits'`, but the numbers are probabilities already.
    #[error(
        "with output = 'logits' the model's outputs are probabilities already ({what}), of which \
         softmax makes wrong scores: is it output = 'softmax'?"
    )]
    Probabilities {
        /// How that shows.
        what: String,
    },
    /// The answer to an input depends on the other inputs of its batch.
    #[error(
        "the model's answer to an input depends on the other inputs of a run ({why}): it is run on \
         one input at a time, always"
    )]
    RunsAlone {
        /// How that shows.
        why: String,
    },
    /// All trial images have the same answer.
    #[error(
        "the model gives the same output for all of several different trial images: its answers may \
         not depend on the image; compare size, layout, mean and std with its training"
    )]
    SameAnswer,
    /// Some trial images have an output that is not finite.
    #[error(
        "the model's output for {images} is not finite (NaN or infinity): such images are answered \
         with NULL"
    )]
    NotFinite {
        /// Which of the trial images.
        images: String,
    },
    /// One output column for two labels.
    #[error(
        "the model's output has one column for two labels: it is taken for that of '{label}', the \
         second label"
    )]
    OneColumn {
        /// The second label.
        label: String,
    },
}
