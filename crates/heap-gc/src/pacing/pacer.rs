//! When is the next collection due? Pure arithmetic.
//!
//! The heap may grow by a percentage over what the last marking kept, but at
//! least to a minimum. With a hard limit the trigger stays below it, so that
//! collecting comes before refusing. (Go: `mgcpacer.go`.)
//!
//! A mark phase that takes several steps begins before the heap is as large as it may
//! become: the *runway* is what mutators allocate between its steps. A mark phase that
//! takes one step needs none; then trigger and goal are one.
//!
//! * PA1: `trigger > marked`: some allocation always fits between collections,
//!   so a mutator makes progress.
//! * PA2: without a limit, `trigger >= min_heap`; with one,
//!   `trigger <= max(limit, marked + 1)`.
//! * PA3: between two steps of a mark phase mutators make progress, and if it finds what
//!   was expected it ends at the goal.
//! * PA4: a heap that has outgrown its goal takes longer steps, so that no program
//!   outruns its marking for long, however short the slice.

use std::time::Duration;

/// What the pacer is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pacer {
    /// Growth over the marked bytes, in percent.
    pub(crate) growth_percent: u32,
    /// No collection below this many bytes.
    pub(crate) min_heap_bytes: usize,
    /// Hard limit.
    pub(crate) max_heap_bytes: Option<usize>,
}

/// What is made during a mark phase leaves this part of the growth in any case.
const ALLOCATED_BLACK_DIVISOR: usize = 2;

/// Room below a limit for what is allocated between the trigger and the next safepoint, and
/// for partly filled spans.
fn headroom(limit: usize) -> usize {
    (limit / 8).max(64 << 10).min(limit / 2)
}

impl Pacer {
    /// The number of live bytes that the heap may reach, when the last collection kept
    /// `marked` bytes, of which `allocated_black` bytes because they were made while it was under
    /// way. Those are not known to be live, so the heap need not grow in proportion to
    /// them: they take some of its growth.
    #[must_use]
    pub(crate) fn goal(&self, marked: usize, allocated_black: usize) -> usize {
        let traced = marked.saturating_sub(allocated_black);
        let growth = traced as u128 * u128::from(self.growth_percent) / 100;
        let growth = usize::try_from(growth).unwrap_or(usize::MAX);
        let goal = traced.saturating_add(growth).max(self.min_heap_bytes);
        let goal = goal.max(marked.saturating_add(growth.min(goal) / ALLOCATED_BLACK_DIVISOR));
        let goal = match self.max_heap_bytes {
            None => goal,
            Some(limit) => {
                goal.min(limit - headroom(limit)).max(marked + limit.saturating_sub(marked) / 4)
            }
        };
        goal.max(marked + 1)
    }

    /// The number of live bytes beyond which the next collection should be done in one stop, so
    /// that no mutator is refused while it is under way.
    #[must_use]
    pub(crate) fn near_limit_bytes(&self, marked: usize) -> usize {
        let most = self.max_heap_bytes.map(|limit| limit - headroom(limit));
        most.map_or(usize::MAX, |most| most.max(marked.saturating_add(1)))
    }

    /// The number of live bytes at which the next collection is due: the goal, or earlier
    /// if it will take several steps.
    #[must_use]
    pub(crate) fn trigger(&self, marked: usize, goal: usize, in_steps: bool) -> usize {
        if !in_steps {
            return goal;
        }
        let start = goal - goal.saturating_sub(marked) / RUNWAY_DIVISOR;
        start.max(marked.saturating_add(1)).max(self.min_heap_bytes.min(goal))
    }
}

/// The part of the growth that is left for a mark phase in several steps.
const RUNWAY_DIVISOR: usize = 8;

/// Between two steps of a mark phase this much may be allocated in any case (PA3).
const STEP_BYTES_MIN: usize = 64 << 10;

/// A mark phase that has found what was expected may find more, by this part of it.
const SURPRISE_DIVISOR: usize = 16;

/// If a mark phase begins late, or too close to its goal, the heap may be larger by this part.
const RUNWAY_DIVISOR_MAX: usize = 16;

/// The live bytes that a mark phase in several steps is to stay below, if it begins now.
#[must_use]
pub(crate) fn end_of_runway(live: usize, goal: usize) -> usize {
    goal.max(live.saturating_add(live / RUNWAY_DIVISOR_MAX))
}

/// A step is twice as long for each such part by which the heap has outgrown its goal.
const LATE_DIVISOR: usize = 16;

/// A step that comes late is at least a multiple of this.
const LATE_SLICE_MIN: Duration = Duration::from_micros(100);

/// How long a step of marking should be (PA4).
#[must_use]
pub(crate) fn step_time(slice: Duration, live: usize, goal: usize) -> Duration {
    let late = live.saturating_sub(goal) / (goal / LATE_DIVISOR).max(1);
    match u32::try_from(late) {
        Ok(0) => slice,
        Ok(late @ 1..16) => slice.max(LATE_SLICE_MIN).saturating_mul(1 << late),
        _ => Duration::MAX,
    }
}

/// How far a mark phase is, after a step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    /// Live bytes now.
    pub(crate) live: usize,
    /// What they may become before marking is done.
    pub(crate) goal: usize,
    /// Bytes marked so far.
    pub(crate) marked: usize,
    /// Bytes that it is likely to mark in all.
    pub(crate) expected: usize,
    /// Bytes that the last step has marked.
    pub(crate) step: usize,
}

impl Progress {
    /// Bytes that mutators may allocate before the next step: what is left of the runway,
    /// shared out over the steps that are left (PA3). (Go: the assist ratio.)
    #[must_use]
    pub(crate) fn allowance(&self) -> usize {
        let left = self.expected.saturating_sub(self.marked);
        let left = left.max(self.marked / SURPRISE_DIVISOR).max(self.step).max(1);
        let room = self.goal.saturating_sub(self.live);
        let share = room as u128 * self.step as u128 / left as u128;
        usize::try_from(share).unwrap_or(usize::MAX).max(STEP_BYTES_MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// More bytes than a heap has.
    const MOST: usize = 1 << if cfg!(target_pointer_width = "32") { 30 } else { 40 };

    #[test]
    fn the_heap_doubles_by_default_and_small_heaps_wait_for_the_minimum() {
        let pacer = Pacer { growth_percent: 100, min_heap_bytes: 4 << 20, max_heap_bytes: None };
        assert_eq!(pacer.goal(0, 0), 4 << 20);
        assert_eq!(pacer.goal(10 << 20, 0), 20 << 20);
    }

    /// A mutator with a constant live set and a constant allocation rate, in
    /// closed loop with the pacer.
    fn simulate(pacer: Pacer, live: usize, total_allocated: usize) -> (usize, usize) {
        let (mut heap, mut trigger, mut cycles, mut peak) = (0, pacer.goal(0, 0), 0, 0);
        for _ in 0..total_allocated / 4096 {
            heap += 4096;
            peak = peak.max(heap);
            if heap >= trigger {
                cycles += 1;
                heap = live.min(heap);
                trigger = pacer.goal(heap, 0);
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
            marked in 0usize..MOST,
            allocated_black in 0usize..MOST,
            growth in 0u32..=u32::MAX,
            min in 0usize..1 << 30,
            limit in proptest::option::of(1usize..MOST),
        ) {
            let pacer = Pacer { growth_percent: growth, min_heap_bytes: min, max_heap_bytes: limit };
            let goal = pacer.goal(marked, allocated_black.min(marked));
            for in_steps in [false, true] {
                let trigger = pacer.trigger(marked, goal, in_steps);
                prop_assert!(trigger > marked && trigger <= goal, "PA1");
                match limit {
                    None => prop_assert!(trigger >= min, "PA2"),
                    Some(limit) => prop_assert!(trigger <= limit.max(marked + 1), "PA2"),
                }
            }
        }
    }

    #[test]
    fn a_marking_in_steps_ends_at_the_goal() {
        // Steps alternately find more and less than the one before.
        for (live, total, steps) in
            [(60 << 20, 40 << 20, [1 << 20, 1 << 20]), (1 << 30, 1 << 29, [9 << 20, 3 << 20])]
        {
            let goal = live + live / 4;
            let (mut now, mut marked) = (live, 0);
            for step in steps.iter().cycle() {
                let step = (*step).min(total - marked);
                marked += step;
                if marked == total {
                    break;
                }
                now += Progress { live: now, goal, marked, expected: total, step }.allowance();
            }
            assert!(now <= goal && now >= live + (goal - live) / 2, "PA3: {live} {now} {goal}");
        }
    }

    #[test]
    fn steps_are_as_long_as_asked_until_the_goal_and_longer_beyond_it() {
        let [none, short] = [0, 300].map(Duration::from_micros);
        assert_eq!(step_time(short, 100 << 20, 100 << 20), short);
        assert_eq!(step_time(none, 105 << 20, 100 << 20), none);
        assert_eq!(step_time(none, 107 << 20, 100 << 20), LATE_SLICE_MIN * 2);
        assert_eq!(step_time(short, 125 << 20, 100 << 20), short * 16);
        assert_eq!(step_time(short, 300 << 20, 100 << 20), Duration::MAX);
        assert_eq!(step_time(none, 1, 0), LATE_SLICE_MIN * 2);
    }

    proptest! {
        #[test]
        fn every_step_leaves_room_for_some_allocation(
            live in 0usize..MOST,
            goal in 0usize..MOST,
            marked in 0usize..MOST,
            expected in 0usize..MOST,
            step in 0usize..MOST,
        ) {
            let progress = Progress { live, goal, marked, expected, step };
            prop_assert!(progress.allowance() >= STEP_BYTES_MIN, "PA3");
            prop_assert!(progress.allowance() <= STEP_BYTES_MIN.max(goal.saturating_sub(live)));
        }
    }
}
