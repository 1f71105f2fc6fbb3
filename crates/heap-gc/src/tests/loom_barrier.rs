//! The write barrier of a mark phase in two steps under the model checker, whole and with
//! one part broken.
//!
//! Every mutator has an object, a cell, which holds a handle to the one child. The
//! collector begins in one stop: it marks what mutators have taken so far, and the
//! cells' objects, which it does not trace yet. In a second stop it takes what mutators have handed
//! over and traces the cells. In between, before or after, a mutator takes the
//! child out of its cell and keeps it in a root of its own. If a mutator has the child in
//! the end it must be marked, unless it took it after marking was over (B1).
//!
//! Cells, roots and lists are loom's: it reports two accesses that are not ordered. The
//! gate is the real one. A mark turns as `mark_grey` turns it; the one function that does
//! so without an arena makes it black, which is the same here: not white.
//!
//! A [`Steps`] is the protocol as its parties use it. A mutant is a `Steps` in which one
//! step lacks one line.

use std::marker::PhantomData;
use std::sync::Arc;

use heap_core::mark_byte::{Color, Found, MarkByte};
use heap_sync::atomic::{AtomicU64, Ordering};
use heap_sync::lock::Mutex;
use heap_sync::model::{caught, check_bounded};
use heap_sync::thread::spawn;

use crate::gate::{Gate, MutatorState, WorldStopped};
use crate::tests::own::Own;

/// The steps of the protocol.
trait Steps: Sized + 'static {
    /// Comes inside; says whether an incremental mark phase is under way (B2).
    fn enter(heap: &Heap<Self>, me: &MutatorState) -> bool {
        heap.gate.enter(me);
        heap.is_marking()
    }

    /// Whether the barrier reports what it finds.
    const REPORTS: bool = true;
    /// Whether the barrier is done before the mutator leaves.
    const REPORTS_INSIDE: bool = true;
    /// When the mutator hands its list over.
    const HANDS_OVER: HandsOver = HandsOver::Inside;
    /// Whether the collector takes the lists of the barrier.
    const TAKES_LISTS: bool = true;

    /// Turns the mark of what a cell holds; says whether it was white.
    fn turn(mark: &MarkByte) -> bool {
        mark.try_mark_black() != Found::Reached
    }

    /// Says that an incremental mark phase is under way, and resumes the world.
    fn resume(heap: &Heap<Self>, world: WorldStopped<'_>) {
        heap.marking.store(1, Ordering::Relaxed);
        drop(world);
    }
}

/// When a mutator hands its list over.
#[derive(PartialEq)]
enum HandsOver {
    /// Before it leaves (B4).
    Inside,
    /// When it has left.
    Outside,
    /// Not at all.
    Never,
}

/// The protocol as it is.
struct Sound;

impl Steps for Sound {}

#[derive(Default)]
struct Member {
    state: MutatorState,
    /// Whether its object's cell holds the child.
    cell: Own<bool>,
    /// Whether its root does.
    root: Own<bool>,
    /// Whether the barrier's list does.
    listed: Own<bool>,
}

struct Heap<S> {
    gate: Gate,
    marking: AtomicU64,
    /// The child's mark.
    mark: MarkByte,
    /// Whether a mutator has handed the child over.
    handed_over: Mutex<bool>,
    members: Vec<Member>,
    steps: PhantomData<fn() -> S>,
}

impl<S: Steps> Heap<S> {
    fn new(members: usize) -> Arc<Heap<S>> {
        let member = |_| {
            let member = Member::default();
            member.cell.set(true);
            member
        };
        Arc::new(Heap {
            gate: Gate::default(),
            marking: AtomicU64::new(0),
            mark: MarkByte::new(Color::White),
            handed_over: Mutex::default(),
            members: (0..members).map(member).collect(),
            steps: PhantomData,
        })
    }

    fn is_marking(&self) -> bool {
        self.marking.load(Ordering::Relaxed) != 0
    }

    /// Takes the child out of the cell, into the root.
    fn take(&self, me: &Member) {
        let marking = S::enter(self, &me.state);
        let report = || {
            if marking && S::REPORTS && S::turn(&self.mark) {
                me.listed.set(true);
            }
        };
        let hand_over = || {
            if me.listed.get() {
                *self.handed_over.lock() = true;
            }
        };
        if S::REPORTS_INSIDE {
            report();
        }
        me.root.set(me.cell.get());
        me.cell.set(false);
        if S::HANDS_OVER == HandsOver::Inside {
            hand_over();
        }
        self.gate.leave(&me.state);
        if !S::REPORTS_INSIDE {
            report();
        }
        if S::HANDS_OVER == HandsOver::Outside {
            hand_over();
        }
    }

    /// A stop of the world.
    fn stop(&self, act: impl FnOnce(WorldStopped<'_>)) {
        let collector = self.gate.claim();
        // SAFETY: all the mutators of the model.
        let world =
            unsafe { collector.raise().wait(self.members.iter().map(|member| &member.state)) };
        act(world.expect("nobody is abandoned"));
    }

    /// A mark phase in two steps.
    fn collect(&self) {
        let mut traced = false;
        self.stop(|world| {
            traced = self.members.iter().any(|member| member.root.get());
            S::resume(self, world);
        });
        self.stop(|world| {
            traced |= S::TAKES_LISTS && *self.handed_over.lock();
            traced |= self.members.iter().any(|member| member.cell.get());
            let rooted = self.members.iter().any(|member| member.root.get());
            assert!(traced || !rooted, "B1: the child is lost");
            self.marking.store(0, Ordering::Relaxed);
            drop(world);
        });
    }
}

/// As many mutators take the child during a mark phase.
fn what_a_cell_held_is_marked<S: Steps>(mutators: usize) {
    check_bounded(3, move || {
        let heap = Heap::<S>::new(mutators);
        let threads: Vec<_> = (0..mutators)
            .map(|index| {
                let heap = Arc::clone(&heap);
                spawn(move || heap.take(&heap.members[index]))
            })
            .collect();
        heap.collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn loom_what_a_cell_held_is_marked() {
    what_a_cell_held_is_marked::<Sound>(1);
}

#[test]
fn loom_what_two_cells_held_is_marked() {
    what_a_cell_held_is_marked::<Sound>(2);
}

/// Forgets the barrier.
struct NoBarrier;

impl Steps for NoBarrier {
    const REPORTS: bool = false;
}

#[test]
fn loom_mutant_no_barrier() {
    caught("B1: the child is lost", || what_a_cell_held_is_marked::<NoBarrier>(1));
}

/// Looks whether an incremental mark phase is under way before it is inside.
struct LooksOutside;

impl Steps for LooksOutside {
    fn enter(heap: &Heap<Self>, me: &MutatorState) -> bool {
        // Moved: behind the entry.
        let marking = heap.is_marking();
        heap.gate.enter(me);
        marking
    }
}

#[test]
fn loom_mutant_looks_outside() {
    caught("B1: the child is lost", || what_a_cell_held_is_marked::<LooksOutside>(1));
}

/// Reports when it has left.
struct ReportsLate;

impl Steps for ReportsLate {
    const REPORTS_INSIDE: bool = false;
}

#[test]
fn loom_mutant_reports_late() {
    caught("B1: the child is lost", || what_a_cell_held_is_marked::<ReportsLate>(1));
}

/// Keeps its list.
struct KeepsItsList;

impl Steps for KeepsItsList {
    const HANDS_OVER: HandsOver = HandsOver::Never;
}

#[test]
fn loom_mutant_keeps_its_list() {
    caught("B1: the child is lost", || what_a_cell_held_is_marked::<KeepsItsList>(1));
}

/// Hands its list over when it has left.
struct HandsOverLate;

impl Steps for HandsOverLate {
    const HANDS_OVER: HandsOver = HandsOver::Outside;
}

#[test]
fn loom_mutant_hands_over_late() {
    caught("B1: the child is lost", || what_a_cell_held_is_marked::<HandsOverLate>(1));
}

/// Says that an incremental mark phase is under way when the world runs.
struct SaysLate;

impl Steps for SaysLate {
    fn resume(heap: &Heap<Self>, world: WorldStopped<'_>) {
        drop(world);
        // Moved: before the end of the stop.
        heap.marking.store(1, Ordering::Relaxed);
    }
}

#[test]
fn loom_mutant_says_late() {
    caught("B1: the child is lost", || what_a_cell_held_is_marked::<SaysLate>(1));
}

/// Does not take what was handed over.
struct NoLists;

impl Steps for NoLists {
    const TAKES_LISTS: bool = false;
}

#[test]
fn loom_mutant_no_lists() {
    caught("B1: the child is lost", || what_a_cell_held_is_marked::<NoLists>(1));
}

/// Turns the mark before it looks whether it was white: of two mutators that turn it at
/// the same time each may leave the list to the other.
struct TurnsFirst;

impl Steps for TurnsFirst {
    fn turn(mark: &MarkByte) -> bool {
        mark.mark_grey();
        // Moved: before the store.
        mark.is_white()
    }
}

#[test]
fn loom_mutant_turns_first() {
    caught("B1: the child is lost", || what_a_cell_held_is_marked::<TurnsFirst>(2));
}
