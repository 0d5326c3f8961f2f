//! `predictsql demo`: a small shop with photos, predicted by the models of `bench/zoo`.

mod dataset;
mod error;
mod pictures;
mod progress;
mod queries;
mod shop;
mod zoo;
