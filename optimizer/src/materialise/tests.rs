//! Statements and what a materialise plan makes of them.
