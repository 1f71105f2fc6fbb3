//! [`interpreter`]: what the Lua targets run their inputs in.

use lua::{Config, Interpreter};

/// A small heap, so that scripts run out of memory now and then.
const HEAP_BYTES: usize = 4 << 20;

/// A new interpreter for an input. Without output, with the same traversals of tables in each run; for one
/// input in four, by its length, with a collection at every safepoint.
pub fn interpreter(input: &[u8]) -> Interpreter {
    let config = Config::new()
        .hash_seed(0)
        .max_heap_bytes(HEAP_BYTES)
        .stress(input.len() % 4 == 3)
        .output(Box::new(std::io::sink()));
    Interpreter::new(config).expect("the heap is large enough to begin")
}
