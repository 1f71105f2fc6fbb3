//! Tests of this crate's protocols and properties.

#[cfg(heap_loom)]
mod loom_span_set;
