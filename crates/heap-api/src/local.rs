//! [`LocalOpaque`]: a foreign value that must be dropped on the thread that made it, in a heap
//! object that any thread may sweep.
//!
//! * LO1: the value is reached and dropped on its own thread only. It is reached through handles,
//!   which stay on that thread: a `LocalOpaque` is neither `Send` (unless the value is) nor
//!   [`Share`](crate::Share). A sweeper on another thread moves the value, without looking at it, to
//!   the queue of its own thread, which drops it at its next safepoint, or when it ends.
//! * LO2: of a thread that has ended there is no queue: such a value is leaked.

use core::any::Any;
use core::fmt;
use core::mem::ManuallyDrop;
use core::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, ThreadId};

use heap_core::sweep::drop_payload;
use heap_sync::lock::Mutex;

use crate::trace::{Trace, Tracer};

/// Wraps a type that is not `Send`, so that it can be a field of a heap object: an `Rc`, a handle
/// of a graphical interface, a guard. The value is dropped on the thread that made it: when that
/// thread finds the object dead, or else when it next enters a heap, comes back from
/// [`Cx::park`](crate::Cx::park), or comes to a safepoint at which there is something to do, or
/// ends. (A value whose thread has ended by then is leaked.)
///
/// It cannot hold a handle of the heap: hence `'static`. An object with such a field cannot be
/// shared between threads. See [`Opaque`](crate::Opaque) for types that are `Send`.
///
/// ```
/// use std::rc::Rc;
/// use heap_api::{Config, Heap, LocalOpaque};
///
/// let heap = Heap::new(Config::new());
/// let mut cx = heap.enter();
/// let shared = Rc::new(5);
/// let object = cx.alloc(LocalOpaque::new(Rc::clone(&shared)));
/// assert_eq!((***object, Rc::strong_count(&shared)), (5, 2));
/// cx.collect();
/// assert_eq!(Rc::strong_count(&shared), 1);
/// ```
pub struct LocalOpaque<T: 'static> {
    value: ManuallyDrop<T>,
    owner: Arc<Owner>,
}

impl<T: 'static> LocalOpaque<T> {
    /// Wraps a value of this thread.
    ///
    /// # Panics
    ///
    /// If the thread is ending and has no thread-locals any more.
    #[must_use]
    pub fn new(value: T) -> LocalOpaque<T> {
        let owner = THIS_THREAD.with(|this| Arc::clone(&this.0));
        IS_OWNER.set(true);
        LocalOpaque { value: ManuallyDrop::new(value), owner }
    }
}

impl<T: 'static> Deref for LocalOpaque<T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: 'static> Drop for LocalOpaque<T> {
    fn drop(&mut self) {
        // First: where a thread that ends cannot tell, this panics, and the value is leaked.
        let is_own = self.owner.thread == thread::current().id();
        // SAFETY: it is not used again.
        let value = unsafe { ManuallyDrop::take(&mut self.value) };
        if is_own {
            drop(value);
        } else {
            self.owner.send(Dead::new(value));
        }
    }
}

impl<T: fmt::Debug + 'static> fmt::Debug for LocalOpaque<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LocalOpaque").field(&**self).finish()
    }
}

// SAFETY: no handle hides inside: the value is `'static`, and a `Gc<'static, T>` is had only from a
// context that is borrowed for `'static`, whose heap frees nothing any more (TA1). The type is the same in
// all regions (TA2, TA6). Dropping it on another thread is sound (TA4) by LO1.
unsafe impl<T: 'static> Trace for LocalOpaque<T> {
    type At<'a> = LocalOpaque<T>;
    const NEEDS_TRACE: bool = false;
    #[inline(always)]
    fn trace(&self, _: &mut Tracer) {}
}

/// A thread that has made values.
struct Owner {
    thread: ThreadId,
    /// What others have found dead; `None` when the thread has ended (LO2).
    queue: Mutex<Option<Vec<Dead>>>,
}

impl Owner {
    /// For a thread that has found a value of this one dead.
    fn send(&self, dead: Dead) {
        match &mut *self.queue.lock() {
            Some(queue) => queue.push(dead),
            None => dead.leak(),
        }
    }

    /// Drops what others have found dead. For this thread (LO1).
    fn drop_dead(&self) {
        let take = || self.queue.lock().as_mut().and_then(Vec::pop);
        // Destructors may do what they like, come back to this function too: the lock is free.
        while let Some(dead) = take() {
            // SAFETY: LO1: this is the value's own thread.
            unsafe { dead.drop() };
        }
    }
}

/// A value on its way to its own thread.
struct Dead(ManuallyDrop<Box<dyn Any>>);

// SAFETY: other threads move the box, and do not look into it.
unsafe impl Send for Dead {}

impl Dead {
    fn new<T: 'static>(value: T) -> Dead {
        Dead(ManuallyDrop::new(Box::new(value)))
    }

    /// Drops the value. A panic of its destructor is contained, as it is in a sweep.
    ///
    /// # Safety
    ///
    /// The calling thread is the value's own (LO1).
    unsafe fn drop(self) {
        let value = ManuallyDrop::into_inner(self.0);
        let _ = catch_unwind(AssertUnwindSafe(|| drop(value))).map_err(drop_payload);
    }

    /// LO2.
    fn leak(self) {}
}

struct ThisThread(Arc<Owner>);

impl Drop for ThisThread {
    fn drop(&mut self) {
        loop {
            self.0.drop_dead();
            let mut queue = self.0.queue.lock();
            // Nothing may have come in between.
            if queue.as_ref().is_none_or(Vec::is_empty) {
                *queue = None;
                return;
            }
        }
    }
}

thread_local! {
    static THIS_THREAD: ThisThread = ThisThread(Arc::new(Owner {
        thread: thread::current().id(),
        queue: Mutex::new(Some(Vec::new())),
    }));
    /// Whether `THIS_THREAD` was made: most threads need none.
    static IS_OWNER: core::cell::Cell<bool> = const { core::cell::Cell::new(false) };
}

/// At a safepoint: drops what other threads have found dead of this one's values.
#[inline]
pub(crate) fn drop_dead() {
    let is_owner = IS_OWNER.try_with(core::cell::Cell::get).unwrap_or(false);
    if is_owner {
        // A thread that ends has dropped them.
        let _ = THIS_THREAD.try_with(|this| this.0.drop_dead());
    }
}
