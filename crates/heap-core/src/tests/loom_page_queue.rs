//! Mark bytes and the flag of their page under the model checker, whole and with one part
//! broken.
//!
//! A page is a flag and mark bytes. Workers do what those of the collector do with
//! them: turn a white byte grey, then ask the flag; or clear the flag, then trace
//! the grey bytes. The list of queued pages is a counter. Loom knows no vector
//! loads; a scan reads the bytes one by one, as the portable kernel does. Where the first object
//! holds a handle to the second, a worker that traces the first marks the second as a neighbour,
//! without the flag.
//!
//! A [`Steps`] is the protocol as the workers use it. A mutant is a `Steps` with
//! another [`MarkMode`] or another order.

use std::marker::PhantomData;
use std::sync::Arc;

use heap_sync::atomic::{AtomicUsize, Ordering};
use heap_sync::model::{check, check_bounded};
use heap_sync::thread::{JoinHandle, spawn};

use crate::mark_byte::{Color, Found, MarkByte};
use crate::page_flag::{Barrier, MarkMode, PageFlag, Parallel, Serial, announce_marks};

/// The steps of the protocol.
trait Steps: 'static {
    type MarkMode: MarkMode;
    /// Whether the scanner clears the flag before it reads the marks.
    const CLEARS_FIRST: bool = true;

    /// Whether the search for lost pages looks at the flag.
    const SEARCHES: bool = true;

    /// Makes a neighbour black. Whether it is to be traced.
    fn blacken(mark: &MarkByte) -> bool {
        mark.try_mark_black() != Found::Reached
    }
}

/// The protocol as it is.
struct Sound;

impl Steps for Sound {
    type MarkMode = Parallel;
}

const MARKS: usize = 2;

struct Page<S> {
    flag: PageFlag,
    marks: [MarkByte; MARKS],
    /// How often each object was traced.
    traced: [AtomicUsize; MARKS],
    /// In how many queues the page is.
    queues: AtomicUsize,
    /// Whether the page was lost.
    lost: AtomicUsize,
    /// The object that the first one holds a handle to.
    neighbour: Option<usize>,
    steps: PhantomData<fn() -> S>,
}

impl<S: Steps> Page<S> {
    /// A page with white objects that is in no queue.
    fn new() -> Arc<Page<S>> {
        Page::with_neighbour(None)
    }

    fn with_neighbour(neighbour: Option<usize>) -> Arc<Page<S>> {
        Arc::new(Page {
            neighbour,
            flag: PageFlag::default(),
            marks: std::array::from_fn(|_| MarkByte::new(Color::White)),
            traced: Default::default(),
            queues: AtomicUsize::new(0),
            lost: AtomicUsize::new(0),
            steps: PhantomData,
        })
    }

    /// What a worker does with edges to these objects.
    fn mark(&self, objects: &[usize]) {
        self.mark_with(objects, || {
            // ORDERING: Release to Acquire, as a queue's push and pop.
            let before = self.queues.fetch_add(1, Ordering::Release);
            assert_eq!(before, 0, "M3: the page is in two queues");
        });
    }

    /// The same, where there is no memory for the queue: the page is lost.
    fn mark_without_memory(&self, objects: &[usize]) {
        // ORDERING: Relaxed: read when the workers were waited for.
        self.mark_with(objects, || self.lost.store(1, Ordering::Relaxed));
    }

    fn mark_with(&self, objects: &[usize], queue: impl Fn()) {
        let mut fresh = 0;
        for object in objects {
            if self.marks[*object].is_white() {
                self.marks[*object].mark_grey();
                fresh += usize::from(!self.flag.is_surely_queued::<S::MarkMode>());
            }
        }
        if fresh > 0 {
            announce_marks::<S::MarkMode>();
        }
        for _ in 0..fresh {
            if self.flag.must_queue::<S::MarkMode>() {
                queue();
            }
        }
    }

    /// What a worker does with the page, if it is in a queue. Whether it was.
    fn scan(&self) -> bool {
        let popped = self.queues.compare_exchange(1, 0, Ordering::Acquire, Ordering::Relaxed);
        if popped.is_err() {
            return false;
        }
        self.scan_page();
        true
    }

    /// Whether the search for lost pages finds the page, when all workers are at rest.
    fn is_found(&self) -> bool {
        let is_queued = S::SEARCHES && self.flag.is_queued();
        self.lost.load(Ordering::Relaxed) == 1 && is_queued
    }

    fn scan_page(&self) {
        if S::CLEARS_FIRST {
            self.flag.begin_scan::<S::MarkMode>();
        }
        let grey: Vec<_> =
            (0..MARKS).filter(|i| self.marks[*i].color() == Some(Color::Grey)).collect();
        if !S::CLEARS_FIRST {
            self.flag.begin_scan::<S::MarkMode>();
        }
        for object in grey {
            self.marks[object].mark_black();
            self.trace(object);
        }
    }

    /// Traces an object of the page in hand, and its neighbour with it.
    fn trace(&self, object: usize) {
        self.traced[object].fetch_add(1, Ordering::Relaxed);
        let Some(neighbour) = self.neighbour.filter(|_| object == 0) else { return };
        if S::blacken(&self.marks[neighbour]) {
            self.trace(neighbour);
        }
    }

    /// With all workers at rest: what is marked was traced, or will be.
    fn settle(&self) {
        let queued = self.queues.load(Ordering::Relaxed) > 0 || self.is_found();
        for (mark, traced) in self.marks.iter().zip(&self.traced) {
            let traced = traced.load(Ordering::Relaxed) > 0;
            let marked = !mark.is_white();
            assert!(!marked || traced || queued, "PF1: a mark is lost");
        }
        // And the mark phase that goes on from here leaves nothing behind.
        while self.scan() {}
        if self.is_found() {
            self.scan_page();
        }
        for (mark, traced) in self.marks.iter().zip(&self.traced) {
            let color = mark.color().expect("M1");
            assert_ne!(color, Color::Grey, "MK1: an object stays grey");
            let traced = traced.load(Ordering::Relaxed) > 0;
            assert_eq!(color == Color::Black, traced, "MK2: never traced");
        }
    }

    fn spawn(self: &Arc<Self>, run: impl FnOnce(&Self) + 'static) -> JoinHandle<()> {
        let page = Arc::clone(self);
        spawn(move || run(&page))
    }
}

/// The page is queued for one object while another of its objects is marked.
fn a_fresh_mark_is_scanned_or_queued<S: Steps>() {
    check(|| {
        let page = Page::<S>::new();
        page.mark(&[0]);
        let scanner = page.spawn(|p| {
            p.scan();
        });
        page.mark(&[1]);
        scanner.join().unwrap();
        page.settle();
    });
}

/// Two workers mark two objects of a page.
fn two_markers_queue_a_page_once<S: Steps>() {
    check(|| {
        let page = Page::<S>::new();
        let marker = page.spawn(|p| p.mark(&[0]));
        page.mark(&[1]);
        marker.join().unwrap();
        page.settle();
    });
}

/// Two workers reach the same objects, a third scans and scans again.
fn marks_of_one_object_may_race<S: Steps>() {
    check_bounded(4, || {
        let page = Page::<S>::new();
        let marker = page.spawn(|p| p.mark(&[0, 1]));
        let scanner = page.spawn(|p| {
            p.scan();
            p.scan();
        });
        page.mark(&[1]);
        marker.join().unwrap();
        scanner.join().unwrap();
        page.settle();
    });
}

/// Two workers that alternately mark and scan: the page comes back while it is being scanned.
fn a_page_comes_back_while_it_is_scanned<S: Steps>() {
    check_bounded(4, || {
        let page = Page::<S>::new();
        let other = page.spawn(|p| {
            p.mark(&[0]);
            p.scan();
        });
        page.mark(&[1]);
        page.scan();
        other.join().unwrap();
        page.settle();
    });
}

/// The page in hand leads to an object that another worker marks.
fn a_neighbour_is_traced<S: Steps>() {
    check(|| {
        let page = Page::<S>::with_neighbour(Some(1));
        page.mark(&[0]);
        let marker = page.spawn(|p| p.mark(&[1]));
        page.scan();
        marker.join().unwrap();
        page.settle();
        let traced = page.traced[1].load(Ordering::Relaxed);
        assert!((1..=2).contains(&traced), "MK2: traced {traced} times");
    });
}

/// A page is lost while others mark its objects, and while it is scanned.
fn a_lost_page_is_found<S: Steps>() {
    check_bounded(4, || {
        let page = Page::<S>::new();
        page.mark(&[0]);
        let scanner = page.spawn(|p| {
            p.scan();
        });
        let marker = page.spawn(|p| p.mark(&[0]));
        page.mark_without_memory(&[1]);
        scanner.join().unwrap();
        marker.join().unwrap();
        page.settle();
    });
}

#[test]
fn loom_a_lost_page_is_found() {
    a_lost_page_is_found::<Sound>();
}

#[test]
fn loom_a_neighbour_is_traced() {
    a_neighbour_is_traced::<Sound>();
}

#[test]
fn loom_a_fresh_mark_is_scanned_or_queued() {
    a_fresh_mark_is_scanned_or_queued::<Sound>();
}

#[test]
fn loom_two_markers_queue_a_page_once() {
    two_markers_queue_a_page_once::<Sound>();
}

/// Two mutators mark two objects of a page, between two steps of a mark phase.
struct InBarriers;

impl Steps for InBarriers {
    type MarkMode = Barrier;
}

#[test]
fn loom_two_barriers_queue_a_page_once() {
    two_markers_queue_a_page_once::<InBarriers>();
}

#[test]
fn loom_marks_of_one_object_may_race() {
    marks_of_one_object_may_race::<Sound>();
}

#[test]
fn loom_a_page_comes_back_while_it_is_scanned() {
    a_page_comes_back_while_it_is_scanned::<Sound>();
}

// ---- the mutants ----------------------------------------------------------------

/// A marker asks the flag without a fence after its marks.
struct MarksUnfenced;

impl MarkMode for MarksUnfenced {
    const MARKER_FENCES: bool = false;
    const SCANNER_FENCES: bool = true;
    const TURNS_ATOMICALLY: bool = true;
}

impl Steps for MarksUnfenced {
    type MarkMode = MarksUnfenced;
}

#[test]
#[should_panic(expected = "PF1: a mark is lost")]
fn loom_mutant_marks_unfenced() {
    a_fresh_mark_is_scanned_or_queued::<MarksUnfenced>();
}

/// Mutators mark while a worker scans.
#[test]
#[should_panic(expected = "PF1: a mark is lost")]
fn loom_mutant_barriers_while_scanning() {
    a_fresh_mark_is_scanned_or_queued::<InBarriers>();
}

/// A scanner reads the marks without a fence after clearing the flag.
struct ScansUnfenced;

impl MarkMode for ScansUnfenced {
    const MARKER_FENCES: bool = true;
    const SCANNER_FENCES: bool = false;
    const TURNS_ATOMICALLY: bool = true;
}

impl Steps for ScansUnfenced {
    type MarkMode = ScansUnfenced;
}

#[test]
#[should_panic(expected = "PF1: a mark is lost")]
fn loom_mutant_scans_unfenced() {
    a_fresh_mark_is_scanned_or_queued::<ScansUnfenced>();
}

/// A scanner clears the flag when it has read the marks.
struct ClearsLate;

impl Steps for ClearsLate {
    type MarkMode = Parallel;
    const CLEARS_FIRST: bool = false;
}

#[test]
#[should_panic(expected = "PF1: a mark is lost")]
fn loom_mutant_clears_late() {
    a_fresh_mark_is_scanned_or_queued::<ClearsLate>();
}

/// A neighbour turns black whatever its state was.
struct NeighboursBlind;

impl Steps for NeighboursBlind {
    type MarkMode = Parallel;

    fn blacken(mark: &MarkByte) -> bool {
        let white = mark.is_white();
        mark.mark_black();
        white
    }
}

#[test]
#[should_panic(expected = "MK2: never traced")]
fn loom_mutant_neighbours_blind() {
    a_neighbour_is_traced::<NeighboursBlind>();
}

/// What a single worker does, done by two.
struct BothAlone;

impl Steps for BothAlone {
    type MarkMode = Serial;
}

#[test]
#[should_panic(expected = "M3: the page is in two queues")]
fn loom_mutant_both_alone() {
    two_markers_queue_a_page_once::<BothAlone>();
}

/// Does not look at flags.
struct SearchesNothing;

impl Steps for SearchesNothing {
    type MarkMode = Parallel;
    const SEARCHES: bool = false;
}

#[test]
#[should_panic(expected = "PF1: a mark is lost")]
fn loom_mutant_searches_nothing() {
    a_lost_page_is_found::<SearchesNothing>();
}
