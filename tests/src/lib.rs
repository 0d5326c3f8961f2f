//! The fixture of the end-to-end tests: private stores, the real proxy, photos, models,
//! and a raw client.
//!
//! Whatever is started here dies with the test process, however that ends (see [`process`]).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a fixture that does not come up fails its test by a panic"
)]

pub mod apparel;
pub mod authority;
pub mod binary;
pub mod cut;
pub mod eventually;
mod http;
pub mod onnx;
pub mod process;
pub mod proxy;
pub mod scripted_store;
#[path = "../../proxy/src/fuzzing/seed.rs"]
pub mod seed;
pub mod store;
pub mod structure;
pub mod wire;
pub mod worker;

pub use cut::Cut;
pub use eventually::eventually;
pub use proxy::{Proxy, Settings};
pub use store::Store;
pub use wire::Wire;
pub use worker::{Worker, WorkerSettings, workers_table};
