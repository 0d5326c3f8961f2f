//! tests of PredictSQL.
