//! Userdata: foreign objects that scripts hold, such as files.

use core::cell::Cell;

use heap_api::{ExternalBytes, Gc, GcCell, Opaque, Trace};

use crate::stdlib::io::LuaFile;
use crate::table::Table;

/// A userdata object.
#[derive(Trace)]
pub struct UserData<'gc> {
    /// Its metatable.
    pub metatable: GcCell<Option<Gc<'gc, Table<'gc>>>>,
    /// Whether it is registered for finalization.
    pub has_finalizer: Cell<bool>,
    /// The foreign object. A destructor of its own may run when the heap is swept.
    pub content: Opaque<LuaFile>,
    /// What the foreign object owns outside of the heap.
    pub external: ExternalBytes,
}
