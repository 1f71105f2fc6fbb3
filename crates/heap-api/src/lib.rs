//! A garbage-collected heap for language runtimes.
//!
//! Draft of the crate documentation: see `docs/embedding.md`.
//!
//! ```
//! use heap_api::{Config, Cx, Gc, Heap, Root, Slot, Trace};
//!
//! #[derive(Trace)]
//! struct Node<'gc> {
//!     value: i64,
//!     next: Slot<Option<Gc<'gc, Node<'gc>>>>,
//! }
//!
//! let heap = Heap::new(Config::new());
//! let mut cx = heap.enter();
//! let list: Root<Node<'static>> = {
//!     let a = cx.alloc(Node { value: 1, next: Slot::new(None) });
//!     let b = cx.alloc(Node { value: 2, next: Slot::new(Some(a)) });
//!     cx.root(b)
//! };
//! cx.collect(); // takes `&mut cx`: no bare handle is alive here
//! assert_eq!(list.get(&cx).next.get().unwrap().value, 1);
//! ```
//!
//! Layers, bottom-up: `trace`, `gc`, `error`, `cell`, `root`, `intern`, `cx`, `heap`.

#![allow(unsafe_code, reason = "the typed face over raw slots; each block says why it is sound")]

extern crate self as heap_api;

mod cell;
mod cx;
mod error;
mod gc;
mod heap;
mod intern;
mod root;
mod trace;

pub use cell::{AtomicSlot, Lock, LockMut, Slot};
pub use cx::Cx;
pub use error::{AllocError, OutOfMemory, VerifyError};
pub use gc::Gc;
pub use heap::{Config, Heap, Stats};
pub use heap_derive::{Share, Trace};
pub use intern::InternSet;
pub use root::{Local, Root, Scope};
pub use trace::{Opaque, Payload, Share, Tailed, Trace, Tracer};
