//! Models of this crate's protocols.
//!
//! Models whose mutants remove a protocol's private parts are mounted in the protocol's own module;
//! their files stand here beside the others.

#[cfg(heap_loom)]
mod loom_credit;
#[cfg(heap_loom)]
#[allow(unsafe_code, reason = "loom checks every access")]
pub(crate) mod own;
