//! Userdata: foreign objects that scripts hold, such as files and what the host gives them.

use core::any::Any;
use core::cell::{Cell, RefCell};

use heap_api::{ExternalBytes, Gc, GcCell, Opaque, Trace};

use crate::stdlib::io::LuaFile;
use crate::table::Table;

/// The foreign part of a userdata. A destructor of its own may run when the heap is swept.
pub enum Content {
    /// One of the library's files.
    File(LuaFile),
    /// An object of the host's; see [`crate::host`].
    Host(RefCell<Box<dyn Any + Send>>),
}

/// A userdata object.
#[derive(Trace)]
pub struct UserData<'gc> {
    /// Its metatable.
    pub metatable: GcCell<Option<Gc<'gc, Table<'gc>>>>,
    /// Whether it is registered for finalization.
    pub has_finalizer: Cell<bool>,
    /// The foreign object.
    pub content: Opaque<Content>,
    /// What the foreign object owns outside of the heap.
    pub external: ExternalBytes,
}
