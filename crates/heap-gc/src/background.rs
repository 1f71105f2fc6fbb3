//! The background sweeper: an optional thread that sweeps after each
//! collection, in small batches, until nothing is left.
//!
//! It holds the heap weakly, so that a heap can be dropped while it sleeps. When all is swept it gives
//! memory back that the program will not need until the next collection, some each second.
//!
//! * BG1: between two batches it holds no ticket, so a collector waits for one
//!   batch at most.
//! * BG2: in a child of `fork` there is no sweeper (FK2), and what it shares with the heap is
//!   not touched: it may be locked by the thread that is not there.

use std::sync::{Arc, Weak};
use std::time::Duration;

use heap_sync::lock::{Condvar, Mutex};
use heap_sync::thread::{Builder, JoinHandle, has_memory_for_thread, yield_now};

use crate::fork::{self, Batches, Process};

/// Spans swept in a batch: between two upgrades of the heap. (Go: 10.)
const BATCH: usize = 10;

/// The time between two rounds of giving memory back.
const GIVE_BACK_EVERY: Duration = Duration::from_secs(1);

/// What the sweeper sweeps.
pub(crate) trait Sweep: Send + Sync + 'static {
    /// Sweeps up to `spans` spans. Says whether there may be more.
    fn sweep_batch(&self, spans: usize) -> bool;

    /// Gives memory back, if everything is swept. Says whether there may be more to give back some
    /// time later.
    fn give_back(&self) -> bool;
}

#[derive(Debug, Default)]
struct State {
    work: bool,
    stop: bool,
}

#[derive(Debug, Default)]
struct Signal {
    state: Mutex<State>,
    changed: Condvar,
}

/// The sweeper thread of one heap.
#[derive(Debug)]
pub(crate) struct BackgroundSweeper {
    signal: Arc<Signal>,
    batches: Arc<Batches>,
    thread: Mutex<Option<JoinHandle<()>>>,
    process: Process,
}

impl Default for BackgroundSweeper {
    fn default() -> Self {
        BackgroundSweeper {
            signal: Arc::default(),
            batches: Arc::default(),
            thread: Mutex::default(),
            process: Process::this(),
        }
    }
}

impl BackgroundSweeper {
    /// Whether there can be one (BG2).
    pub(crate) fn is_here(&self) -> bool {
        self.process.is_here()
    }

    /// Says that there is something to sweep; starts the thread if need be. If
    /// the system refuses the thread, allocation does the sweeping alone.
    pub(crate) fn wake(&self, heap: &Arc<impl Sweep>) {
        debug_assert!(self.is_here(), "BG2");
        let mut thread = self.thread.lock();
        if thread.is_none() && has_memory_for_thread() && fork::watch(Some(&self.batches)) {
            let (signal, heap) = (Arc::clone(&self.signal), Arc::downgrade(heap));
            let batches = Arc::clone(&self.batches);
            *thread = Builder::new()
                .name("heap-sweep".into())
                .spawn(move || run(&signal, &batches, &heap))
                .ok();
        }
        self.signal.state.lock().work = true;
        self.signal.changed.notify_all();
    }
}

fn run(signal: &Signal, batches: &Batches, heap: &Weak<impl Sweep>) {
    fork::block_signals();
    batches.begin_sweeper();
    let mut is_idle_above_goal = false;
    loop {
        {
            let mut state = signal.state.lock();
            let mut is_over = false;
            while !state.work && !state.stop && !is_over {
                if is_idle_above_goal {
                    (state, is_over) = signal.changed.wait_timeout(state, GIVE_BACK_EVERY);
                } else {
                    state = signal.changed.wait(state);
                }
            }
            if state.stop {
                return;
            }
            state.work = false;
        }
        loop {
            let Some(batch) = batches.begin() else {
                // The process forks, and may have to wait for a thread that waits for us.
                if signal.state.lock().stop {
                    return;
                }
                yield_now();
                continue;
            };
            // Upgraded per batch: if this was the last reference, the heap is
            // dropped right here, and the next upgrade fails.
            let Some(heap) = heap.upgrade() else { return };
            if !heap.sweep_batch(BATCH) {
                is_idle_above_goal = heap.give_back();
                break;
            }
            drop(heap);
            drop(batch);
            yield_now();
        }
    }
}

impl Drop for BackgroundSweeper {
    fn drop(&mut self) {
        let thread = self.thread.lock().take();
        if !self.is_here() {
            // BG2: there is no thread to wait for, and none whose resources the system could free.
            std::mem::forget(thread);
            return;
        }
        self.signal.state.lock().stop = true;
        self.signal.changed.notify_all();
        // The sweeper itself may be the one that drops the heap; it cannot wait for itself.
        if let Some(thread) = thread
            && !self.batches.is_own()
        {
            let _ = thread.join();
        }
    }
}
