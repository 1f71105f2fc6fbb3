//! [`mutant!`](crate::mutant!): a fault that simulation switches on, to see that it is caught.
//!
//! One fault at most is on in a process: the one that `HEAP_MUTANT` names. The list of all with
//! the scenario that catches each is in `tests/simulation`, and a test compares it with the sources.

/// Takes a step that breaks the heap, if simulation has switched this fault on; else, and in every
/// other build, there is nothing here.
///
/// ```
/// fn wait_for_the_others(everybody_is_done: impl Fn() -> bool) {
///     heap_sync::mutant!("does not wait" => return);
///     while !everybody_is_done() {}
/// }
/// wait_for_the_others(|| true);
/// ```
#[cfg(heap_shuttle)]
#[macro_export]
macro_rules! mutant {
    ($name:literal => $fault:expr) => {
        if $crate::mutant::is_on($name) {
            $fault
        }
    };
}

/// Nothing: see the crate's documentation.
#[cfg(not(heap_shuttle))]
#[macro_export]
macro_rules! mutant {
    ($name:literal => $fault:expr) => {};
}

/// Whether a fault is switched on.
#[cfg(heap_shuttle)]
#[must_use]
pub fn is_on(name: &str) -> bool {
    static NAME: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    NAME.get_or_init(|| std::env::var("HEAP_MUTANT").ok()).as_deref() == Some(name)
}
