//! A weak table that is cleared between two stops, under the model checker, whole and with one part
//! broken.
//!
//! A table has one entry. Its object has a child, and is reachable only if a mutator finds it before
//! marking ends; or it is new: made by a mutator since, and not marked yet, as those are that are
//! still in its cache. The collector ends marking in one stop: what is marked by then is traced. In
//! a second one it clears the table, and frees what is white and not new, and the child if its
//! object was not traced. In between, before or after, a mutator looks the object up, and keeps it
//! if it finds it.
//!
//! The gate is the real one. A [`Steps`] is the protocol as its parties use it. A mutant is a
//! `Steps` in which one step lacks one line.

use std::marker::PhantomData;
use std::sync::Arc;

use heap_core::mark_byte::{Color, MarkByte};
use heap_sync::atomic::{AtomicU64, Ordering};
use heap_sync::model::{caught, check_bounded};
use heap_sync::thread::spawn;

use crate::gate::{Gate, MutatorState, WorldStopped};
use crate::tests::own::Own;

/// The steps of the protocol.
trait Steps: Sized + 'static {
    /// Comes inside; says whether weak tables are being cleared (B2).
    fn enter(heap: &Heap<Self>, me: &MutatorState) -> bool {
        heap.gate.enter(me);
        heap.is_clearing()
    }

    /// Whether an entry that is white while tables are being cleared is shown (I1).
    const SHOWS_WHITE: bool = false;
    /// Whether what is inserted is marked (I6).
    const INSERTS_MARKED: bool = true;

    /// Says that tables are being cleared, and resumes the world.
    fn resume(heap: &Heap<Self>, world: WorldStopped<'_>) {
        heap.clearing.store(1, Ordering::Relaxed);
        drop(world);
    }
}

/// The protocol as it is.
struct Sound;

impl Steps for Sound {}

/// What an entry leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Object {
    Old,
    New,
    Freed,
}

struct Heap<S> {
    gate: Gate,
    clearing: AtomicU64,
    mutator: MutatorState,
    /// Whether the table has the entry.
    entry: Own<bool>,
    object: Own<Object>,
    /// Whether the child of an object that is not new is alive.
    child: Own<bool>,
    mark: MarkByte,
    steps: PhantomData<fn() -> S>,
}

impl<S: Steps> Heap<S> {
    fn new(entry: bool) -> Arc<Heap<S>> {
        Arc::new(Heap {
            gate: Gate::default(),
            clearing: AtomicU64::new(0),
            mutator: MutatorState::default(),
            entry: Own::new(entry),
            object: Own::new(Object::Old),
            child: Own::new(true),
            mark: MarkByte::new(Color::White),
            steps: PhantomData,
        })
    }

    fn is_clearing(&self) -> bool {
        self.clearing.load(Ordering::Relaxed) != 0
    }

    /// Looks the object up. If it is not there and tables are being cleared makes it, inserts it,
    /// and looks it up again. Whether an old object was found.
    fn find_or_insert(&self) -> bool {
        let is_clearing = S::enter(self, &self.mutator);
        let find = || {
            let is_shown = S::SHOWS_WHITE || !is_clearing || !self.mark.is_white();
            self.entry.get() && is_shown
        };
        let found = find();
        if found {
            assert_eq!(self.object.get(), Object::Old, "I1: the table leads to freed memory");
            if !is_clearing {
                // I2.
                self.mark.try_mark_black();
            }
        } else if is_clearing && !self.entry.get() {
            self.object.set(Object::New);
            if S::INSERTS_MARKED {
                self.mark.try_mark_black();
            }
            self.entry.set(true);
            assert!(find(), "I6: what was inserted is not found");
        }
        self.gate.leave(&self.mutator);
        found
    }

    /// A stop of the world.
    fn stop(&self, act: impl FnOnce(WorldStopped<'_>)) {
        let collector = self.gate.claim();
        // SAFETY: the one mutator of the model.
        let world = unsafe { collector.raise().wait(std::iter::once(&self.mutator)) };
        act(world.expect("no context is leaked"));
    }

    /// Marking ends in one stop, the table is cleared in the next.
    fn collect(&self) {
        let mut is_traced = false;
        self.stop(|world| {
            is_traced = !self.mark.is_white();
            S::resume(self, world);
        });
        self.stop(|world| {
            self.child.set(is_traced);
            if self.entry.get() && self.mark.is_white() {
                assert_ne!(self.object.get(), Object::New, "I6: a live object is forgotten");
                self.entry.set(false);
                self.object.set(Object::Freed);
            }
            self.clearing.store(0, Ordering::Relaxed);
            drop(world);
        });
    }
}

fn no_dead_object_is_shown<S: Steps>(entry: bool) {
    check_bounded(3, move || {
        let heap = Heap::<S>::new(entry);
        let other = Arc::clone(&heap);
        let mutator = spawn(move || other.find_or_insert());
        heap.collect();
        let found = mutator.join().unwrap();
        assert!(!found || heap.child.get(), "I1: what was found is dead");
        let (entry, object) = (heap.entry.get(), heap.object.get());
        assert!(!entry || object != Object::Freed, "I1: the table leads to freed memory");
    });
}

#[test]
fn loom_no_dead_object_is_shown() {
    no_dead_object_is_shown::<Sound>(true);
}

#[test]
fn loom_what_is_inserted_stays() {
    no_dead_object_is_shown::<Sound>(false);
}

/// Shows what is white.
struct ShowsWhite;

impl Steps for ShowsWhite {
    const SHOWS_WHITE: bool = true;
}

#[test]
fn loom_mutant_shows_white() {
    caught("I1: what was found is dead", || no_dead_object_is_shown::<ShowsWhite>(true));
}

/// Inserts what is not marked.
struct InsertsWhite;

impl Steps for InsertsWhite {
    const INSERTS_MARKED: bool = false;
}

#[test]
fn loom_mutant_inserts_white() {
    caught("I6: what was inserted is not found", || {
        no_dead_object_is_shown::<InsertsWhite>(false);
    });
}

/// Looks whether tables are being cleared before it is inside.
struct LooksOutside;

impl Steps for LooksOutside {
    fn enter(heap: &Heap<Self>, me: &MutatorState) -> bool {
        // Moved: behind the entry.
        let clearing = heap.is_clearing();
        heap.gate.enter(me);
        clearing
    }
}

#[test]
fn loom_mutant_looks_outside() {
    caught("I1: what was found is dead", || no_dead_object_is_shown::<LooksOutside>(true));
}

/// Says that tables are being cleared when the world runs.
struct SaysLate;

impl Steps for SaysLate {
    fn resume(heap: &Heap<Self>, world: WorldStopped<'_>) {
        drop(world);
        // Moved: before the end of the stop.
        heap.clearing.store(1, Ordering::Relaxed);
    }
}

#[test]
fn loom_mutant_says_late() {
    caught("I1: what was found is dead", || no_dead_object_is_shown::<SaysLate>(true));
}
