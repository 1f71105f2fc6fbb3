//! Awaited mark bytes under the model checker, whole and with one part broken: a value that waits for
//! its key is marked in the end, if the key is.
//!
//! There are one key and two values. The first waits for the key in the table; the second is that of an
//! ephemeron that a worker traces meanwhile. Workers mark the key, as an edge or as a neighbour; one
//! that finds that it was awaited marks the values of the table. When all are done one worker goes on
//! alone: it looks at what is pending. The table has a lock, as the collector's has.
//!
//! A [`Steps`] is the protocol as the workers use it. A mutant is a `Steps` in which one step lacks one
//! line.

use std::marker::PhantomData;
use std::sync::Arc;

use heap_sync::lock::Mutex;
use heap_sync::model::check;
use heap_sync::thread::{JoinHandle, spawn};

use crate::mark_byte::{Color, Found, MarkByte};

/// The steps of the protocol.
trait Steps: 'static {
    /// Whether who marks an awaited object says so, as an edge and as a neighbour (EP1).
    const SAYS_EDGE: bool = true;
    const SAYS_NEIGHBOUR: bool = true;
    /// Whether the table stays as it is while several workers mark (EP2).
    const TABLE_STAYS: bool = true;
    /// Whether what is pending is looked at again.
    const LOOKS_AGAIN: bool = true;
}

/// The protocol as it is.
struct Sound;

impl Steps for Sound {}

struct Marking<S> {
    key: MarkByte,
    values: [MarkByte; 2],
    /// Values that wait for the key.
    table: Mutex<Vec<usize>>,
    pending: Mutex<Vec<usize>>,
    steps: PhantomData<fn() -> S>,
}

impl<S: Steps> Marking<S> {
    /// The first value waits for the key, or not yet.
    fn new(is_awaited: bool) -> Arc<Marking<S>> {
        let marking = Arc::new(Marking {
            key: MarkByte::new(Color::White),
            values: [MarkByte::new(Color::White), MarkByte::new(Color::White)],
            table: Mutex::new(Vec::new()),
            pending: Mutex::new(vec![0]),
            steps: PhantomData,
        });
        if is_awaited {
            marking.resolve();
        }
        marking
    }

    /// A worker comes to the key by an edge.
    fn mark_edge(&self) {
        let found = self.key.find();
        if found != Found::Reached {
            self.key.mark_grey();
            if found == Found::Awaited && S::SAYS_EDGE {
                self.wake();
            }
        }
    }

    /// A worker traces the page that the key lies on.
    fn mark_neighbour(&self) {
        if self.key.try_mark_black() == Found::Awaited && S::SAYS_NEIGHBOUR {
            self.wake();
        }
    }

    fn wake(&self) {
        let table = self.table.lock();
        assert!(!table.is_empty(), "EP1: an awaited object without an entry");
        for value in &*table {
            self.values[*value].mark_black();
        }
    }

    /// A worker traces the ephemeron with the second value.
    fn trace(&self) {
        if !self.key.is_white() {
            self.values[1].mark_black();
        } else if S::TABLE_STAYS {
            self.pending.lock().push(1);
        } else {
            self.enter(1);
        }
    }

    fn enter(&self, value: usize) {
        self.table.lock().push(value);
        self.key.await_mark();
    }

    /// A worker that is alone looks at what is pending.
    fn resolve(&self) {
        for value in std::mem::take(&mut *self.pending.lock()) {
            if !S::LOOKS_AGAIN || self.key.is_white() {
                self.enter(value);
            } else {
                self.values[value].mark_black();
            }
        }
    }

    fn spawn(self: &Arc<Self>, run: impl FnOnce(&Self) + 'static) -> JoinHandle<()> {
        let marking = Arc::clone(self);
        spawn(move || run(&marking))
    }

    /// All workers are done.
    fn settle(&self, is_reached: bool) {
        self.resolve();
        assert_eq!(!self.key.is_white(), is_reached, "the mark of the key is lost");
        if is_reached {
            let are_marked = self.values.iter().all(|value| !value.is_white());
            assert!(are_marked, "EP3: a value is lost");
        } else {
            assert_eq!(self.key.color(), Some(Color::Awaited), "EP1");
            assert_eq!(self.table.lock().len(), 2, "EP3");
        }
    }
}

/// One worker comes to the key by an edge, another as a neighbour; a third traces the ephemeron.
fn an_awaited_key_wakes_its_values<S: Steps>(is_awaited: bool) {
    check(move || {
        let marking = Marking::<S>::new(is_awaited);
        let by_edge = marking.spawn(Marking::mark_edge);
        let neighbour = marking.spawn(Marking::mark_neighbour);
        marking.trace();
        by_edge.join().unwrap();
        neighbour.join().unwrap();
        marking.settle(true);
    });
}

/// One worker comes to the key, another traces the ephemeron.
fn one_way_to_an_awaited_key<S: Steps>(mark: fn(&Marking<S>)) {
    check(move || {
        let marking = Marking::<S>::new(true);
        let marker = marking.spawn(mark);
        marking.trace();
        marker.join().unwrap();
        marking.settle(true);
    });
}

#[test]
fn loom_an_awaited_key_wakes_its_values() {
    an_awaited_key_wakes_its_values::<Sound>(true);
}

#[test]
fn loom_a_key_is_reached_while_its_ephemeron_is_traced() {
    an_awaited_key_wakes_its_values::<Sound>(false);
}

#[test]
fn loom_two_edges_lead_to_an_awaited_key() {
    check(|| {
        let marking = Marking::<Sound>::new(true);
        let other = marking.spawn(Marking::mark_edge);
        let tracer = marking.spawn(Marking::trace);
        marking.mark_edge();
        other.join().unwrap();
        tracer.join().unwrap();
        marking.settle(true);
    });
}

#[test]
fn loom_a_key_that_is_not_reached_stays_awaited() {
    check(|| {
        let marking = Marking::<Sound>::new(true);
        let tracer = marking.spawn(Marking::trace);
        tracer.join().unwrap();
        marking.settle(false);
    });
}

// ---- the mutants ----------------------------------------------------------------

/// The table changes while workers run.
struct TableChanges;

impl Steps for TableChanges {
    const TABLE_STAYS: bool = false;
}

#[test]
#[should_panic(expected = "the mark of the key is lost")]
fn loom_mutant_the_table_changes() {
    an_awaited_key_wakes_its_values::<TableChanges>(true);
}

/// A worker that marks an awaited object by an edge does not say so.
struct EdgesAreSilent;

impl Steps for EdgesAreSilent {
    const SAYS_EDGE: bool = false;
}

#[test]
#[should_panic(expected = "EP3: a value is lost")]
fn loom_mutant_edges_are_silent() {
    one_way_to_an_awaited_key::<EdgesAreSilent>(Marking::mark_edge);
}

/// A worker that marks an awaited neighbour does not say so.
struct NeighboursAreSilent;

impl Steps for NeighboursAreSilent {
    const SAYS_NEIGHBOUR: bool = false;
}

#[test]
#[should_panic(expected = "EP3: a value is lost")]
fn loom_mutant_neighbours_are_silent() {
    one_way_to_an_awaited_key::<NeighboursAreSilent>(Marking::mark_neighbour);
}

/// What is pending is entered without another look at its key.
struct EntersBlindly;

impl Steps for EntersBlindly {
    const LOOKS_AGAIN: bool = false;
}

#[test]
#[should_panic(expected = "the mark of the key is lost")]
fn loom_mutant_enters_blindly() {
    an_awaited_key_wakes_its_values::<EntersBlindly>(false);
}
