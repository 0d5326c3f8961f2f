//! Outputs of a run at a server.

/// An output of a run as a server sent it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Received {
    pub(crate) name: String,
    /// Sizes of its axes.
    pub(crate) shape: Vec<i64>,
    pub(crate) content: ReceivedContent,
}

/// Content of an output: as many elements as its shape has.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ReceivedContent {
    /// float32, or float16 as such.
    Single(Vec<f32>),
    /// float64
    Double(Vec<f64>),
    /// Texts or whole numbers: the first of them, if there is one.
    Words(Option<String>),
}
