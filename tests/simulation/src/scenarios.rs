//! What is simulated: programs of a few threads, one per family of protocols.

mod attach;
mod handles;
mod leaked;
mod limit;
mod marking;
mod moves;
mod park;
mod requests;
mod roots;
mod stops;
mod sweeper;
mod weak;

use heap_api::{Cx, Heap};
use heap_sync::thread::{JoinHandle, spawn};

use crate::Scenario;
use crate::random::Random;

/// All of it.
pub const ALL: &[Scenario] = &[
    Scenario { name: "attach", program: attach::program },
    Scenario { name: "handles", program: handles::program },
    Scenario { name: "leaked", program: leaked::program },
    Scenario { name: "limit", program: limit::program },
    Scenario { name: "marking", program: marking::program },
    Scenario { name: "moves", program: moves::program },
    Scenario { name: "park", program: park::program },
    Scenario { name: "requests", program: requests::program },
    Scenario { name: "roots", program: roots::program },
    Scenario { name: "stops", program: stops::program },
    Scenario { name: "sweeper", program: sweeper::program },
    Scenario { name: "weak", program: weak::program },
];

/// Starts a mutator.
fn mutator<R: Send + 'static>(
    heap: &Heap,
    random: &mut Random,
    body: impl FnOnce(&Heap, Random) -> R + Send + 'static,
) -> JoinHandle<R> {
    let (heap, random) = (heap.clone(), random.split());
    spawn(move || body(&heap, random))
}

/// Waits for all.
fn join<R>(threads: Vec<JoinHandle<R>>) -> Vec<R> {
    threads.into_iter().map(|thread| thread.join().expect("a panic ends the schedule")).collect()
}

/// A safepoint of some sort.
fn safepoint(cx: &mut Cx, random: &mut Random) {
    match random.below(8) {
        0 => cx.collect(),
        1..=3 => _ = cx.collect_step(),
        4 => {
            cx.heap().request_collection();
            cx.safepoint();
        }
        _ => cx.safepoint(),
    }
}

/// Allocates objects that nobody keeps, on pages of their own kind.
fn litter(cx: &Cx, random: &mut Random) {
    for _ in 0..random.below(4) {
        let _ = cx.try_alloc([0_u64; 150]);
    }
}
