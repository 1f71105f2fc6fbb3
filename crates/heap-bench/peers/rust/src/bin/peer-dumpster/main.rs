//! dumpster: reference counts with detection of cycles. One mutator uses its
//! `unsync` half, several use `sync`; both do the same work, written once in
//! `workloads.rs`. `--workers` has no meaning here.
//!
//! Its collector looks at what lost a reference since the last time, so a full
//! collection of live data is had by dropping a copy of the handle to all of it.

use std::sync::atomic::{AtomicU64, Ordering};

use heap_bench_peers::*;

/// Collections that the library started by itself: seen through its condition.
static COLLECTIONS: AtomicU64 = AtomicU64::new(0);

fn counted(due: bool) -> bool {
    if due {
        COLLECTIONS.fetch_add(1, Ordering::Relaxed);
    }
    due
}

/// Handles for one thread.
mod unsync {
    use dumpster::Trace;
    use dumpster::unsync::{
        CollectInfo, Gc, collect, default_collect_condition, set_collect_condition,
    };
    use std::cell::OnceCell as Once;

    include!("workloads.rs");
}

/// Handles for all threads.
mod sync {
    use dumpster::Trace;
    use dumpster::sync::{
        CollectInfo, Gc, collect, default_collect_condition, set_collect_condition,
    };
    use std::sync::OnceLock as Once;

    include!("workloads.rs");
}

/// The library follows and frees chains by recursion, so a list needs a deep stack.
const STACK_BYTES: usize = 8 << 30;

fn main() {
    let run = |o: &Options| {
        let outcome = if o.mutators == 1 { unsync::run(o) } else { sync::run(o) };
        let collections = COLLECTIONS.swap(0, Ordering::Relaxed);
        outcome.map(|outcome| Outcome { collections, max_pause_us: f64::NAN, ..outcome })
    };
    std::thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(move || main_with(run))
        .expect("a thread with a deep stack")
        .join()
        .expect("the workload panicked");
}
