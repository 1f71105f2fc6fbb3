//! A mutator stays on its thread.
use heap_gc::{Mutator, Settings, Shared};

fn main() {
    let mutator = Mutator::attach(&Shared::new(Settings::default()));
    std::thread::spawn(move || drop(mutator));
}
