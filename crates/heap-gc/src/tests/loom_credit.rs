//! Sweep credit under the model checker: several mutators pay and sweep at the same time.
//!
//! The terms and the formula are the real ones; paying is the loop of the
//! mutators' slow path over a counter of unswept pages (what a mutator sweeps while it looks
//! for a span makes the payment smaller, and is left out). What a mutator has been
//! granted stands in a shared counter that it raises *after* paying, so two that
//! pay at the same time do not see each other's span. The debt of all together is
//! therefore at most one span for each mutator but one. It never grows beyond
//! that, because the next mutator to pay pays for what was granted before.
//!
//! A [`Steps`] is what a mutator does. A mutant is a `Steps` that leaves one thing
//! out.

use std::sync::Arc;

use heap_sync::atomic::{AtomicUsize, Ordering};
use heap_sync::model::{caught, check_bounded};
use heap_sync::thread::{JoinHandle, spawn};

use crate::pacing::{MARGIN, SweepCredit};

/// Bytes of a span.
const SPAN: usize = 64;
/// Pages that a mutator has to sweep for each span.
const PAGES_PER_SPAN: usize = 2;
/// Pages to sweep in this cycle.
const PAGES: usize = 8;
/// Live bytes when the sweep begins.
const LIVE: usize = 1024;

/// The choices that the protocol depends on.
trait Steps: 'static {
    /// Whether a mutator pays for the span that it is about to take, too.
    const PAYS_FOR_ITS_OWN: bool = true;
    /// Whether a mutator looks again at what it owes after a page.
    const PAYS_IN_FULL: bool = true;
    /// Whether "nothing left" is said only when nothing is left.
    const SETTLES_LATE: bool = true;
    /// Whether what was granted is counted.
    const COUNTS_GRANTS: bool = true;
}

/// The protocol as it is.
struct Sound;

impl Steps for Sound {}

struct World<S> {
    credit: SweepCredit,
    live: AtomicUsize,
    unswept: AtomicUsize,
    swept: AtomicUsize,
    /// Spans that mutators hold.
    held: AtomicUsize,
    steps: std::marker::PhantomData<fn() -> S>,
}

impl<S: Steps> World<S> {
    /// A heap with `pages` to sweep and the price of `PAGES_PER_SPAN` per span.
    fn new(pages: usize) -> Arc<World<S>> {
        let credit = SweepCredit::default();
        let distance = pages * SPAN / PAGES_PER_SPAN * MARGIN / (MARGIN - 1);
        credit.set_terms(pages, LIVE, LIVE + distance);
        assert_eq!(credit.owed(SPAN, LIVE, 0), PAGES_PER_SPAN, "the price of a span");
        Arc::new(World {
            credit,
            live: AtomicUsize::new(LIVE),
            unswept: AtomicUsize::new(pages),
            swept: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
            steps: std::marker::PhantomData,
        })
    }

    /// Sweeps a page, if one is left. A page counts from the start of its sweep.
    fn sweep_one(&self) -> bool {
        let mut left = self.unswept.load(Ordering::Relaxed);
        while left > 0 {
            match self.unswept.compare_exchange(
                left,
                left - 1,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    self.swept.fetch_add(1, Ordering::Relaxed);
                    return true;
                }
                Err(_) if !S::SETTLES_LATE => return false,
                Err(actual) => left = actual,
            }
        }
        false
    }

    fn pay(&self) {
        let span = if S::PAYS_FOR_ITS_OWN { SPAN } else { 0 };
        loop {
            let live = self.live.load(Ordering::Relaxed);
            let swept = self.swept.load(Ordering::Relaxed);
            if self.credit.owed(span, live, swept) == 0 {
                return;
            }
            if !self.sweep_one() {
                self.credit.settle();
                return;
            }
            if !S::PAYS_IN_FULL {
                return;
            }
        }
    }

    /// Pays for spans and takes them.
    fn take(&self, spans: usize) {
        for _ in 0..spans {
            self.pay();
            if S::COUNTS_GRANTS {
                self.live.fetch_add(SPAN, Ordering::Relaxed);
            }
            self.held.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// With all at rest: the pages that should have been swept and were not are
    /// at most what `others` mutators could not see.
    fn settle(&self, others: usize) {
        let held = self.held.load(Ordering::Relaxed);
        let swept = self.swept.load(Ordering::Relaxed);
        let left = self.unswept.load(Ordering::Relaxed);
        let due = (held.saturating_sub(others) * PAGES_PER_SPAN).min(swept + left);
        assert!(swept >= due, "CR1: {held} spans for {swept} pages, {left} left");
        if self.credit.owed(SPAN, usize::MAX / 2, 0) == 0 {
            assert_eq!(left, 0, "settled with pages left");
        }
    }

    fn spawn(self: &Arc<Self>, run: impl FnOnce(&Self) + 'static) -> JoinHandle<()> {
        let world = Arc::clone(self);
        spawn(move || run(&world))
    }
}

/// One mutator pays while another thread sweeps for nothing: no debt at all.
fn a_mutator_alone_is_never_in_debt<S: Steps>() {
    check_bounded(4, || {
        let world = World::<S>::new(PAGES);
        let background = world.spawn(|w| {
            w.sweep_one();
            w.sweep_one();
        });
        world.take(2);
        world.settle(0);
        background.join().unwrap();
        world.settle(0);
    });
}

/// Two mutators pay and take at the same time.
fn two_mutators_owe_one_span_at_most<S: Steps>() {
    check_bounded(2, || {
        let world = World::<S>::new(PAGES);
        let other = world.spawn(|w| w.take(2));
        world.take(2);
        other.join().unwrap();
        world.settle(1);
        // The next mutator to pay pays for what was granted before.
        world.take(1);
        world.settle(0);
    });
}

/// Two mutators pay and take at the same time, and should owe nothing.
fn two_mutators_owe_nothing<S: Steps>() {
    check_bounded(2, || {
        let world = World::<S>::new(PAGES);
        let other = world.spawn(|w| w.take(1));
        world.take(1);
        other.join().unwrap();
        world.settle(0);
    });
}

/// Two mutators run out of pages to sweep.
fn who_settles_leaves_no_pages<S: Steps>() {
    check_bounded(3, || {
        let world = World::<S>::new(3);
        let other = world.spawn(|w| w.take(1));
        world.take(1);
        other.join().unwrap();
        world.settle(1);
    });
}

#[test]
fn loom_a_mutator_alone_is_never_in_debt() {
    a_mutator_alone_is_never_in_debt::<Sound>();
}

#[test]
fn loom_two_mutators_owe_one_span_at_most() {
    two_mutators_owe_one_span_at_most::<Sound>();
}

#[test]
fn loom_who_settles_leaves_no_pages() {
    who_settles_leaves_no_pages::<Sound>();
}

/// The bound of one span is reached: this is no mutant.
#[test]
fn loom_the_bound_is_tight() {
    caught("CR1", two_mutators_owe_nothing::<Sound>);
}

// ---- the mutants ----------------------------------------------------------------

/// Pays for the past only.
struct PaysForThePast;

impl Steps for PaysForThePast {
    const PAYS_FOR_ITS_OWN: bool = false;
}

#[test]
fn loom_mutant_pays_for_the_past() {
    caught("CR1", a_mutator_alone_is_never_in_debt::<PaysForThePast>);
}

/// Sweeps one page and calls it even.
struct PaysOnePage;

impl Steps for PaysOnePage {
    const PAYS_IN_FULL: bool = false;
}

#[test]
fn loom_mutant_pays_one_page() {
    caught("CR1", two_mutators_owe_one_span_at_most::<PaysOnePage>);
}

/// Takes a lost race for a page for the end of sweeping.
struct SettlesEarly;

impl Steps for SettlesEarly {
    const SETTLES_LATE: bool = false;
}

#[test]
fn loom_mutant_settles_early() {
    caught("settled with pages left", who_settles_leaves_no_pages::<SettlesEarly>);
}

/// Does not say what it took.
struct TakesSilently;

impl Steps for TakesSilently {
    const COUNTS_GRANTS: bool = false;
}

#[test]
fn loom_mutant_takes_silently() {
    caught("CR1", two_mutators_owe_one_span_at_most::<TakesSilently>);
}
