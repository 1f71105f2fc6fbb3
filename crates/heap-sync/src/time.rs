//! The clock: `std`'s; under `--cfg heap_shuttle` one that a schedule replays.

#[cfg(heap_shuttle)]
pub use crate::simulation::Instant;
#[cfg(not(heap_shuttle))]
pub use std::time::Instant;
