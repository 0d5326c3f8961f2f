//! The end-to-end tests: the real binary, real MariaDB servers, real clients. One binary,
//! so that they share a store.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod admin;
mod analyze;
mod bad_input;
mod big_statements;
mod caching_sha2;
mod clients;
mod conditions;
mod differential;
mod documents;
mod embedded;
mod evaluate;
mod faults;
mod fidelity;
mod grants;
mod images_as_they_are;
mod interrupted;
mod kept;
mod loading;
mod model_memory;
mod models_as_they_are;
mod objects;
mod operating;
mod other_server;
mod planned;
mod relay;
mod stable;
mod texts;
mod tidy;
mod tls;
mod views;
mod workers;
