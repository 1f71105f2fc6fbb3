//! The queue of a registry of finalizers under the model checker, while a mark phase in two stops visits
//! it, whole and with one part broken.
//!
//! Three registrations stand in the queue. The collector visits two in one stop, and the rest in a
//! second one; what it visits it marks. Two mutators take all of them, before, in between, or after,
//! and mark what they take in between. What a mutator has taken in between must
//! be marked, and so must what no mutator takes; each registration comes out once (FI2, FI3).
//!
//! The gate, the registry and its lock are the real ones. A [`Steps`] is the protocol as its parties use
//! it. A mutant is a `Steps` in which one step lacks one line.

use std::marker::PhantomData;
use std::num::NonZero;
use std::ptr::NonNull;
use std::sync::Arc;

use heap_core::mark_byte::{Color, MarkByte};
use heap_sync::atomic::{AtomicU64, Ordering};
use heap_sync::model::{caught, check_bounded};
use heap_sync::thread::spawn;

use super::{FinalizerRegistry, Finalizers};
use crate::gate::{Gate, MutatorState, WorldStopped};
use crate::mark::Seeds;

/// The steps of the protocol.
trait Steps: Sized + 'static {
    /// Whether what is taken is marked (FI3).
    const TAKES_MARKED: bool = true;
    /// Whether the mark phase visits what stood in the queue when it began.
    const VISITS: bool = true;
}

/// The protocol as it is.
struct Sound;

impl Steps for Sound {}

const REGISTERED: usize = 3;

struct Heap<S> {
    gate: Gate,
    marking: AtomicU64,
    mutators: [MutatorState; 2],
    finalizers: Arc<Finalizers>,
    registry: FinalizerRegistry,
    marks: [MarkByte; REGISTERED],
    steps: PhantomData<fn() -> S>,
}

/// An address that is not followed.
fn object(index: usize) -> NonNull<u8> {
    NonNull::without_provenance(NonZero::new(index + 1).expect("not zero"))
}

fn index(object: NonNull<u8>) -> usize {
    object.addr().get() - 1
}

impl<S: Steps> Heap<S> {
    fn new() -> Arc<Heap<S>> {
        let finalizers = Arc::new(Finalizers::default());
        let registry = FinalizerRegistry::new(&finalizers);
        for at in 0..REGISTERED {
            // SAFETY: nothing in this model follows the address.
            unsafe { registry.try_register(object(at)) }.expect("memory");
        }
        registry.enqueue_all(|_| {});
        Arc::new(Heap {
            gate: Gate::default(),
            marking: AtomicU64::new(0),
            mutators: Default::default(),
            finalizers,
            registry,
            marks: std::array::from_fn(|_| MarkByte::new(Color::White)),
            steps: PhantomData,
        })
    }

    /// A mutator takes some. Says also whether it has done so while marking was under way.
    fn take(&self, me: usize, count: usize) -> (Vec<usize>, bool) {
        self.gate.enter(&self.mutators[me]);
        // B2.
        let is_marking = self.marking.load(Ordering::Relaxed) != 0;
        let taken: Vec<_> = (0..count).filter_map(|_| self.registry.take()).map(index).collect();
        if is_marking && S::TAKES_MARKED {
            for taken in &taken {
                self.marks[*taken].try_mark_black();
            }
        }
        self.gate.leave(&self.mutators[me]);
        (taken, is_marking)
    }

    /// A stop of the world.
    fn stop(&self, act: impl FnOnce(WorldStopped<'_>)) {
        let collector = self.gate.claim();
        // SAFETY: the mutators of the model.
        let world = unsafe { collector.raise().wait(self.mutators.iter()) };
        act(world.expect("no context is leaked"));
    }

    /// Visits a part of the queue.
    fn visit(&self) -> Seeds {
        self.finalizers.visit_some(&mut |object| {
            self.marks[index(object)].try_mark_black();
        })
    }

    fn collect(&self) {
        self.stop(|world| {
            if S::VISITS {
                self.finalizers.begin_visit();
            }
            let _ = self.visit();
            self.marking.store(1, Ordering::Relaxed);
            drop(world);
        });
        self.stop(|world| {
            while self.visit() == Seeds::More {}
            self.marking.store(0, Ordering::Relaxed);
            drop(world);
        });
    }
}

fn what_is_queued_is_marked<S: Steps>() {
    check_bounded(2, || {
        let heap = Heap::<S>::new();
        let others = [0, 1].map(|me| {
            let heap = Arc::clone(&heap);
            spawn(move || heap.take(me, 1 + me))
        });
        heap.collect();
        let mut times = [0; REGISTERED];
        for (taken, is_marking) in others.map(|other| other.join().unwrap()) {
            for taken in taken {
                times[taken] += 1;
                let is_marked = !heap.marks[taken].is_white();
                assert!(!is_marking || is_marked, "FI3: what was taken is dead");
            }
        }
        assert_eq!(times, [1; REGISTERED], "FI2: how often each came out");
        assert!(!heap.finalizers.any_queued());
    });
}

#[test]
fn loom_what_is_queued_is_marked() {
    what_is_queued_is_marked::<Sound>();
}

/// Does not mark what it takes.
struct TakesWhite;

impl Steps for TakesWhite {
    const TAKES_MARKED: bool = false;
}

#[test]
fn loom_mutant_takes_white() {
    caught("FI3: what was taken is dead", what_is_queued_is_marked::<TakesWhite>);
}

/// Does not visit what stands in the queue.
struct VisitsNothing;

impl Steps for VisitsNothing {
    const VISITS: bool = false;
}

/// The queue alone: no mutator takes from it.
fn what_waits_is_marked<S: Steps>() {
    check_bounded(2, || {
        let heap = Heap::<S>::new();
        heap.collect();
        let (left, _) = heap.take(0, REGISTERED);
        assert_eq!(left, [2, 1, 0], "FI4");
        let are_marked = left.iter().all(|left| !heap.marks[*left].is_white());
        assert!(are_marked, "FI3: what is queued is dead");
    });
}

#[test]
fn loom_what_waits_is_marked() {
    what_waits_is_marked::<Sound>();
}

#[test]
fn loom_mutant_visits_nothing() {
    caught("FI3: what is queued is dead", what_waits_is_marked::<VisitsNothing>);
}
