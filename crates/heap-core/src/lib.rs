//! The memory layer: arenas, pages, size classes, spans, caches and sweeping.
//!
//! It knows no roots, no Rust types, and not when to collect. An object is a slot in a
//! span; a span has a size class and an [`ObjectKind`](kind::ObjectKind). The structures
//! and their names follow the Go runtime.
//!
//! Of phases and threads it knows four things: the sweep clock ([`sweep_gen`]); whether an
//! incremental mark phase is under way, in which new objects are allocated black
//! ([`mheap`]); how many mutators divide the heap among them ([`partition`]); and, in a
//! thread-local, whether a thread runs a destructor ([`sweep`]).
//!
//! # The story of an allocation
//!
//! 1. The caller names a kind and a size class ([`alloc_class`]); for a fixed
//!    type both are constants.
//! 2. [`mcache::Cache::alloc`] looks up the bump region of that pair: a run of free
//!    slots. Usually it has room: compare, add, done. Small objects without handles
//!    share slots: their bump region advances by their size ([`tiny`]). If a slot is to be
//!    sampled ([`sampling`]) the region ends before it, and the slow path hands it out.
//! 3. Else [`mcache::Cache::refill`] takes the next run of free slots of the
//!    cached span, by counting zeros in its allocation bits.
//! 4. When the span is used up the cache continues with a spare one. When there is none,
//!    all that are used up go back to their [`mcentral::Central`], and the caller is
//!    told that it needs a batch of spans: the more were taken before, the larger the batch.
//! 5. [`mheap::MHeap::acquire_spans`] takes swept spans with room if there are
//!    any.
//! 6. Else it takes a [`ticket::Ticket`] and sweeps spans of the same kind and
//!    class ([`sweep`]), a batch at a time, until some have room: a bounded number.
//! 7. Else it takes fresh pages for one span from [`page_alloc::PageAlloc`], within the limit,
//!    at the mutator's [`partition`] if there are some near;
//! 8. which reserves another `arena` from the [`os`] when it has none.
//! 9. The span's record comes from [`fixalloc`]; its pages are entered in the
//!    arena's tables.
//! 10. The caller (the collector's slow path, not this crate) pays the rest of its
//!     sweep credit, span by span, with [`mheap::MHeap::sweep_one`].
//! 11. [`mcache::Cache::install`] makes the batch, or this one, the spans to allocate
//!     from, and the slot is the first of the first one's first run.
//! 12. After the next mark phase the object's mark byte becomes an allocation bit
//!     ([`marks`], [`gcbits`]), or its slot is part of the next run.
//!
//! # Layers, bottom-up
//!
//! A module uses only modules to its left; those in parentheses use each other. A test
//! checks it.
//!
//! ```text
//! layers: geometry asan error shrink size_class sweep_gen ticket partition gcbits fixalloc span_set os
//! layers: sampling weak_handles prefetch mark_byte page_flag tracer kind
//! layers: stats (mspan mcentral) arena location alloc_class tiny marks page_alloc
//! layers: sweep mheap mcache stack verify
//! ```

pub mod alloc_class;
#[allow(unsafe_code, reason = "maps addresses to the arena's tables")]
mod arena;
#[allow(unsafe_code, reason = "calls into the sanitizer's run time")]
mod asan;
pub mod error;
#[allow(unsafe_code, reason = "raw memory of metadata records")]
mod fixalloc;
#[allow(unsafe_code, reason = "raw memory of bitmaps")]
pub mod gcbits;
pub mod geometry;
#[allow(unsafe_code, reason = "the maker of a kind answers for its functions")]
pub mod kind;
#[allow(unsafe_code, reason = "maps addresses to the arena's tables")]
pub mod location;
#[allow(unsafe_code, reason = "clears a page of mark bytes at once")]
pub mod mark_byte;
#[allow(unsafe_code, reason = "vector kernels over mark bytes")]
pub mod marks;
#[allow(unsafe_code, reason = "bump regions point into spans")]
pub mod mcache;
mod mcentral;
#[allow(unsafe_code, reason = "owns spans, arenas and central lists by address")]
pub mod mheap;
#[allow(unsafe_code, reason = "token-guarded access to span contents")]
pub mod mspan;
#[allow(unsafe_code, reason = "decommitting mapped memory")]
pub mod os;
pub mod page_alloc;
pub mod page_flag;
pub mod partition;
#[allow(unsafe_code, reason = "hints to the processor")]
pub mod prefetch;
pub mod sampling;
pub mod shrink;
pub mod size_class;
mod span_set;
#[allow(unsafe_code, reason = "blocks of raw memory that outlive the heap")]
pub mod stack;
pub mod stats;
#[allow(unsafe_code, reason = "runs destructors in place, poisons freed slots")]
pub mod sweep;
mod sweep_gen;
mod ticket;
pub mod tiny;
#[allow(unsafe_code, reason = "writes edges through pointers held in registers")]
pub mod tracer;
#[allow(unsafe_code, reason = "inspects spans with the world stopped")]
pub mod verify;
#[allow(unsafe_code, reason = "addresses that threads hand each other")]
pub mod weak_handles;

#[cfg(test)]
mod tests;
