//! Data that a heap reports about itself, and encoders for the formats of existing tools.
//!
//! This crate does not depend on a heap: it defines the data ([`AllocationProfile`]) and the
//! encoders. It has no `unsafe` code and no dependencies. `heap-api` fills the data in and exports
//! the types.
//!
//! # Layers, bottom-up
//!
//! A module uses only modules to its left. A test checks it.
//!
//! ```text
//! layers: protobuf profile pprof
//! ```

#![forbid(unsafe_code)]

mod pprof;
mod profile;
mod protobuf;

pub use profile::{AllocationProfile, AllocationSite, Frame, SampleCount};
