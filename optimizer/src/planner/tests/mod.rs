//! Tests of planning: against naive evaluation, brute force and simulated repositories.

mod narrowing;
mod priors;
mod promises;
mod repository;
mod search;
mod snapshots;
mod stability;
