//! Collections in several steps, between which the program changes what is not marked
//! yet: nothing that it can reach is lost, and what it cannot reach goes in the end.
//!
//! A slice of no length marks one piece of a large object at a time, so that a heap with
//! an array of three pieces is never marked in one step.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use heap_api::{
    AtomicGcCell, BarrierStamp, Config, ContextLeaked, Cx, Gc, GcCell, GcRefCell, GcStack,
    HeaderSlice, Heap, InternSet, Opaque, Root, Share, Trace, VerifyError,
};
use heap_tests::{Counted, Counter, begin_marking};

/// Handles in an array of three pieces.
const MANY: usize = 20_000;

type Child<'gc> = Gc<'gc, Kid<'gc>>;

/// Both it and what it leads to must be found.
#[derive(Trace)]
struct Kid<'gc> {
    counted: Opaque<Counted>,
    leaf: Gc<'gc, Opaque<Counted>>,
}

fn kid<'gc>(cx: &'gc Cx, counter: &Arc<Counter>, id: u64) -> Child<'gc> {
    let leaf = cx.alloc(Opaque(counter.value(id)));
    cx.alloc(Kid { counted: Opaque(counter.value(id)), leaf })
}

fn sliced() -> Config {
    Config::new().mark_slice(Duration::ZERO).min_heap_bytes(256 << 20)
}

fn finish(cx: &mut Cx) {
    while !cx.collect_step() {}
}

/// An object with a child behind one of the cells that can change.
#[derive(Trace)]
enum Owner<'gc> {
    GcCell(GcCell<Option<Child<'gc>>>),
    Atomic(AtomicGcCell<'gc, Kid<'gc>>),
    GcRefCell(GcRefCell<Vec<Child<'gc>>>),
    /// Cells outside the heap, which moves when the lock is open.
    Inner(GcRefCell<Vec<GcCell<Option<Child<'gc>>>>>),
    /// Cells outside the heap that change while nothing else does.
    Boxed(Box<[GcCell<Option<Child<'gc>>>]>),
    /// Slots that are opened at once.
    Opened(Gc<'gc, HeaderSlice<BarrierStamp, GcCell<Option<Child<'gc>>>>>),
    GcStack(GcStack<Child<'gc>>),
    Stacks(GcRefCell<Vec<GcStack<Child<'gc>>>>),
}

type Make = for<'gc> fn(&'gc Cx, Child<'gc>) -> Owner<'gc>;
type Take = for<'gc> fn(&'gc Cx, &Owner<'gc>) -> Option<Child<'gc>>;

fn slot<'gc>(_: &'gc Cx, child: Child<'gc>) -> Owner<'gc> {
    Owner::GcCell(GcCell::new(Some(child)))
}

fn atomic<'gc>(_: &'gc Cx, child: Child<'gc>) -> Owner<'gc> {
    Owner::Atomic(AtomicGcCell::new(Some(child)))
}

fn lock<'gc>(_: &'gc Cx, child: Child<'gc>) -> Owner<'gc> {
    Owner::GcRefCell(GcRefCell::new(vec![child]))
}

fn inner<'gc>(_: &'gc Cx, child: Child<'gc>) -> Owner<'gc> {
    Owner::Inner(GcRefCell::new(vec![GcCell::new(Some(child))]))
}

fn boxed<'gc>(_: &'gc Cx, child: Child<'gc>) -> Owner<'gc> {
    Owner::Boxed(Box::new([GcCell::new(None), GcCell::new(Some(child))]))
}

fn opened<'gc>(cx: &'gc Cx, child: Child<'gc>) -> Owner<'gc> {
    let slot = |i| GcCell::new((i == 1).then_some(child));
    Owner::Opened(cx.try_alloc_header_slice_fn(BarrierStamp::new(), 2, slot).map_err(drop).unwrap())
}

fn pushed<'gc>(cx: &'gc Cx, child: Child<'gc>) -> GcStack<Child<'gc>> {
    let stack = GcStack::new();
    stack.push(cx, child);
    stack
}

fn stack<'gc>(cx: &'gc Cx, child: Child<'gc>) -> Owner<'gc> {
    Owner::GcStack(pushed(cx, child))
}

fn stacks<'gc>(cx: &'gc Cx, child: Child<'gc>) -> Owner<'gc> {
    Owner::Stacks(GcRefCell::new(vec![pushed(cx, child)]))
}

/// All ways to take the child out of an owner so that only the caller has it.
const WAYS: [(&str, Make, Take); 18] = [
    ("GcCell::set", slot, |cx, owner| {
        let Owner::GcCell(slot) = owner else { unreachable!() };
        let child = slot.get();
        slot.set(cx, None);
        child
    }),
    ("GcCell::replace", slot, |cx, owner| {
        let Owner::GcCell(slot) = owner else { unreachable!() };
        slot.replace(cx, None)
    }),
    ("HeaderSlice::open", opened, |cx, owner| {
        let Owner::Opened(slots) = owner else { unreachable!() };
        let cells = slots.open(cx);
        cells[0].swap(&cells[1]);
        cells[0].take()
    }),
    ("HeaderSlice::open, twice", opened, |cx, owner| {
        let Owner::Opened(slots) = owner else { unreachable!() };
        slots.open(cx)[0].swap(&slots.open(cx)[1]);
        slots.open(cx)[0].take()
    }),
    ("AtomicGcCell::set", atomic, |cx, owner| {
        let Owner::Atomic(slot) = owner else { unreachable!() };
        let child = slot.get();
        slot.set(cx, None);
        child
    }),
    ("AtomicGcCell::swap", atomic, |cx, owner| {
        let Owner::Atomic(slot) = owner else { unreachable!() };
        slot.swap(cx, None)
    }),
    ("AtomicGcCell::compare_exchange", atomic, |cx, owner| {
        let Owner::Atomic(slot) = owner else { unreachable!() };
        let child = slot.get();
        assert!(slot.compare_exchange(cx, None, child).is_err());
        assert!(slot.compare_exchange(cx, child, None).is_ok());
        child
    }),
    ("GcRefCell::borrow_mut", lock, |cx, owner| {
        let Owner::GcRefCell(children) = owner else { unreachable!() };
        children.borrow_mut(cx).pop()
    }),
    ("GcRefCell::borrow_mut, twice", lock, |cx, owner| {
        let Owner::GcRefCell(children) = owner else { unreachable!() };
        let child = children.borrow_mut(cx).pop();
        children.borrow_mut(cx).extend(child);
        std::mem::take(&mut *children.borrow_mut(cx)).pop()
    }),
    ("a slot in a lock", inner, |cx, owner| {
        let Owner::Inner(slots) = owner else { unreachable!() };
        let child = slots.borrow()[0].replace(cx, None);
        slots.borrow_mut(cx).clear();
        child
    }),
    ("a lock around a slot", inner, |cx, owner| {
        let Owner::Inner(slots) = owner else { unreachable!() };
        slots.borrow_mut(cx).pop().unwrap().get()
    }),
    ("a slot in a box", boxed, |cx, owner| {
        let Owner::Boxed(slots) = owner else { unreachable!() };
        slots[1].replace(cx, None)
    }),
    ("GcStack::pop", stack, |cx, owner| {
        let Owner::GcStack(stack) = owner else { unreachable!() };
        stack.pop(cx)
    }),
    ("GcStack::truncate", stack, |cx, owner| {
        let Owner::GcStack(stack) = owner else { unreachable!() };
        let child = stack.last();
        stack.truncate(cx, 0);
        child
    }),
    ("GcStack::set", stack, |cx, owner| {
        let Owner::GcStack(stack) = owner else { unreachable!() };
        let child = stack.get(0);
        stack.set(cx, 0, kid(cx, child.unwrap().counted.0.counter(), 7));
        child
    }),
    ("GcStack::try_resize", stack, |cx, owner| {
        let Owner::GcStack(stack) = owner else { unreachable!() };
        let child = stack.last();
        stack.try_resize(cx, 0, child.unwrap()).unwrap();
        child
    }),
    ("GcStack::window", stack, |cx, owner| {
        let Owner::GcStack(stack) = owner else { unreachable!() };
        let other = kid(cx, stack.get(0).unwrap().counted.0.counter(), 7);
        Some(stack.window(cx)[0].replace(other))
    }),
    ("a stack out of a lock", stacks, |cx, owner| {
        let Owner::Stacks(stacks) = owner else { unreachable!() };
        let stack = stacks.borrow_mut(cx).pop().unwrap();
        stack.pop(cx)
    }),
];

#[test]
fn what_a_cell_held_when_marking_began_is_not_lost() {
    for (name, make, take) in WAYS {
        let counter = Counter::new();
        let heap = Heap::new(sliced());
        let mut cx = heap.enter();
        let owners: Root<[Owner<'static>]> = {
            let owners = cx.alloc_slice_fn(MANY, |i| make(&cx, kid(&cx, &counter, i as u64)));
            cx.root(owners)
        };
        println!("{name}");
        begin_marking(&mut cx);
        let taken: Root<[Child<'static>]> = {
            let owners = owners.get(&cx);
            let taken = cx.alloc_slice_fn(MANY, |i| take(&cx, &owners[i]).expect(name));
            cx.root(taken)
        };
        drop(owners);
        finish(&mut cx);
        cx.verify().unwrap();
        for (i, child) in taken.get(&cx).iter().enumerate() {
            let ids = (child.counted.0.id(), child.leaf.0.id());
            assert_eq!(ids, (i as u64, i as u64), "{name}");
        }
        assert_eq!(counter.dropped(), 0, "{name}");
        drop(taken);
        cx.collect();
        cx.verify().unwrap();
        counter.assert_balanced();
    }
}

/// What there is to mark beside the things that a test is about.
fn ballast(cx: &Cx) -> Root<[GcCell<Option<Gc<'static, u64>>>]> {
    cx.root(cx.alloc_slice_fn(MANY, |i| GcCell::new(Some(cx.alloc(i as u64)))))
}

#[test]
fn what_is_made_while_a_marking_is_under_way_lives_until_the_next() {
    #[derive(Trace)]
    struct Pair<'gc> {
        counted: Opaque<Counted>,
        next: GcCell<Option<Gc<'gc, Pair<'gc>>>>,
    }
    let counter = Counter::new();
    let heap = Heap::new(sliced());
    let mut cx = heap.enter();
    let ballast = ballast(&cx);
    // Spans that are partly filled, and half of it garbage.
    let old = {
        let pair = |i| Pair { counted: Opaque(counter.value(i)), next: GcCell::new(None) };
        let old = cx.alloc_slice_fn(1000, |i| {
            let _ = cx.alloc(pair(1));
            cx.alloc(pair(i as u64))
        });
        cx.root(old)
    };
    cx.collect();
    // Sweeps what a step would begin with.
    heap.release_idle();
    let before = counter.made();
    begin_marking(&mut cx);
    {
        let pair = |i, next| Pair { counted: Opaque(counter.value(i)), next: GcCell::new(next) };
        let mut list = None;
        (0..3000).for_each(|i| list = Some(cx.alloc(pair(i, list))));
        // Of these nobody knows.
        (0..3000).for_each(|i| _ = cx.alloc(pair(i, list)));
        (0..100).for_each(|i| _ = cx.alloc([i; 4]));
        // Nor of these: shared slots, and spans of their own.
        (0..1000).for_each(|i| _ = cx.alloc([i as u8; 3]));
        (0..3).for_each(|i| _ = cx.alloc_slice_fn(20_000, |_| Opaque(counter.value(i))));
        // Old objects learn of new ones.
        old.get(&cx).iter().for_each(|old| old.next.set(&cx, list));
    }
    let made = counter.made() - before;
    assert_eq!(made, 3000 + 3000 + 60_000);
    finish(&mut cx);
    cx.verify().unwrap();
    assert_eq!(counter.dropped(), 1000, "half of the old ones");
    for old in &*old.get(&cx) {
        let mut next = old.next.get();
        assert_eq!(next.unwrap().counted.0.id(), 2999);
        next = next.unwrap().next.get();
        assert_eq!(next.unwrap().counted.0.id(), 2998);
    }
    cx.collect();
    cx.verify().unwrap();
    assert_eq!(counter.dropped(), 1000 + 63_000, "what nobody knew of");
    drop((old, ballast));
    cx.collect();
    cx.verify().unwrap();
    counter.assert_balanced();
    let stats = heap.stats();
    assert_eq!(stats.allocated_objects, stats.freed_objects);
}

/// A heap in the middle of a marking, and something that has become garbage since.
fn garbage_during_a_marking(config: Config, then: impl FnOnce(&mut Cx)) {
    let counter = Counter::new();
    let heap = Heap::new(config);
    let mut cx = heap.enter();
    let ballast = ballast(&cx);
    let root = cx.root(cx.alloc(Opaque(counter.value(1))));
    begin_marking(&mut cx);
    drop(root);
    then(&mut cx);
    cx.verify().unwrap();
    counter.assert_balanced();
    drop(ballast);
}

#[test]
fn a_whole_collection_finds_what_has_become_garbage_during_a_marking() {
    garbage_during_a_marking(sliced(), Cx::collect);
}

#[test]
fn a_request_is_not_answered_by_the_marking_that_is_under_way() {
    garbage_during_a_marking(sliced(), |cx| {
        cx.heap().request_collection();
        assert!(cx.should_yield());
        cx.safepoint();
        assert!(!cx.should_yield());
        assert_eq!(cx.heap().stats().collections, 2);
    });
}

#[test]
fn a_request_makes_a_step_that_begins_a_whole_collection() {
    garbage_during_a_marking(sliced(), |cx| {
        finish(cx);
        cx.heap().request_collection();
        assert!(cx.collect_step(), "it is whole");
        assert!(!cx.should_yield());
        assert_eq!(cx.heap().stats().collections, 2);
    });
}

#[test]
fn a_request_in_vain_is_withdrawn() {
    for underway in [false, true] {
        let heap = Heap::new(sliced());
        let mut cx = heap.enter();
        let _ballast = ballast(&cx);
        if underway {
            begin_marking(&mut cx);
        }
        // A thread ends inside (X2).
        let leak = || std::mem::forget(heap.enter());
        cx.park(|| thread::scope(|scope| scope.spawn(leak).join().unwrap()));
        heap.request_collection();
        cx.safepoint();
        assert!(!cx.should_yield(), "under way: {underway}");
    }
}

/// One mutator is refused memory while another one waits for it, with a step in mind.
#[test]
fn who_is_refused_while_a_step_waits_finds_room_too() {
    for underway in [false, true] {
        let heap = Heap::new(Config::new().mark_slice(Duration::ZERO).max_heap_bytes(16 << 20));
        let mut cx = heap.enter();
        let _ballast = ballast(&cx);
        if underway {
            begin_marking(&mut cx);
        }
        let block = vec![0_u8; 1 << 16];
        let room = thread::scope(|scope| {
            let other = scope.spawn(|| heap.enter().collect_step());
            // It has come inside, and waits for us, as far as one can tell.
            while !cx.should_yield() {
                thread::yield_now();
            }
            while cx.try_alloc_slice_copy(&block).is_ok() {}
            cx.safepoint();
            let room = cx.try_alloc_slice_copy(&block).is_ok();
            assert!(cx.park(|| other.join().unwrap()), "it is whole");
            room
        });
        assert!(room, "all of it is garbage; under way: {underway}");
    }
}

#[test]
fn no_collection_is_due_below_the_minimum() {
    let heap = Heap::new(Config::new().mark_slice(Duration::ZERO).min_heap_bytes(8 << 20));
    let mut cx = heap.enter();
    let _ballast = ballast(&cx);
    begin_marking(&mut cx);
    finish(&mut cx);
    assert!(heap.stats().trigger_bytes >= 8 << 20, "{:?}", heap.stats());
}

#[test]
fn every_step_does_something_with_helpers_too() {
    for mark_threads in [0, 1, 2] {
        for slice in [Duration::ZERO, Duration::from_micros(1), Duration::from_micros(30)] {
            let heap = Heap::new(sliced().mark_slice(slice).mark_threads(mark_threads));
            let mut cx = heap.enter();
            let _ballast = ballast(&cx);
            let _roots: Vec<_> = (0..2000_u64).map(|i| cx.root(cx.alloc([i; 4]))).collect();
            let steps = (0..10_000).find(|_| cx.collect_step());
            assert!(steps.is_some(), "{mark_threads} mark_threads, {slice:?}");
            cx.verify().unwrap();
        }
    }
}

#[test]
fn a_refused_allocation_finds_room_at_the_next_safepoint() {
    let config = Config::new().mark_slice(Duration::ZERO).max_heap_bytes(8 << 20);
    garbage_during_a_marking(config, |cx| {
        let (mut refused, block) = (false, vec![0_u8; 1 << 20]);
        for _ in 0..100 {
            if cx.try_alloc_slice_copy(&block).is_err() {
                refused = true;
                cx.safepoint();
                let _ = cx.try_alloc_slice_copy(&block).expect("all of it is garbage");
            }
        }
        assert!(refused);
    });
}

#[test]
fn what_a_weak_table_gives_out_during_a_marking_is_kept() {
    let heap = Heap::new(sliced());
    let mut cx = heap.enter();
    let ballast = ballast(&cx);
    let mut set = InternSet::<str>::new(&heap);
    for i in 0..100 {
        set.insert(&cx, i, cx.alloc_str(&format!("text {i}")));
    }
    begin_marking(&mut cx);
    let find =
        |cx: &Cx, i| set.find(cx, i, |text| *text == *format!("text {i}")).map(|t| cx.root(t));
    let kept: Vec<Root<str>> = (0..50).map(|i| find(&cx, i).unwrap()).collect();
    finish(&mut cx);
    assert_eq!(set.len(&cx), 50);
    cx.verify().unwrap();
    for (i, root) in kept.iter().enumerate() {
        assert_eq!(*root.get(&cx), *format!("text {i}"));
    }
    drop(kept);
    cx.collect();
    assert_eq!(set.len(&cx), 0);
    drop(ballast);
}

/// Roots are visited a few at a time. What a root held when marking began is marked, though it holds
/// something else, or is gone, when its turn comes.
#[test]
fn what_a_root_held_when_marking_began_is_not_lost() {
    let counter = Counter::new();
    let heap = Heap::new(sliced());
    let mut cx = heap.enter();
    #[derive(Trace)]
    struct Keeper<'gc>(GcCell<Option<Child<'gc>>>);
    let count = 5000;
    let mut roots: Vec<Root<Kid<'static>>> =
        (0..count).map(|i| cx.root(kid(&cx, &counter, i))).collect();
    begin_marking(&mut cx);
    let keepers: Vec<Root<Keeper<'static>>> = roots
        .iter()
        .map(|root| cx.root(cx.alloc(Keeper(GcCell::new(Some(root.get(&cx)))))))
        .collect();
    // Whose turn is when: some are dropped from the front, some from the back, some change.
    let other = cx.root(kid(&cx, &counter, count));
    let mut steps = 0;
    while !roots.is_empty() {
        drop(roots.pop());
        drop((!roots.is_empty()).then(|| roots.remove(0)));
        if let Some(root) = roots.first_mut() {
            *root = other.clone();
        }
        if roots.len().is_multiple_of(1000) {
            steps += u32::from(!cx.collect_step());
        }
    }
    assert!(steps > 0, "marking was under way meanwhile");
    finish(&mut cx);
    cx.verify().unwrap();
    assert_eq!(counter.dropped(), 0);
    for (i, keeper) in keepers.iter().enumerate() {
        let kid = keeper.get(&cx).0.get().unwrap();
        assert_eq!((kid.counted.0.id(), kid.leaf.0.id()), (i as u64, i as u64));
    }
    drop((keepers, other));
    cx.collect();
    counter.assert_balanced();
}

/// A weak table is cleared a few entries at a time. In between it shows none that are dead; what is
/// inserted stays, also if the table grows.
#[test]
fn a_weak_table_shows_nothing_dead_while_it_is_cleared() {
    let heap = Heap::new(sliced());
    let mut cx = heap.enter();
    let count = 10_000;
    let text = |i: u32| format!("a long enough text {i}");
    let find = |cx: &Cx, set: &InternSet<str>, i| {
        set.find(cx, i, |found| *found == *text(i)).map(|found| cx.root(found))
    };
    for growth in [0, 3 * count] {
        let mut set = InternSet::<str>::new(&heap);
        let (mut kept, mut others) = (Vec::new(), Vec::new());
        for i in 0..count {
            let made = cx.alloc_str(&text(i));
            set.insert(&cx, i, made);
            if i % 100 == 0 {
                kept.push(cx.root(made));
            }
        }
        let mut steps_between = 0;
        while !cx.collect_step() {
            if set.len(&cx) < count as usize + others.len() {
                // Dead entries are being removed.
                steps_between += 1;
                for i in 0..count {
                    assert_eq!(find(&cx, &set, i).is_some(), i % 100 == 0, "{i}");
                }
                for i in count..count + growth {
                    if steps_between == 1 {
                        let made = cx.alloc_str(&text(i));
                        set.insert(&cx, i, made);
                        others.push(cx.root(made));
                    }
                    assert!(find(&cx, &set, i).is_some(), "{i}");
                }
                // A table that is made meanwhile.
                let mut new = InternSet::<str>::new(&heap);
                new.insert(&cx, 1, cx.alloc_str("new"));
                assert!(new.find(&cx, 1, |found| found == "new").is_some());
                if steps_between > 3 {
                    break;
                }
            }
        }
        assert!(steps_between > 0, "the table was cleared in steps");
        finish(&mut cx);
        cx.verify().unwrap();
        assert_eq!(set.len(&cx), kept.len() + others.len());
        drop((kept, others));
        cx.collect();
        assert_eq!(set.len(&cx), 0);
    }
}

/// For several threads: what the array leads to leads to an object of another type, and
/// that to a third. So they share no pages: what is lost is not found by its neighbour.
#[derive(Trace, Share)]
struct Holder<'gc>(AtomicGcCell<'gc, Node<'gc>>);

#[derive(Trace, Share)]
struct Node<'gc> {
    id: u64,
    leaf: AtomicGcCell<'gc, Leaf>,
}

#[derive(Trace, Share)]
struct Leaf(u64);

type Holders = Root<[Gc<'static, Holder<'static>>]>;
type Nodes = Root<[Gc<'static, Node<'static>>]>;

fn holders(cx: &Cx) -> Holders {
    let holder = |i| {
        let leaf = AtomicGcCell::new(Some(cx.alloc(Leaf(i))));
        cx.alloc(Holder(AtomicGcCell::new(Some(cx.alloc(Node { id: i, leaf })))))
    };
    cx.root(cx.alloc_slice_fn(MANY, |i| holder(i as u64)))
}

/// Takes a part of what the holders hold.
fn take(cx: &Cx, holders: &Holders, part: usize, parts: usize) -> Nodes {
    let holders = holders.get(cx);
    let take = |i: usize| holders[i * parts + part].0.swap(cx, None).unwrap();
    cx.root(cx.alloc_slice_fn(MANY / parts, take))
}

fn check_taken(cx: &Cx, taken: &Nodes, part: usize, parts: usize) {
    for (i, node) in taken.get(cx).iter().enumerate() {
        let id = (i * parts + part) as u64;
        assert_eq!((node.id, node.leaf.get().unwrap().0), (id, id));
    }
}

/// What is looked for is not there, but what was looked at leads to something.
#[test]
fn what_a_weak_table_shows_during_a_marking_is_kept() {
    let counter = Counter::new();
    let heap = Heap::new(sliced());
    let mut cx = heap.enter();
    let ballast = ballast(&cx);
    let mut set = InternSet::<Kid<'static>>::new(&heap);
    set.insert(&cx, 1, kid(&cx, &counter, 7));
    #[derive(Trace)]
    struct Holder<'gc>(GcCell<Option<Gc<'gc, Opaque<Counted>>>>);
    let holder: Root<Holder<'static>> = cx.root(cx.alloc(Holder(GcCell::new(None))));
    begin_marking(&mut cx);
    let mut seen = None;
    let found = set.find(&cx, 1, |kid| {
        seen = Some(kid.leaf);
        false
    });
    assert!(found.is_none());
    holder.get(&cx).0.set(&cx, seen);
    finish(&mut cx);
    cx.verify().unwrap();
    assert_eq!(holder.get(&cx).0.get().unwrap().0.id(), 7);
    assert_eq!(counter.dropped(), 0);
    drop((holder, ballast));
    cx.collect();
    cx.verify().unwrap();
    counter.assert_balanced();
}

#[test]
fn mutators_may_come_and_go_during_a_marking() {
    let heap = Heap::new(sliced());
    let mut cx = heap.enter();
    let holders = holders(&cx);
    begin_marking(&mut cx);
    let taken: Vec<Nodes> = cx.park(|| {
        thread::scope(|scope| {
            let take = |part| {
                let (heap, holders) = (&heap, &holders);
                scope.spawn(move || take(&heap.enter(), holders, part, 4))
            };
            let threads: Vec<_> = (0..4).map(take).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    });
    finish(&mut cx);
    cx.verify().unwrap();
    taken.iter().enumerate().for_each(|(part, taken)| check_taken(&cx, taken, part, 4));
}

#[test]
fn a_mutator_that_stood_aside_knows_of_the_marking() {
    let heap = Heap::new(sliced());
    let mut cx = heap.enter();
    let holders = holders(&cx);
    let (ready, begin) = mpsc::channel();
    let taken = thread::scope(|scope| {
        let other = scope.spawn(|| {
            let mut cx = heap.enter();
            ready.send(()).unwrap();
            while heap.stats().steps == 0 {
                cx.safepoint();
            }
            take(&cx, &holders, 0, 1)
        });
        begin.recv().unwrap();
        begin_marking(&mut cx);
        cx.park(|| other.join().unwrap())
    });
    finish(&mut cx);
    cx.verify().unwrap();
    check_taken(&cx, &taken, 0, 1);
}

#[test]
fn a_marking_that_can_never_end_harms_nobody() {
    let heap = Heap::new(sliced());
    let mut cx = heap.enter();
    let ballast = ballast(&cx);
    begin_marking(&mut cx);
    // A thread ends inside (X2).
    cx.park(|| {
        thread::scope(|scope| scope.spawn(|| std::mem::forget(heap.enter())).join().unwrap())
    });
    cx.collect();
    assert!(cx.collect_step(), "nothing will come of it");
    for i in 0..MANY {
        ballast.get(&cx)[i].set(&cx, Some(cx.alloc(i as u64)));
        cx.safepoint();
    }
    assert_eq!(cx.verify(), Err(VerifyError::Unchecked(ContextLeaked)));
    assert!((0..MANY).all(|i| ballast.get(&cx)[i].get().is_some_and(|value| *value == i as u64)));
    assert_eq!(heap.stats().collections, 0);
}

#[test]
fn due_collections_are_done_in_slices_and_end() {
    for mark_threads in [0, 2] {
        let config = Config::new().mark_slice(Duration::ZERO).mark_threads(mark_threads);
        let heap = Heap::new(config.min_heap_bytes(1 << 20));
        let mut cx = heap.enter();
        let ballast = ballast(&cx);
        for i in 0..2_000_000_u64 {
            let value = cx.alloc(i);
            if i % 64 == 0 {
                ballast.get(&cx)[i as usize % MANY].set(&cx, Some(value));
            }
            cx.safepoint();
        }
        let stats = heap.stats();
        // Sixteen megabytes were allocated; a quarter of one lives, beside an array. With
        // helpers a step may be all there is left.
        assert!(stats.collections >= 3, "{stats:?}");
        assert!(stats.steps >= 2 * stats.collections, "{stats:?}");
        assert!(stats.heap_bytes_max < 6 << 20, "{stats:?}");
        cx.verify().unwrap();
    }
}

#[test]
fn a_heap_far_from_its_limit_is_marked_in_slices_from_the_first() {
    let config = Config::new().mark_slice(Duration::ZERO).max_heap_bytes(1 << 30);
    let heap = Heap::new(config.min_heap_bytes(1 << 20));
    let mut cx = heap.enter();
    let _ballast = ballast(&cx);
    let block = vec![0_u8; 1 << 20];
    while heap.stats().collections == 0 {
        cx.alloc_slice_copy(&block);
        cx.safepoint();
    }
    assert!(heap.stats().steps >= 2, "{:?}", heap.stats());
}

#[test]
fn a_heap_near_its_limit_is_marked_whole() {
    let heap = Heap::new(Config::new().mark_slice(Duration::ZERO).max_heap_bytes(16 << 20));
    let mut cx = heap.enter();
    let _ballast = ballast(&cx);
    begin_marking(&mut cx);
    finish(&mut cx);
    let block = vec![0_u8; 1 << 20];
    let mut kept = Vec::new();
    while heap.stats().live_bytes <= 14 << 20 {
        kept.push(cx.root(cx.alloc_slice_copy(&block)));
    }
    assert!(cx.collect_step(), "an eighth of the limit is left");
}

#[test]
fn a_due_safepoint_completes_what_steps_have_begun() {
    // Without slices of its own: steps take a millisecond.
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    let mut kept = Vec::new();
    let before = loop {
        kept.extend((0..20).map(|_| ballast(&cx)));
        let before = heap.stats();
        if !cx.collect_step() {
            break before;
        }
    };
    while !cx.should_yield() {
        let _ = cx.alloc([0_u64; 4]);
    }
    cx.safepoint();
    let stats = heap.stats();
    assert_eq!(stats.collections, before.collections + 1);
    assert_eq!(stats.steps, before.steps + 2);
}

#[test]
fn a_step_of_a_small_heap_is_a_collection() {
    let heap = Heap::new(Config::new().mark_slice(Duration::from_secs(1)));
    let mut cx = heap.enter();
    let root = cx.root(cx.alloc(1_u64));
    assert!(cx.collect_step());
    assert_eq!((heap.stats().collections, heap.stats().steps), (1, 1));
    assert_eq!(*root.get(&cx), 1);
}

/// What comes before a mark phase is divided as well: memory is put behind mark bytes, a mebibyte of
/// the heap at a time, and not again.
#[test]
fn mark_bytes_are_made_ready_in_steps() {
    let heap = Heap::new(sliced());
    let mut cx = heap.enter();
    let mebibytes = 16;
    let kept: Vec<Root<[u64]>> =
        (0..mebibytes * 16).map(|_| cx.root(cx.alloc_slice_fn(8192, |i| i as u64))).collect();
    let steps_before = |cx: &mut Cx| {
        let steps = heap.stats().steps;
        let before =
            (0..).take_while(|_| !cx.collect_step() && heap.stats().steps == steps).count();
        while heap.stats().steps == steps || !cx.collect_step() {}
        before
    };
    let first = steps_before(&mut cx);
    assert!((mebibytes - 2..=mebibytes + 2).contains(&first), "{first}");
    // Sweeps what a step would begin with.
    heap.release_idle();
    assert!(steps_before(&mut cx) <= 1);
    assert_eq!(kept[7].get(&cx)[8191], 8191);
    cx.verify().unwrap();
}

/// Roots that come and go, or only come, while roots are visited do not put the end off.
#[test]
fn the_visit_of_roots_ends_whatever_roots_do_meanwhile() {
    for stay in [false, true] {
        let heap = Heap::new(sliced());
        let mut cx = heap.enter();
        let first = cx.root(cx.alloc(7_u64));
        let old: Vec<Root<u64>> = (0..5000).map(|_| cx.root(first.get(&cx))).collect();
        let mut more = Vec::new();
        begin_marking(&mut cx);
        let is_done = (0..1000).any(|_| {
            more.extend((0..1000).map(|_| cx.root(first.get(&cx))));
            if !stay {
                more.clear();
            }
            cx.collect_step()
        });
        assert!(is_done, "stay: {stay}");
        cx.verify().unwrap();
        drop((old, more));
    }
}
