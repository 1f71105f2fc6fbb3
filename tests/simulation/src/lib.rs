//! Whole-heap simulation: the real heap under schedules that can be replayed. Empty without
//! `--cfg heap_shuttle`; `scripts/simulate.sh` runs it, docs/design/simulation.md describes it.
#![cfg(heap_shuttle)]

pub mod mutants;
mod objects;
mod random;
mod run;
pub mod scenarios;
mod schedule;

pub use random::Random;
pub use run::{ANNOUNCE, ANNOUNCEMENT, FAILURES, Plan, Scenario, run};
pub use schedule::Kind;
