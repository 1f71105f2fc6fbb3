//! A mutator stays on its thread.
use heap_gc::{Mutator, GcConfig, HeapState};

fn main() {
    let mutator = Mutator::attach(&HeapState::new(GcConfig::default()));
    std::thread::spawn(move || drop(mutator));
}
