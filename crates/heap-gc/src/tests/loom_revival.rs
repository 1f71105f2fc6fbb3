//! A weak handle that is cleared between two stops, under the model checker, whole and with one part
//! broken.
//!
//! One object has a weak handle, and an intern set has it; nothing else leads to it. Marking is under
//! way. In one stop the collector ends it, and finds the object dead if it was not shown; in a second
//! one it clears the handle, revives what was shown since, and frees the object if it is white. One
//! mutator asks the handle twice; another finds the object in the intern set, keeps it, and makes a
//! handle to it. The gate and the cell are the real ones; the list of handles has one place.
//!
//! A [`Steps`] is the protocol as its parties use it. A mutant is a `Steps` in which one step lacks one
//! line.

use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::Arc;

use heap_core::mark_byte::{Color, MarkByte};
use heap_core::weak_handles::WeakCell;
use heap_sync::atomic::{AtomicU64, Ordering};
use heap_sync::lock::Mutex;
use heap_sync::model::{caught, check, check_bounded};
use heap_sync::thread::spawn;

use crate::gate::{Gate, MutatorState, WorldStopped};
use crate::tests::own::Own;

/// The steps of the protocol.
trait Steps: Sized + 'static {
    /// Whether what a handle shows while marking is under way is marked.
    const SHOWS_MARKED: bool = true;
    /// Whether what is white after marking is shown.
    const SHOWS_WHITE: bool = false;
    /// Whether a handle is asked again when its object was seen to be marked.
    const ASKS_AGAIN: bool = true;
    /// When the handle of a white object is cleared that a mutator marks (WH4).
    const LOSES: Loses = Loses::BeforeMark;
    /// Whether it is looked under the lock whether the object is white still.
    const LOOKS_AGAIN: bool = true;
    /// Whether the object of a new handle is marked (I6), and before it is looked whether it has one.
    const DOWNGRADES: Downgrades = Downgrades::Marked;
}

#[derive(PartialEq)]
enum Loses {
    BeforeMark,
    AfterMark,
    Never,
}

#[derive(PartialEq)]
enum Downgrades {
    Marked,
    Late,
    White,
}

/// The protocol as it is.
struct Sound;

impl Steps for Sound {}

/// The phases, as far as mutators know them.
const IDLE: u64 = 0;
const MARKING: u64 = 1;
const REVIVING: u64 = 2;

struct Heap<S> {
    gate: Gate,
    phase: AtomicU64,
    mutators: [MutatorState; 2],
    mark: MarkByte,
    cell: WeakCell,
    is_alive: Own<bool>,
    /// Whether the object was made since marking began: then it lives in any case.
    is_new: bool,
    steps: PhantomData<fn() -> S>,
}

impl<S: Steps> Heap<S> {
    fn new(is_new: bool, phase: u64) -> Arc<Heap<S>> {
        Arc::new(Heap {
            gate: Gate::default(),
            phase: AtomicU64::new(phase),
            mutators: Default::default(),
            mark: MarkByte::new(Color::White),
            // An address that is not followed.
            cell: WeakCell::new(NonNull::dangling()),
            is_alive: Own::new(true),
            is_new,
            steps: PhantomData,
        })
    }

    /// What a mutator does inside; it is told the phase (B2).
    fn inside<R>(&self, me: usize, act: impl FnOnce(u64) -> R) -> R {
        self.gate.enter(&self.mutators[me]);
        let result = act(self.phase.load(Ordering::Relaxed));
        self.gate.leave(&self.mutators[me]);
        result
    }

    /// `Mutator::upgrade`.
    fn upgrade(&self, phase: u64) -> bool {
        if self.cell.target().is_none() {
            return false;
        }
        let is_shown = match phase {
            MARKING => {
                if S::SHOWS_MARKED {
                    self.mark.try_mark_black();
                }
                true
            }
            REVIVING => {
                let is_shown = S::SHOWS_WHITE || !self.mark.is_white();
                is_shown && (!S::ASKS_AGAIN || self.cell.target_of_marked().is_some())
            }
            _ => true,
        };
        assert!(!is_shown || self.is_alive.get(), "WH3: a handle leads to freed memory");
        is_shown
    }

    /// `Mutator::barrier_mark`.
    fn barrier_mark(&self, phase: u64) {
        let is_lost = phase == REVIVING && self.mark.is_white();
        if is_lost && S::LOSES == Loses::BeforeMark {
            self.cell.clear_before_mark();
        }
        self.mark.try_mark_black();
        if is_lost && S::LOSES == Loses::AfterMark {
            self.cell.clear_before_mark();
        }
    }

    /// Finds the object in the intern set, and looks whether it has a handle, which is the one that a
    /// program gets then. Whether it was found, and had one.
    fn find(&self, phase: u64) -> (bool, bool) {
        if !self.is_alive.get() {
            return (false, false);
        }
        let early = self.cell.target().is_some();
        if phase != IDLE {
            self.barrier_mark(phase);
        }
        let is_known = match S::DOWNGRADES {
            Downgrades::Late => early,
            _ => self.cell.target().is_some(),
        };
        (true, is_known)
    }

    /// A stop of the world.
    fn stop(&self, act: impl FnOnce(WorldStopped<'_>)) {
        let collector = self.gate.claim();
        // SAFETY: the mutators of the model.
        let world = unsafe { collector.raise().wait(self.mutators.iter()) };
        act(world.expect("no context is leaked"));
    }

    /// Marking ends in one stop; the handle is cleared in the next.
    fn collect(&self) {
        self.stop(|world| {
            self.phase.store(REVIVING, Ordering::Relaxed);
            drop(world);
        });
        self.end_collection();
    }

    fn end_collection(&self) {
        self.stop(|world| {
            if self.mark.is_white() {
                self.cell.clear_before_mark();
                self.is_alive.set(self.is_new);
            }
            self.phase.store(IDLE, Ordering::Relaxed);
            drop(world);
        });
    }
}

/// One mutator asks the handle, another finds the object by other means.
fn a_cleared_handle_stays_cleared<S: Steps>() {
    check_bounded(2, || {
        let heap = Heap::<S>::new(false, MARKING);
        let (one, other) = (Arc::clone(&heap), Arc::clone(&heap));
        let asks = spawn(move || one.inside(0, |phase| [one.upgrade(phase), one.upgrade(phase)]));
        let finds = spawn(move || other.inside(1, |phase| other.find(phase)));
        heap.collect();
        let shown = asks.join().unwrap();
        let (is_found, is_known) = finds.join().unwrap();
        assert!(shown != [false, true], "WH4: a cleared handle came back");
        let is_kept = shown.contains(&true) || is_found;
        assert!(!is_kept || heap.is_alive.get(), "WH3: what was shown is dead");
        let leads = heap.cell.target().is_some();
        assert!(!is_known || leads, "WH4: a new handle to what is alive is cleared");
        assert!(!leads || heap.is_alive.get(), "WH3: a handle leads to freed memory");
    });
}

/// A mutator makes an object while handles are cleared, and a handle to it.
fn a_new_object_keeps_its_handle<S: Steps>() {
    check_bounded(2, || {
        let heap = Heap::<S>::new(true, REVIVING);
        let other = Arc::clone(&heap);
        let makes = spawn(move || {
            other.inside(0, |phase| {
                if phase != IDLE && S::DOWNGRADES != Downgrades::White {
                    // There is no handle yet that would be lost.
                    other.mark.try_mark_black();
                }
                // The handle that the heap has from the beginning is in the list from here on.
                phase != IDLE
            })
        });
        heap.end_collection();
        let is_made = makes.join().unwrap();
        assert!(
            !is_made || heap.cell.target().is_some(),
            "I6: the handle of a new object is cleared"
        );
    });
}

/// The list of handles, with the one that the object had when it was found dead, and the ones that two
/// mutators make.
struct Handles<S> {
    mark: MarkByte,
    cells: [WeakCell; 3],
    list: Mutex<usize>,
    steps: PhantomData<fn() -> S>,
}

impl<S: Steps> Handles<S> {
    /// `Mutator::downgrade`, while handles are being cleared. Returns which cell it is.
    fn downgrade(&self, new: usize) -> usize {
        if self.mark.is_white() {
            let listed = self.list.lock();
            if !S::LOOKS_AGAIN || self.mark.is_white() {
                self.cells[*listed].clear_before_mark();
            }
        }
        self.mark.try_mark_black();
        let known = *self.list.lock();
        if self.cells[known].target().is_some() {
            return known;
        }
        let mut listed = self.list.lock();
        if self.cells[*listed].target().is_none() {
            *listed = new;
        }
        *listed
    }
}

/// Two mutators that have found a dead object make handles to it.
fn two_handles_are_one<S: Steps>() {
    check(|| {
        let cell = || WeakCell::new(NonNull::dangling());
        let mark = MarkByte::new(Color::White);
        let cells = [cell(), cell(), cell()];
        let handles = Handles::<S> { mark, cells, list: Mutex::new(0), steps: PhantomData };
        let handles = Arc::new(handles);
        let other = Arc::clone(&handles);
        let makes = spawn(move || other.downgrade(1));
        let made = [handles.downgrade(2), makes.join().unwrap()];
        assert!(handles.cells[0].target().is_none(), "WH4: the old handle is not cleared");
        let are_cleared = made.iter().any(|made| handles.cells[*made].target().is_none());
        assert!(!are_cleared, "WH4: a new handle to what is alive is cleared");
        assert_eq!(made[0], made[1], "WH1: two handles to one object");
    });
}

#[test]
fn loom_two_handles_are_one() {
    two_handles_are_one::<Sound>();
}

/// Clears what handle there is, though the object may be marked by then.
struct LooksOnce;

impl Steps for LooksOnce {
    const LOOKS_AGAIN: bool = false;
}

#[test]
fn loom_mutant_looks_once() {
    caught("WH4: a new handle to what is alive is cleared", two_handles_are_one::<LooksOnce>);
}

#[test]
fn loom_a_cleared_handle_stays_cleared() {
    a_cleared_handle_stays_cleared::<Sound>();
}

#[test]
fn loom_a_new_object_keeps_its_handle() {
    a_new_object_keeps_its_handle::<Sound>();
}

/// Shows what it has not marked.
struct ShowsUnmarked;

impl Steps for ShowsUnmarked {
    const SHOWS_MARKED: bool = false;
}

#[test]
fn loom_mutant_shows_unmarked() {
    caught("WH3: what was shown is dead", a_cleared_handle_stays_cleared::<ShowsUnmarked>);
}

/// Shows what is white after marking.
struct ShowsDead;

impl Steps for ShowsDead {
    const SHOWS_WHITE: bool = true;
}

#[test]
fn loom_mutant_shows_dead() {
    caught("WH3: what was shown is dead", a_cleared_handle_stays_cleared::<ShowsDead>);
}

/// Leaves the handle of a dead object that it marks.
struct LosesNothing;

impl Steps for LosesNothing {
    const LOSES: Loses = Loses::Never;
}

#[test]
fn loom_mutant_loses_nothing() {
    caught("WH4: a cleared handle came back", a_cleared_handle_stays_cleared::<LosesNothing>);
}

/// Clears the handle when the object is marked.
struct LosesLate;

impl Steps for LosesLate {
    // Moved: before the mark.
    const LOSES: Loses = Loses::AfterMark;
}

#[test]
fn loom_mutant_loses_late() {
    caught("WH4: a cleared handle came back", a_cleared_handle_stays_cleared::<LosesLate>);
}

/// Does not ask the handle again.
struct AsksOnce;

impl Steps for AsksOnce {
    const ASKS_AGAIN: bool = false;
}

#[test]
fn loom_mutant_asks_once() {
    caught("WH4: a cleared handle came back", a_cleared_handle_stays_cleared::<AsksOnce>);
}

/// Looks whether the object has a handle before it marks the object.
struct DowngradesLate;

impl Steps for DowngradesLate {
    const DOWNGRADES: Downgrades = Downgrades::Late;
}

#[test]
fn loom_mutant_downgrades_late() {
    let complaint = "WH4: a new handle to what is alive is cleared";
    caught(complaint, a_cleared_handle_stays_cleared::<DowngradesLate>);
}

/// Makes a handle to an object that is not marked.
struct DowngradesWhite;

impl Steps for DowngradesWhite {
    const DOWNGRADES: Downgrades = Downgrades::White;
}

#[test]
fn loom_mutant_downgrades_white() {
    let complaint = "I6: the handle of a new object is cleared";
    caught(complaint, a_new_object_keeps_its_handle::<DowngradesWhite>);
}
