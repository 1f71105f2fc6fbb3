//! What `fork` leaves of a heap's threads.
//!
//! A child has the thread that called `fork`, and no other. So helpers and the background sweeper
//! are gone, whatever they were doing. A helper sleeps while mutators run, and its pool is not used
//! in the child. The sweeper may hold a ticket, locks, and a span that is half swept: handlers that
//! the system calls around `fork` wait for the end of its current batch (`pthread_atfork`).
//!
//! * FK1: while a process forks no background sweeper is in a batch; so in the child nothing of a
//!   heap is held by a thread of the heap that is not there. The exception is a destructor of a
//!   heap object that forks. (Other
//!   threads of the program must end what they do with the heap before.)
//! * FK2: a heap uses its threads, and what it shares with them alone, only in the process
//!   that it was made in.
//! * FK4: no signal handler of the program's runs on a thread of a heap, except for faults of that
//!   thread and for profiling: it may fork, or take a lock of the program's, while the thread is in a
//!   batch or in the allocator.
//! * FK3: a handler that is called twice for a fork only counts the second call.
//!
//! A fork that began before the handlers were registered is not seen: where another thread makes
//! the first heap of the process at that time, a child may find locks taken (`HEAPS`,
//! crossbeam-epoch's first use, the standard library's when a thread starts). `docs/embedding.md`
//! asks the program not to.
//!
//! Model: `tests/loom_fork.rs`.

use std::cell::Cell;
use std::ptr;

use heap_sync::atomic::{AtomicBool, Ordering};

heap_sync::thread::thread_local! {
    /// Of the sweeper that this thread is, if it is one. (In a destructor of a thread-local there
    /// may be no `thread::current()` any more.)
    static OWN_BATCHES: Cell<*const Batches> = const { Cell::new(ptr::null()) };
}

/// Whether the sweeper of a heap is in a batch, or a fork holds it off.
#[derive(Debug, Default)]
pub(crate) struct Batches(AtomicBool);

/// The sweeper is in a batch.
#[derive(Debug)]
#[must_use = "dropping it ends the batch"]
pub(crate) struct Batch<'b>(&'b Batches);

impl Batches {
    /// Says that the calling thread is the sweeper of this heap, until it ends.
    pub(crate) fn begin_sweeper(&self) {
        OWN_BATCHES.with(|own| own.set(self));
    }

    /// Whether the calling thread is the sweeper of this heap.
    pub(crate) fn is_own(&self) -> bool {
        ptr::eq(OWN_BATCHES.with(Cell::get), self)
    }

    /// Begins a batch, unless the process forks. For the one sweeper of the heap.
    pub(crate) fn begin(&self) -> Option<Batch<'_>> {
        // ORDERING: Acquire pairs with the Release of `resume`; and with that of the batch
        // before, which is this thread's own.
        // Model: loom_fork::a_fork_finds_no_batch.
        let is_free = !system::is_forking() && !self.0.swap(true, Ordering::Acquire);
        is_free.then(|| Batch(self))
    }

    /// Keeps the sweeper from beginning a batch, if it is in none. For the thread that forks.
    #[cfg(any(all(unix, not(heap_loom)), all(test, heap_loom)))]
    fn try_hold_off(&self) -> bool {
        // ORDERING: Acquire pairs with the Release of the end of a batch: the child sees all that
        // it has done.
        !self.0.swap(true, Ordering::Acquire)
    }

    /// Ends what `try_hold_off` began.
    #[cfg(any(all(unix, not(heap_loom)), all(test, heap_loom)))]
    fn resume(&self) {
        // ORDERING: Release pairs with the Acquire of `begin`.
        self.0.store(false, Ordering::Release);
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        // ORDERING: Release pairs with the Acquire of `try_hold_off`.
        self.0.0.store(false, Ordering::Release);
    }
}

pub(crate) use system::{Process, block_signals, watch};

#[cfg(all(unix, not(heap_loom)))]
mod system {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
    use std::time::Duration;

    use heap_core::sweep::is_in_destructor;

    use super::{Batches, OWN_BATCHES};

    /// Grows with each fork between the first process that started a thread of a heap and this one.
    static FORKS: AtomicUsize = AtomicUsize::new(0);
    /// Whether a thread is about to fork: sweepers begin no batch then. A hint, so that the
    /// thread gets its turn.
    static FORKING: AtomicBool = AtomicBool::new(false);
    /// The heaps with a sweeper.
    static HEAPS: Mutex<Vec<Weak<Batches>>> = Mutex::new(Vec::new());

    thread_local! {
        /// What this thread holds off while it forks.
        static HELD: Cell<Option<Held>> = const { Cell::new(None) };
    }

    struct Held {
        sweepers: Vec<Arc<Batches>>,
        /// One thread forks at a time, and no heap is added.
        _heaps: MutexGuard<'static, Vec<Weak<Batches>>>,
    }

    impl Drop for Held {
        fn drop(&mut self) {
            self.sweepers.iter().for_each(|batches| batches.resume());
            FORKING.store(false, Ordering::Relaxed);
        }
    }

    /// Names the process.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Process(usize);

    impl Process {
        pub(crate) fn this() -> Process {
            // ORDERING: Relaxed: it changes in the child before there is a second thread.
            Process(FORKS.load(Ordering::Relaxed))
        }

        /// Whether it is the one that runs here.
        pub(crate) fn is_here(self) -> bool {
            self == Process::this()
        }
    }

    /// Registers the handlers, so that forks are seen from now on. Called before a thread of a heap
    /// is started; `sweeper`, if it is one. `false` if the system has no memory for that.
    pub(crate) fn watch(sweeper: Option<&Arc<Batches>>) -> bool {
        // Nothing that others wait for: a fork by another thread would leave a child in which it
        // never ends. A thread that comes here at the same time has the handlers called twice
        // (FK3).
        static IS_SEEN: AtomicBool = AtomicBool::new(false);
        // ORDERING: Relaxed: it guards nothing; a thread that does not see it registers again.
        let is_seen = IS_SEEN.load(Ordering::Relaxed)
            // SAFETY: the handlers are functions of this crate, which take and return
            // nothing and do not unwind.
            || unsafe { libc::pthread_atfork(Some(before), Some(after), Some(after_in_child)) == 0 };
        IS_SEEN.store(is_seen, Ordering::Relaxed);
        if is_seen && let Some(batches) = sweeper {
            let mut heaps = lock();
            heaps.retain(|heap| heap.strong_count() > 0);
            heaps.push(Arc::downgrade(batches));
        }
        is_seen
    }

    /// Keeps signals from the calling thread, which is one of a heap (FK4).
    pub(crate) fn block_signals() {
        if cfg!(miri) {
            // It has no signals.
            return;
        }
        let own = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP];
        // SAFETY: a set of signals is plain data, which `sigfillset` writes before it is used; the
        // old mask is not asked for.
        unsafe {
            let mut set = std::mem::zeroed::<libc::sigset_t>();
            libc::sigfillset(&raw mut set);
            for signal in own.into_iter().chain([libc::SIGABRT, libc::SIGPROF]) {
                libc::sigdelset(&raw mut set, signal);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        }
    }

    pub(super) fn is_forking() -> bool {
        FORKING.load(Ordering::Relaxed)
    }

    fn lock() -> MutexGuard<'static, Vec<Weak<Batches>>> {
        HEAPS.lock().unwrap_or_else(PoisonError::into_inner)
    }

    extern "C" fn before() {
        if is_in_destructor() || !OWN_BATCHES.with(Cell::get).is_null() {
            // A destructor forks, perhaps in a batch: it cannot wait for itself.
            return;
        }
        let held = HELD.try_with(Cell::take).ok().flatten();
        if held.is_some() {
            // FK3.
            let _ = HELD.try_with(|place| place.set(held));
            return;
        }
        let heaps = lock();
        FORKING.store(true, Ordering::Relaxed);
        let sweepers: Vec<_> = heaps.iter().filter_map(Weak::upgrade).collect();
        for batches in &sweepers {
            while !batches.try_hold_off() {
                std::thread::sleep(Duration::from_micros(20));
            }
        }
        let held = Held { sweepers, _heaps: heaps };
        // Where a thread that ends has no such place any more the batch is waited for all the same;
        // the next may be interrupted.
        let _ = HELD.try_with(|place| place.set(Some(held)));
    }

    extern "C" fn after() {
        let _ = HELD.try_with(Cell::take);
    }

    extern "C" fn after_in_child() {
        FORKS.fetch_add(1, Ordering::Relaxed);
        after();
    }
}

/// No process forks here.
#[cfg(not(all(unix, not(heap_loom))))]
mod system {
    use std::sync::Arc;

    use super::Batches;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Process;

    impl Process {
        pub(crate) fn this() -> Process {
            Process
        }

        pub(crate) fn is_here(self) -> bool {
            true
        }
    }

    pub(crate) fn watch(_sweeper: Option<&Arc<Batches>>) -> bool {
        true
    }

    pub(crate) fn block_signals() {}

    pub(super) fn is_forking() -> bool {
        false
    }
}

#[cfg(all(test, heap_loom))]
#[path = "tests/loom_fork.rs"]
mod loom_fork;
