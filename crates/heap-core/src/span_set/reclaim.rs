//! When a block of a span set may be freed.
//!
//! A thread pins before it reads a link of the set. A block that has been taken
//! out of the chain is retired: it is freed once every thread that was pinned at
//! that moment is done. Those that pin later cannot reach it (Q3).
//!
//! In a real build this is `crossbeam-epoch`. That crate can only be modelled
//! under a cfg of its own, so under the model checker its guarantee is assumed,
//! blocks are kept until the set is dropped, and our half of the contract
//! is checked: no thread that pinned after a block was retired ever reaches it.

#[cfg(heap_loom)]
pub(super) use model::{Guard, Reclaimer, Stamp};
#[cfg(not(heap_loom))]
pub(super) use real::{Guard, Reclaimer};

#[cfg(not(heap_loom))]
mod real {
    use super::super::Block;
    use std::marker::PhantomData;

    /// Frees the blocks of a set when no thread can reach them.
    pub(in super::super) struct Reclaimer<T>(PhantomData<fn(T)>);

    /// While a thread has one, no block it can reach is freed.
    pub(in super::super) struct Guard(crossbeam_epoch::Guard);

    impl Guard {
        /// # Safety
        /// `block` is null or was read under this guard from a link of the set, or
        /// from `next` of a block reached that way.
        #[inline]
        pub(in super::super) unsafe fn block<T>(&self, block: *mut Block<T>) -> Option<&Block<T>> {
            // SAFETY: by the contract the block was reachable after we pinned, so it
            // was not retired before; what was retired since is freed only after
            // this guard is dropped, and the result borrows the guard.
            unsafe { block.as_ref() }
        }
    }

    impl<T> Default for Reclaimer<T> {
        fn default() -> Self {
            Reclaimer(PhantomData)
        }
    }

    impl<T> Reclaimer<T> {
        #[inline]
        pub(in super::super) fn pin(&self) -> Guard {
            Guard(crossbeam_epoch::pin())
        }

        /// # Safety
        /// The block came from a `Box`, is retired once, and no thread that pins
        /// after this call can reach it.
        pub(in super::super) unsafe fn retire(&self, block: *mut Block<T>, guard: &Guard) {
            // SAFETY: by the contract. Dropping a block frees its slots and does not
            // look at the items, so it may happen on any thread and outlive `T`.
            unsafe { guard.0.defer_unchecked(move || drop(Box::from_raw(block))) };
        }
    }
}

#[cfg(heap_loom)]
mod model {
    use super::super::Block;
    use heap_sync::atomic::{AtomicUsize, Ordering};
    use std::sync::atomic::AtomicPtr;

    /// Keeps the retired blocks of a set until the set is dropped.
    pub(in super::super) struct Reclaimer<T> {
        /// Counts pins and retirements. Pinning acquires from the retirements before
        /// it and orders nothing else; the real collector's fences do more, but
        /// they must not hide a missing ordering of ours.
        clock: AtomicUsize,
        // The bookkeeping is std's on purpose: loom must not see it as
        // synchronisation. It runs one thread at a time, so it is exact.
        retired: std::sync::Mutex<Vec<AtomicPtr<Block<T>>>>,
    }

    pub(in super::super) struct Guard {
        pinned: usize,
    }

    /// When a block was retired, or 0.
    #[derive(Default)]
    pub(in super::super) struct Stamp(std::sync::atomic::AtomicUsize);

    impl Guard {
        /// # Safety
        /// As in the real build.
        pub(in super::super) unsafe fn block<T>(&self, block: *mut Block<T>) -> Option<&Block<T>> {
            // SAFETY: blocks live until the set is dropped.
            let block = unsafe { block.as_ref() }?;
            let retired = block.stamp.0.load(Ordering::SeqCst);
            assert!(
                retired == 0 || retired > self.pinned,
                "reached a block retired before pinning"
            );
            Some(block)
        }
    }

    impl<T> Default for Reclaimer<T> {
        fn default() -> Self {
            Reclaimer { clock: AtomicUsize::new(1), retired: std::sync::Mutex::default() }
        }
    }

    impl<T> Reclaimer<T> {
        pub(in super::super) fn pin(&self) -> Guard {
            Guard { pinned: self.clock.fetch_add(1, Ordering::Acquire) }
        }

        /// # Safety
        /// As in the real build.
        pub(in super::super) unsafe fn retire(&self, block: *mut Block<T>, _: &Guard) {
            let now = self.clock.fetch_add(1, Ordering::Release);
            // SAFETY: blocks live until the set is dropped.
            let before = unsafe { &*block }.stamp.0.swap(now, Ordering::SeqCst);
            assert_eq!(before, 0, "retired twice");
            self.retired.lock().unwrap().push(AtomicPtr::new(block));
        }
    }

    impl<T> Drop for Reclaimer<T> {
        fn drop(&mut self) {
            for block in self.retired.get_mut().unwrap() {
                // SAFETY: retired once, hence in this list once, and the set is going.
                drop(unsafe { Box::from_raw(*block.get_mut()) });
            }
        }
    }
}
