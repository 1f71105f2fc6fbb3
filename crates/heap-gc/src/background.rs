//! The background sweeper: an optional thread that sweeps after each
//! collection, in small batches, until nothing is left.
//!
//! It holds the heap weakly, so that a heap can be dropped while it sleeps.
//!
//! * BG1: between two batches it holds no ticket, so a collector waits for one
//!   batch at most.

use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use heap_core::stats::{SweepBy, Tally};
use heap_sync::lock::{Condvar, Mutex};

use crate::shared::Shared;

/// Spans swept between two looks at the clock. (Go: 10.)
const BATCH: usize = 10;

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
#[derive(Debug, Default)]
pub(crate) struct BackgroundSweeper {
    signal: Arc<Signal>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl BackgroundSweeper {
    /// Says that there is something to sweep; starts the thread if need be. If
    /// the system refuses the thread, allocation does the sweeping alone.
    pub(crate) fn wake(&self, heap: &Arc<Shared>) {
        let mut thread = self.thread.lock();
        if thread.is_none() {
            let (signal, heap) = (Arc::clone(&self.signal), Arc::downgrade(heap));
            *thread = std::thread::Builder::new()
                .name("heap-sweep".into())
                .spawn(move || run(&signal, &heap))
                .ok();
        }
        self.signal.state.lock().work = true;
        self.signal.changed.notify_all();
    }
}

fn run(signal: &Signal, heap: &Weak<Shared>) {
    loop {
        {
            let mut state = signal.state.lock();
            while !state.work && !state.stop {
                state = signal.changed.wait(state);
            }
            if state.stop {
                return;
            }
            state.work = false;
        }
        loop {
            // Upgraded per batch: if this was the last reference, the heap is
            // dropped right here, and the next upgrade fails.
            let Some(heap) = heap.upgrade() else { return };
            // The ticket is returned after the batch is accounted for, so that
            // whoever finds sweeping over finds the counters complete.
            let Some(ticket) = heap.heap.sweep_ticket() else { break };
            let mut tally = Tally::default();
            let swept =
                (0..BATCH).take_while(|_| heap.heap.sweep_one(&mut tally).is_some()).count();
            heap.heap.stats.add(&mut tally, SweepBy::Background);
            drop(ticket);
            if swept < BATCH {
                // Nothing is left to sweep: what is idle now will stay so.
                heap.trim();
                break;
            }
            drop(heap);
            std::thread::yield_now();
        }
    }
}

impl Drop for BackgroundSweeper {
    fn drop(&mut self) {
        self.signal.state.lock().stop = true;
        self.signal.changed.notify_all();
        if let Some(thread) = self.thread.lock().take() {
            // The sweeper itself may be the one that drops the heap; it cannot
            // wait for itself.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}
