//! A garbage-collected heap for language runtimes.
//!
//! A thread enters a [`Heap`] and gets a [`Cx`]. Through `&Cx` it allocates and
//! follows handles ([`Gc`]); through `&mut Cx` it reaches safepoints, where the heap
//! may collect. A handle borrows the `Cx`, so a program has either unrooted handles
//! or a safepoint, never both at once. A [`Root`] or a [`Local`] holds what must
//! survive a safepoint.
//!
//! ```
//! use heap_api::{Config, Cx, Gc, GcCell, Heap, Root, Trace};
//!
//! #[derive(Trace)]
//! struct Node<'gc> {
//!     value: i64,
//!     next: GcCell<Option<Gc<'gc, Node<'gc>>>>,
//! }
//!
//! let heap = Heap::new(Config::new());
//! let mut cx = heap.enter();
//! let list: Root<Node<'static>> = {
//!     let a = cx.alloc(Node { value: 1, next: GcCell::new(None) });
//!     let b = cx.alloc(Node { value: 2, next: GcCell::new(Some(a)) });
//!     cx.root(b)
//! };
//! cx.collect(); // takes `&mut cx`: no bare handle is alive here
//! assert_eq!(list.get(&cx).next.get().unwrap().value, 1);
//! ```
//!
//! The guide for embedders is `docs/embedding.md`, the argument for soundness is
//! `docs/design/handles.md`.
//!
//! # Layers, bottom-up
//!
//! A module uses only modules to its left; those in parentheses use each other. A test
//! checks it.
//!
//! ```text
//! layers: trace payload printing gc raw any share by_address impls local error (cx heap) cell
//! layers: alloc text external root dyn_gc intern stack zeroed buffer vec map
//! layers: weak ephemeron weak_map weak_value_map finalizers sampling
//! ```

extern crate self as heap_api;

#[allow(unsafe_code, reason = "writes values into fresh slots")]
mod alloc;
#[allow(unsafe_code, reason = "sees an object as the type that its kind names")]
mod any;
#[allow(unsafe_code, reason = "elements in raw slots")]
mod buffer;
#[allow(unsafe_code, reason = "as the handle that it wraps")]
mod by_address;
#[allow(unsafe_code, reason = "reports what a cell held to the collector")]
mod cell;
#[allow(unsafe_code, reason = "brings a thread's mutator inside and outside")]
mod cx;
#[allow(unsafe_code, reason = "takes fat pointers apart")]
mod dyn_gc;
#[allow(unsafe_code, reason = "gives out keys and values that are not always alive")]
mod ephemeron;
mod error;
#[allow(unsafe_code, reason = "says where handles are not")]
mod external;
#[allow(unsafe_code, reason = "gives out handles of a registry")]
mod finalizers;
#[allow(unsafe_code, reason = "a handle is a pointer to a live object")]
mod gc;
mod heap;
#[allow(unsafe_code, reason = "says of other crates' types where their handles are")]
mod impls;
#[allow(unsafe_code, reason = "gives out handles of a weak table")]
mod intern;
#[allow(unsafe_code, reason = "drops values on their own threads")]
mod local;
#[allow(unsafe_code, reason = "reads and writes entries in place")]
mod map;
#[allow(unsafe_code, reason = "typed views of raw slots")]
mod payload;
mod printing;
#[allow(unsafe_code, reason = "makes handles of what was one")]
mod raw;
#[allow(unsafe_code, reason = "gives out handles of roots")]
mod root;
#[allow(unsafe_code, reason = "sees a mutator as the context that it is in")]
mod sampling;
#[allow(unsafe_code, reason = "says which types several mutators may share")]
mod share;
#[allow(unsafe_code, reason = "values in spans that belong to a stack")]
mod stack;
#[allow(unsafe_code, reason = "writes strings into fresh slots")]
mod text;
#[allow(unsafe_code, reason = "the contract of tracing")]
mod trace;
#[allow(unsafe_code, reason = "runs the write barrier for what it leaves, and hands out cells")]
mod vec;
#[allow(unsafe_code, reason = "a handle to a cell that leads to an object")]
mod weak;
#[allow(unsafe_code, reason = "says where the handles of a table are")]
mod weak_map;
#[allow(unsafe_code, reason = "says where the handles of a map are")]
mod weak_value_map;
#[allow(unsafe_code, reason = "says which types zero bytes are a value of")]
mod zeroed;

/// The operating system as a heap sees it; see [`Heap::with_os`].
pub mod os {
    pub use heap_core::os::{Decommit, Failure, Os, Reservation, SimOs, SystemOs};
}

pub use any::{AnyGc, AnyObject};
pub use by_address::ByAddress;
pub use bytemuck::Zeroable;
pub use cell::{AtomicGcCell, BarrierStamp, GcCell, GcRefCell, GcRefMut};
pub use cx::Cx;
pub use dyn_gc::{DynFamily, DynGc, DynRoot};
pub use ephemeron::Ephemeron;
pub use error::{AllocError, BrokenInvariant, ContextLeaked, OutOfMemory, VerifyError};
pub use external::{External, ExternalBytes, ExternalSize};
pub use finalizers::Finalizers;
pub use gc::Gc;
pub use heap::{ClassRow, Config, ExternalRow, Heap, HeapUsage, HistogramRow, MemoryStats, Stats};
pub use heap_derive::{Share, Trace};
pub use heap_gc::{Frames, PollFlag, SafepointTimes};
pub use heap_observe::{AllocationProfile, AllocationSite, Frame, SampleCount};
pub use impls::Opaque;
pub use intern::InternSet;
pub use local::LocalOpaque;
pub use map::{GcMap, GcMapIter};
pub use payload::{HeaderSlice, Payload};
pub use root::{Local, Root, Scope};
pub use share::Share;
pub use stack::{GcStack, GcStackWindow, StackBlock};
pub use text::HeaderStr;
#[doc(hidden)]
pub use trace::{HasDrop, HeapObjectsMustNotImplementDrop, LeafData, PlainData};
pub use trace::{In, Trace, Tracer};
pub use vec::{GcVec, GcVecIter};
pub use weak::{Weak, WeakRoot};
pub use weak_map::{WeakMap, WeakSet};
pub use weak_value_map::WeakValueMap;

/// The README's example, compiled and run.
#[doc = include_str!("../../../README.md")]
#[cfg(doctest)]
pub struct Readme;

/// The page on profiles, compiled and run.
#[doc = include_str!("../../../docs/looking-inside.md")]
#[cfg(doctest)]
pub struct LookingInside;

/// The embedder's guide, compiled and run.
#[doc = include_str!("../../../docs/embedding.md")]
#[cfg(doctest)]
pub struct EmbeddingGuide;
