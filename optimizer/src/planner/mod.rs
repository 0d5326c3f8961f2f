//! Planning: which models answer a prediction, in which stages and with which thresholds.

pub mod calibrate;
