//! Random programs against a model, see [`heap_tests::programs`].
//!
//! A program in four has the heap verified after every step; the others leave the
//! caches alone for longer.
//!
//! `PROPTEST_CASES` sets the number of programs. A failure prints its program, and
//! keeps its seed in a file beside this one, to be replayed first from then on.

mod support;

use std::time::Duration;

use heap_api::Config;
use heap_tests::programs::{ROOTS, Shape, Step, TEXTS, Verified, run};
use proptest::collection::vec;
use proptest::prelude::*;

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        2 => Just(Shape::Number),
        3 => Just(Shape::Small),
        2 => Just(Shape::Flat),
        2 => Just(Shape::Text),
        4 => Just(Shape::Pair),
        3 => Just(Shape::Triple),
        3 => (0_usize..5).prop_map(Shape::Dropping),
        2 => Just(Shape::Wide),
        3 => (0_usize..80).prop_map(Shape::Array),
        // Large objects, and some that are traced in pieces.
        1 => (1400_usize..9000).prop_map(Shape::Array),
        2 => (0_usize..20).prop_map(Shape::Bag),
        2 => Just(Shape::Atomic),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let root = 0..ROOTS;
    prop_oneof![
        10 => (shape(), root.clone()).prop_map(|(shape, root)| Step::New { shape, root }),
        14 => (root.clone(), any::<usize>(), root.clone())
            .prop_map(|(from, edge, to)| Step::Link { from, edge, to }),
        3 => (root.clone(), any::<usize>()).prop_map(|(from, edge)| Step::Unlink { from, edge }),
        6 => (root.clone(), any::<usize>(), root.clone())
            .prop_map(|(from, edge, root)| Step::Follow { from, edge, root }),
        6 => (root.clone(), any::<usize>(), root.clone())
            .prop_map(|(from, edge, root)| Step::Take { from, edge, root }),
        3 => root.clone().prop_map(|root| Step::Clear { root }),
        3 => (0..TEXTS, root).prop_map(|(text, root)| Step::Intern { text, root }),
        2 => (1_usize..600).prop_map(|count| Step::Garbage { count }),
        3 => Just(Step::Safepoint),
        1 => Just(Step::Park),
        1 => (1_usize..3, shape(), 1_usize..300)
            .prop_map(|(threads, shape, count)| Step::Visit { threads, shape, count }),
        1 => Just(Step::Release),
        4 => Just(Step::CollectStep),
        2 => Just(Step::Collect),
        1 => Just(Step::Verify),
    ]
}

fn config() -> impl Strategy<Value = Config> {
    let limit = prop_oneof![3 => Just(None), 2 => (1_usize..64).prop_map(|kib| Some(kib << 14))];
    let slice = prop_oneof![2 => Just(None), 3 => Just(Some(0)), 2 => (0_u64..200).prop_map(Some)];
    let sample_bytes = prop_oneof![2 => Just(0_usize), 1 => Just(1), 2 => 16_usize..4096];
    (any::<bool>(), limit, 0_usize..3, any::<bool>(), 0_usize..1 << 18, slice, sample_bytes)
        .prop_map(|(stress, limit, mark_threads, background, min, slice, sample_bytes)| {
            let config = Config::new()
                .stress(stress)
                .mark_threads(mark_threads)
                .background_sweep(background)
                .min_heap_bytes(min)
                .sample_bytes(sample_bytes)
                .huge_pages(false);
            let config = match slice {
                Some(microseconds) => config.mark_slice(Duration::from_micros(microseconds)),
                None => config,
            };
            match limit {
                Some(bytes) => config.max_heap_bytes(bytes),
                None => config,
            }
        })
}

proptest! {
    #![proptest_config(support::programs(500, 4000))]

    #[test]
    fn programs_keep_what_they_can_reach(
        config in config(),
        verified in prop_oneof![
            3 => Just(Verified::WhenTold),
            1 => Just(Verified::AfterEveryStep),
        ],
        program in vec(step(), 1..250),
    ) {
        run(config, verified, &program);
    }
}
