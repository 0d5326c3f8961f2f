//! Stock clients and drivers, unchanged.
