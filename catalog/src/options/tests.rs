//! Tests of reading options.
