//! Numbers that say how much work a statement is, expected or counted.

/// Numbers that say how much work a statement is.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Counts {
    /// Rows read of the store.
    pub(super) rows: f64,
    /// Harvests of inputs before the statement runs.
    pub(super) harvests: f64,
    pub(super) predictions: Vec<PredictionCounts>,
}

/// Numbers of one prediction.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct PredictionCounts {
    /// Different inputs.
    pub(super) inputs: f64,
    /// Inputs that are decoded and preprocessed.
    pub(super) prepared: f64,
    /// Inputs that the store of kept outputs is asked about, summed over voters.
    pub(super) asked_of_store: f64,
    /// Inferences, by voter.
    pub(super) inferred: Vec<f64>,
    /// Inferences if the statement ran again, by voter.
    pub(super) again: Vec<f64>,
}

impl Counts {
    pub(super) fn asked_of_store(&self) -> f64 {
        self.predictions.iter().map(|p| p.asked_of_store).sum()
    }

    pub(super) fn inferences(&self) -> f64 {
        let inferred = self.predictions.iter().flat_map(|p| &p.inferred);
        inferred.sum()
    }
}
