//! What the tests of random programs have in common.

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

/// As many programs as `PROPTEST_CASES` says, else `debug` or `release` many, by the
/// build. The seed of a failure is kept in a file beside the test, to be replayed.
pub(crate) fn programs(debug: u32, release: u32) -> ProptestConfig {
    ProptestConfig {
        cases: match std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()) {
            Some(cases) => cases,
            None if cfg!(debug_assertions) => debug,
            None => release,
        },
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    }
}
