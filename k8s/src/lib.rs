//! k8s of PredictSQL.
