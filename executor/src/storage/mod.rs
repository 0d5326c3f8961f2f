//! Where images and models are: roots, locations below them, and addresses that are never read.

mod address;
mod location;
mod object_location;
mod root;

pub(crate) use address::AllowedAddresses;
pub(crate) use location::{Location, parse};
pub(crate) use object_location::{Bucket, ObjectLocation, Scheme};
pub use root::StorageRoot;
