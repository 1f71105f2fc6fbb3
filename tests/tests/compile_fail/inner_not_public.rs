//! The gate that stops the world is not public: no proof that it stands can be made. Nor can
//! vector instructions be named that the processor may not have.
use heap_core::marks::Isa;
use heap_gc::gate::Gate;

fn main() {
    let gate = Gate::default();
    let _ = gate.claim();
    let _ = Isa::Avx512;
}
