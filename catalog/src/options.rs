//! `OPTIONS (...)` of `CREATE MODEL` as parsed, and their meaning as [`ModelOptions`].
