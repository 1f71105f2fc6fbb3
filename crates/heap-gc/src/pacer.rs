//! When is the next collection due? Pure arithmetic.
//!
//! The heap may grow by a percentage over what the last marking kept, but at
//! least to a minimum. With a hard limit the trigger stays below it, so that
//! collecting comes before refusing. (Go: `mgcpacer.go`; with marking done while
//! mutators are stopped there is no runway, and trigger and goal are one.)
//!
//! * PA1: `trigger > marked`: some allocation always fits between collections,
//!   so a mutator makes progress.
//! * PA2: without a limit, `trigger >= min_heap`; with one,
//!   `trigger <= max(limit, marked + 1)`.

/// What the pacer is told.
#[derive(Clone, Copy, Debug)]
pub struct Pacer {
    /// Growth over the marked bytes, in percent.
    pub growth_percent: u32,
    /// No collection below this many bytes.
    pub min_heap_bytes: usize,
    /// Hard limit.
    pub max_heap_bytes: Option<usize>,
}

impl Pacer {
    /// The number of live bytes at which the next collection is due, when the
    /// last one kept `marked` bytes.
    #[must_use]
    pub fn trigger(&self, marked: usize) -> usize {
        let growth = marked as u128 * u128::from(self.growth_percent) / 100;
        let growth = usize::try_from(growth).unwrap_or(usize::MAX);
        let goal = marked.saturating_add(growth).max(self.min_heap_bytes);
        let goal = match self.max_heap_bytes {
            None => goal,
            Some(limit) => {
                // Room for what is allocated between the trigger and the next
                // safepoint, and for partly filled spans.
                let headroom = (limit / 8).max(64 << 10).min(limit / 2);
                goal.min(limit - headroom).max(marked + limit.saturating_sub(marked) / 4)
            }
        };
        goal.max(marked + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_heap_doubles_by_default_and_small_heaps_wait_for_the_minimum() {
        let pacer = Pacer { growth_percent: 100, min_heap_bytes: 4 << 20, max_heap_bytes: None };
        assert_eq!(pacer.trigger(0), 4 << 20);
        assert_eq!(pacer.trigger(10 << 20), 20 << 20);
    }

    /// A mutator with a constant live set and a constant allocation rate, in
    /// closed loop with the pacer.
    fn simulate(pacer: Pacer, live: usize, total_allocated: usize) -> (usize, usize) {
        let (mut heap, mut trigger, mut cycles, mut peak) = (0, pacer.trigger(0), 0, 0);
        for _ in 0..total_allocated / 4096 {
            heap += 4096;
            peak = peak.max(heap);
            if heap >= trigger {
                cycles += 1;
                heap = live.min(heap);
                trigger = pacer.trigger(heap);
            }
        }
        (cycles, peak)
    }

    #[test]
    fn a_steady_heap_peaks_at_its_growth_and_collects_once_per_growth() {
        let pacer = Pacer { growth_percent: 100, min_heap_bytes: 1 << 20, max_heap_bytes: None };
        let (cycles, peak) = simulate(pacer, 16 << 20, 1 << 30);
        assert!(peak <= 33 << 20, "{peak}");
        assert!((60..=70).contains(&cycles), "{cycles}");
    }

    #[test]
    fn a_limit_is_respected_with_headroom_and_more_frequent_cycles() {
        let limit = Some(24 << 20);
        let pacer = Pacer { growth_percent: 100, min_heap_bytes: 1 << 20, max_heap_bytes: limit };
        let (cycles, peak) = simulate(pacer, 16 << 20, 1 << 30);
        assert!(peak < 24 << 20, "{peak}");
        assert!(cycles > 100, "{cycles}");
    }

    proptest! {
        #[test]
        fn triggers_leave_room_and_respect_the_limit(
            marked in 0usize..1 << 40,
            growth in 0u32..=u32::MAX,
            min in 0usize..1 << 30,
            limit in proptest::option::of(1usize..1 << 40),
        ) {
            let pacer = Pacer { growth_percent: growth, min_heap_bytes: min, max_heap_bytes: limit };
            let trigger = pacer.trigger(marked);
            prop_assert!(trigger > marked, "PA1");
            match limit {
                None => prop_assert!(trigger >= min, "PA2"),
                Some(limit) => prop_assert!(trigger <= limit.max(marked + 1), "PA2"),
            }
        }
    }
}
