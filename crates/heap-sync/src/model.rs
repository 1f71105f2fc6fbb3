//! How a model is run, how a mutant is shown to be caught, and a [`Witness`] of mutual
//! exclusion. For the tests of the crates above; there only under `--cfg heap_loom`.

pub use crate::witness::Witness;

/// Set in the process that runs a mutant.
const INNER: &str = "HEAP_LOOM_MUTANT";

/// Runs a program in every order that loom tells apart.
pub fn check(program: impl Fn() + Sync + Send + 'static) {
    loom::model::Builder::new().check(program);
}

/// As [`check`], with at most this many preemptions, for longer programs.
pub fn check_bounded(preemptions: usize, program: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(program);
}

/// What loom says when two accesses to a witness are not ordered.
pub const UNORDERED: &str = "Causality violation";

/// Runs this test's `model` in a process of its own, which must fail and say
/// `complaint`.
///
/// # Panics
///
/// If the model passes, or fails with other words.
///
/// `#[should_panic]` will not do for models in which guards are held when loom
/// gives up: dropping a guard synchronises, which a dead model cannot, and the
/// process aborts.
pub fn caught(complaint: &str, model: impl Fn()) {
    if std::env::var_os(INNER).is_some() {
        model();
        return;
    }
    let output = processes::this_test()
        .env(INNER, "1")
        .env("RUST_BACKTRACE", "0")
        .output()
        .expect("this program runs");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("running 1 test"), "no such test");
    assert!(!output.status.success(), "the mutant lives");
    assert!(said.contains(complaint), "caught, but not by `{complaint}`:\n{said}");
}
