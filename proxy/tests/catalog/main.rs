//! Catalog statements, the service account and `init` against a real MariaDB.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod account;
mod bench;
#[path = "../../../catalog/tests/fixture/mod.rs"]
mod fixture;
mod init;
mod measured;
mod show;
mod statements;
