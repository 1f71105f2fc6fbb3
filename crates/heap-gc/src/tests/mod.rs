//! Models of this crate's protocols.
//!
//! Models whose mutants remove a protocol's private parts are mounted in the protocol's own module;
//! their files stand here beside the others.

#[cfg(heap_loom)]
mod loom_credit;
#[cfg(heap_loom)]
mod loom_page_queue;
#[cfg(heap_loom)]
#[path = "../../../heap-core/src/tests/model.rs"]
pub(crate) mod model;
#[cfg(heap_loom)]
#[allow(unsafe_code, reason = "races on purpose, under the model checker")]
#[path = "../../../heap-core/src/tests/witness.rs"]
pub(crate) mod witness;
