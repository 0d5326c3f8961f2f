//! optimizer of PredictSQL.
