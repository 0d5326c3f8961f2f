//! executor of PredictSQL.
