//! The gate that stops the world is not public: no proof that it stands can be made.
use heap_gc::gate::Gate;

fn main() {
    let gate = Gate::default();
    let _ = gate.claim();
}
