//! The faults that can be switched on (`heap_sync::mutant!`), and what sees each.

use crate::schedule::Kind;

/// A fault, and how it is found.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// As it is called in the sources.
    pub name: &'static str,
    /// What makes it show.
    pub scenario: &'static str,
    /// By which schedulers, and within how many schedules.
    pub caught: &'static [(Kind, u64)],
}

const fn mutant(
    name: &'static str,
    scenario: &'static str,
    caught: &'static [(Kind, u64)],
) -> Mutant {
    Mutant { name, scenario, caught }
}

use Kind::{Pct, Random};

/// Those that are caught. The numbers leave room: a change of the sources changes all schedules.
pub const CAUGHT: &[Mutant] = &[
    mutant("abandons silently", "leaked", &[(Random, 200), (Pct, 300)]),
    mutant("allocates white", "roots", &[(Random, 50), (Pct, 50)]),
    mutant("begins after the end", "sweeper", &[(Random, 500), (Pct, 500)]),
    mutant("blocks silently", "stops", &[(Random, 50), (Pct, 50)]),
    mutant("caches count as unused", "roots", &[(Random, 50), (Pct, 50)]),
    mutant("claims blindly", "stops", &[(Random, 50), (Pct, 50)]),
    mutant("clears the flag late", "marking", &[(Random, 300)]),
    mutant("comes back silently", "stops", &[(Random, 200), (Pct, 500)]),
    mutant("does not wake", "handles", &[(Random, 300), (Pct, 300)]),
    mutant("does not wait for sweepers", "sweeper", &[(Random, 200), (Pct, 300)]),
    mutant("enters blindly", "stops", &[(Random, 200), (Pct, 200)]),
    mutant("finishes silently", "marking", &[(Random, 50), (Pct, 50)]),
    mutant("forgets a request", "requests", &[(Random, 300), (Pct, 1000)]),
    mutant("forgets new samples", "handles", &[(Random, 100), (Pct, 100)]),
    mutant("forgets shadow stacks", "stops", &[(Random, 50), (Pct, 50)]),
    mutant("forgets tickets", "sweeper", &[(Random, 300), (Pct, 300)]),
    mutant("gives back silently", "stops", &[(Random, 100), (Pct, 50)]),
    mutant("inserts white", "weak", &[(Random, 300), (Pct, 1000)]),
    mutant("keeps handles", "handles", &[(Random, 50), (Pct, 50)]),
    mutant("keeps its list", "moves", &[(Random, 100), (Pct, 100)]),
    mutant("keeps the dead", "weak", &[(Random, 50), (Pct, 50)]),
    mutant("leaves silently", "stops", &[(Random, 50), (Pct, 50)]),
    mutant("looks too early", "moves", &[(Random, 200), (Pct, 500)]),
    mutant("no barrier", "moves", &[(Random, 100), (Pct, 100)]),
    mutant("returns early", "marking", &[(Random, 50), (Pct, 50)]),
    mutant("revives nothing", "handles", &[(Random, 50), (Pct, 50)]),
    mutant("shows the dead", "weak", &[(Random, 100), (Pct, 100)]),
    mutant("shows unmarked", "weak", &[(Random, 100), (Pct, 100)]),
    mutant("stops silently", "attach", &[(Random, 50), (Pct, 50)]),
    mutant("takes no lists", "moves", &[(Random, 100), (Pct, 100)]),
    mutant("upgrades the dead", "handles", &[(Random, 1000), (Pct, 2500)]),
    mutant("upgrades unmarked", "handles", &[(Random, 300), (Pct, 300)]),
    mutant("waits once", "stops", &[(Random, 300), (Pct, 100)]),
];

/// Those that no schedule has shown, with the reason.
pub const LIVING: &[(&str, &str)] = &[
    ("claims in two steps", "a span is in one list, which gives it to one thread"),
    ("is listed late", "a context begins with a safepoint, and does nothing before it"),
    ("joins blindly", "a worker that comes too late finds nothing to do, and the pool waits"),
    ("resumes silently", "the collector lock is given back next, and wakes the same sleepers"),
    ("withdraws silently", "who waits is woken when the stop ends: later, but not too late"),
];
