//! Tests of this crate's protocols and properties.
//!
//! Models whose mutants take a protocol's private parts out are mounted in the
//! protocol's own module; their files stand here beside the others.

#[cfg(heap_loom)]
mod loom_awaited;
#[cfg(heap_loom)]
#[allow(unsafe_code, reason = "sets up span records of its own")]
mod loom_background;
#[cfg(heap_loom)]
mod loom_page_queue;
#[cfg(heap_loom)]
mod loom_span_set;
