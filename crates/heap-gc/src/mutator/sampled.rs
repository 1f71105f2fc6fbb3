//! Allocation of objects that are sampled: see [`crate::sampling`].
//!
//! * MU5: while the stack hook runs its mutator allocates nothing. The bump regions are hidden, so
//!   that every allocation comes to a slow path, which refuses by panic; so what the cache has
//!   promised before the hook ran it still has.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ptr::NonNull;
use std::rc::Rc;

use heap_core::kind::ObjectKind;
use heap_core::mcache::HiddenRegions;
use heap_core::size_class::SizeClass;
use heap_sync::mutant;

use super::Mutator;
use crate::phase::Phase;
use crate::sampling::Frames;

/// Writes down the stack of the program's language, the innermost frame first.
pub type StackHook = dyn Fn(&Mutator, &mut Frames);

/// The stack hook of a mutator, if it has one, and whether it runs.
#[derive(Default)]
pub(super) struct HookState {
    hook: RefCell<Option<Rc<StackHook>>>,
    is_running: Cell<bool>,
}

impl fmt::Debug for HookState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookState")
            .field("is_running", &self.is_running.get())
            .finish_non_exhaustive()
    }
}

/// The hook runs.
struct HookRuns<'m> {
    mutator: &'m Mutator,
    hidden: Option<HiddenRegions>,
}

impl<'m> HookRuns<'m> {
    fn begin(mutator: &'m Mutator) -> HookRuns<'m> {
        mutator.hook.is_running.set(true);
        // SAFETY: MU1, as in `alloc_small`.
        let hidden = unsafe { &mut *mutator.cache.as_ptr() }.hide_regions();
        HookRuns { mutator, hidden: Some(hidden) }
    }
}

impl Drop for HookRuns<'_> {
    fn drop(&mut self) {
        if let Some(hidden) = self.hidden.take() {
            // SAFETY: MU1, as in `alloc_small`; they were hidden in this cache, which was not used
            // since (MU5).
            unsafe { (*self.mutator.cache.as_ptr()).show_regions(hidden) };
        }
        self.mutator.hook.is_running.set(false);
    }
}

impl Mutator {
    /// Sets the hook that yields the stacks of samples, or removes it. Returns the one before.
    pub fn set_stack_hook(&self, hook: Option<Rc<StackHook>>) -> Option<Rc<StackHook>> {
        self.hook.hook.replace(hook)
    }

    /// Whether the stack hook runs (MU5).
    pub(super) fn is_in_hook(&self) -> bool {
        self.hook.is_running.get()
    }

    /// Whether a collection is under way, which keeps what is made (M4).
    fn allocates_black(&self) -> bool {
        mutant!("forgets new samples" => return false);
        self.phase.get() != Phase::Idle
    }

    /// The stack of the program's language, for a sample. Nothing is borrowed, and no slot is taken:
    /// the hook is user code, and may panic.
    fn stack_trace(&self) -> Frames {
        let mut frames = Frames::default();
        let hook = self.hook.hook.borrow().clone();
        if let Some(hook) = hook {
            let runs = HookRuns::begin(self);
            hook(self, &mut frames);
            // It may have been replaced, and this the last of it: what it owns is dropped here, and is
            // user code as well (MU5).
            drop(hook);
            drop(runs);
        }
        frames
    }

    /// The slot that the cache has found is to be sampled.
    ///
    /// # Safety
    ///
    /// As [`Mutator::alloc_small`]; and the cache's last answer was `Refill::Sampled`, for this kind
    /// and class.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn alloc_sampled(
        &self,
        kind: &'static ObjectKind,
        class: SizeClass,
    ) -> NonNull<u8> {
        let frames = self.stack_trace();
        // SAFETY: MU1, as in `alloc_small`; it has answered so, and was not used since (MU5).
        let slot = unsafe { (*self.cache.as_ptr()).take_sampled(kind, class) };
        if let Some(sampling) = &self.shared.sampling {
            // SAFETY: a slot of this kind and class, allocated just now, and so without a record:
            // those of the objects that were there before went when these were found dead.
            unsafe {
                sampling.record(slot, kind, class.object_size(), &frames, self.allocates_black());
            }
        }
        slot
    }

    /// The stack trace if an object with a span of its own is to be sampled that takes `bytes` with
    /// all its pages.
    pub(super) fn large_stack_trace(&self, bytes: usize) -> Option<Frames> {
        // SAFETY: MU1, as in `alloc_small`.
        let is_sampled = unsafe { &*self.cache.as_ptr() }.samples_large(bytes);
        is_sampled.then(|| self.stack_trace())
    }

    /// Counts an object with a span of its own, and records it if it is to be sampled.
    ///
    /// # Safety
    ///
    /// `object` was allocated just now, of this kind, and takes `bytes` with all its pages; `frames`
    /// are of [`Mutator::large_stack_trace`].
    pub(super) unsafe fn record_large(
        &self,
        object: NonNull<u8>,
        kind: &'static ObjectKind,
        bytes: usize,
        frames: Option<Frames>,
    ) {
        // SAFETY: MU1, as in `alloc_small`.
        unsafe { &mut *self.cache.as_ptr() }.count_large(bytes);
        if let (Some(frames), Some(sampling)) = (frames, &self.shared.sampling) {
            // SAFETY: forwarded from the caller; as in `alloc_sampled`.
            unsafe { sampling.record(object, kind, bytes, &frames, self.allocates_black()) };
        }
    }
}
