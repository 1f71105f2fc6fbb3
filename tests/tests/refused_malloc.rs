//! What grows with the program outside the heap (roots, locals, weak tables) reports refused memory
//! to its caller: an allocator refuses the n-th request, for every n of a workload. Collections do
//! without: there it refuses the n-th, or all of them.

#![allow(unsafe_code, reason = "a test allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr;
use std::rc::Rc;
use std::time::Duration;

use heap_api::{
    Config, Cx, Ephemeron, Finalizers, Gc, GcCell, GcStack, Heap, InternSet, OutOfMemory, Root,
    Trace, WeakRoot,
};
use heap_tests::begin_marking;

thread_local! {
    /// Requests of this thread until the one that is refused; the allocator refuses nothing if it
    /// is zero.
    static UNTIL_REFUSED: Cell<usize> = const { Cell::new(0) };
    /// Whether all requests of this thread are refused.
    static REFUSES_ALL: Cell<bool> = const { Cell::new(false) };
    /// How many were refused.
    static REFUSED: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator; refuses a request when it is told to.
struct Refusing;

impl Refusing {
    fn refuses(&self) -> bool {
        let left = UNTIL_REFUSED.get();
        UNTIL_REFUSED.set(left.saturating_sub(1));
        let refuses = left == 1 || REFUSES_ALL.get();
        REFUSED.set(REFUSED.get() + usize::from(refuses));
        refuses
    }
}

// SAFETY: as the system's allocator; a null pointer says that memory is refused.
unsafe impl GlobalAlloc for Refusing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if self.refuses() {
            return ptr::null_mut();
        }
        // SAFETY: forwarded from the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: forwarded from the caller.
        unsafe { System.dealloc(at, layout) };
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if self.refuses() {
            return ptr::null_mut();
        }
        // SAFETY: forwarded from the caller.
        unsafe { System.realloc(at, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Refusing = Refusing;

/// Runs `work` with the n-th request refused. Whether it came to that one.
fn refusing<R>(nth: usize, work: impl FnOnce() -> R) -> (R, bool) {
    UNTIL_REFUSED.set(nth);
    let result = work();
    (result, UNTIL_REFUSED.replace(0) == 0)
}

/// Runs `work` with all requests refused. How many there were.
fn refusing_all(work: impl FnOnce()) -> usize {
    let before = REFUSED.get();
    REFUSES_ALL.set(true);
    work();
    REFUSES_ALL.set(false);
    REFUSED.get() - before
}

/// Repeats `work` with a later and later request refused, until it makes fewer. `work` does the
/// same each time, and returns the first error it met.
fn at_every_request(mut work: impl FnMut(usize) -> (Result<(), OutOfMemory>, bool)) {
    let mut refused = 0;
    for nth in 1.. {
        let (result, came_to_it) = work(nth);
        assert_eq!(result.is_err(), came_to_it, "request {nth}");
        if !came_to_it {
            break;
        }
        assert_eq!(result, Err(OutOfMemory::System));
        refused += 1;
    }
    assert!(refused > 3, "{refused}");
}

const COUNT: usize = 3000;

#[test]
fn roots_report_refused_memory() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    at_every_request(|nth| {
        let mut roots: Vec<Root<u64>> = Vec::with_capacity(2 * COUNT);
        let object = cx.alloc(nth as u64);
        let (result, came_to_it) = refusing(nth, || {
            for _ in 0..COUNT {
                let root = cx.try_root(object)?;
                let mut copy = root.try_clone()?;
                copy.try_set(&cx, object)?;
                roots.extend([root, copy]);
            }
            Ok(())
        });
        cx.collect();
        cx.verify().unwrap();
        assert!(roots.iter().all(|root| *root.get(&cx) == nth as u64));
        (result, came_to_it)
    });
}

#[test]
fn locals_report_refused_memory() {
    let heap = Heap::new(Config::new());
    at_every_request(|nth| {
        // A new context, whose stack has not grown yet.
        let mut cx = heap.enter();
        cx.scope(|scope| {
            let mut locals = Vec::with_capacity(COUNT);
            let object = scope.keep(scope.alloc(7_u64));
            let (result, came_to_it) = refusing(nth, || {
                for _ in 0..COUNT {
                    locals.push(scope.try_keep(object.get(scope))?);
                }
                Ok(())
            });
            scope.collect();
            assert!(locals.iter().all(|local| *local.get(scope) == 7));
            (result, came_to_it)
        })
    });
}

fn text(i: usize) -> String {
    format!("a long enough text {i}")
}

fn intern<'gc>(
    cx: &'gc Cx,
    set: &mut InternSet<str>,
    texts: &[Gc<'gc, str>],
) -> Result<(), OutOfMemory> {
    for (i, text) in texts.iter().enumerate() {
        set.try_find_or_insert(cx, i as u32, |found| *found == **text, || Ok(*text))?;
    }
    Ok(())
}

#[test]
fn weak_tables_report_refused_memory() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    let texts: Vec<String> = (0..COUNT).map(text).collect();
    at_every_request(|nth| {
        let mut set = InternSet::<str>::new(&heap);
        let objects: Vec<_> = texts.iter().map(|text| cx.alloc_str(text)).collect();
        let (result, came_to_it) = refusing(nth, || intern(&cx, &mut set, &objects));
        drop(objects);
        let there = set.len(&cx);
        assert_eq!(there == COUNT, result.is_ok());
        for (i, text) in texts.iter().enumerate() {
            let found = set.find(&cx, i as u32, |found| *found == **text);
            assert_eq!(found.is_some(), i < there, "{i}");
        }
        cx.collect();
        assert_eq!(set.len(&cx), 0);
        (result, came_to_it)
    });
}

/// Also while roots are visited in slices, when a root that was not visited is noted before it goes.
#[test]
fn to_drop_a_root_takes_no_memory() {
    let config = Config::new().mark_slice(std::time::Duration::ZERO).min_heap_bytes(256 << 20);
    let heap = Heap::new(config);
    let mut cx = heap.enter();
    let object = cx.root(cx.alloc(7_u64));
    for nth in 1..20 {
        let mut roots: Vec<Root<u64>> = (0..COUNT).map(|_| cx.root(object.get(&cx))).collect();
        begin_marking(&mut cx);
        let ((), came_to_it) = refusing(nth, || {
            // From both ends, so that blocks move.
            while let Some(root) = roots.pop() {
                drop(root);
                drop((!roots.is_empty()).then(|| roots.swap_remove(0)));
            }
        });
        assert!(!came_to_it, "request {nth}");
        while !cx.collect_step() {}
        cx.verify().unwrap();
    }
}

#[test]
fn weak_handles_and_finalizers_report_refused_memory() {
    /// Fewer than there are cells in a span: sets of full spans take memory that cannot be refused.
    const FEW: usize = 300;
    at_every_request(|nth| {
        let heap = Heap::new(Config::new());
        let mut cx = heap.enter();
        let _ = cx.alloc([0_u64; 2]).downgrade(&cx);
        let finalizers = Finalizers::<[u64]>::new(&heap);
        let mut handles: Vec<WeakRoot<[u64]>> = Vec::with_capacity(FEW);
        let (result, came_to_it) = {
            let objects: Vec<_> = (0..FEW).map(|i| cx.alloc_slice_copy(&[i as u64; 2])).collect();
            let (result, came_to_it) = refusing(nth, || {
                for object in &objects {
                    handles.push(cx.try_weak_root(*object)?);
                    finalizers.try_register(&cx, *object)?;
                }
                Ok(())
            });
            for (handle, object) in handles.iter().zip(&objects) {
                assert!(handle.upgrade(&cx).is_some_and(|found| found.ptr_eq(*object)));
            }
            (result, came_to_it)
        };
        let registered = finalizers.registered_len();
        assert!(registered == handles.len() || registered + 1 == handles.len());
        cx.collect();
        cx.verify().unwrap();
        assert!(handles.iter().all(|handle| handle.upgrade(&cx).is_none()));
        assert_eq!(finalizers.queue_len(), registered);
        (result, came_to_it)
    });
}

#[test]
fn samples_are_lost_and_objects_are_not() {
    const SAMPLES: usize = 200;
    let mut lost = 0;
    for nth in 1.. {
        let heap = Heap::new(Config::new().sample_bytes(1));
        let mut cx = heap.enter();
        // Takes the span; the others find it.
        cx.alloc([0_usize; 4]);
        let functions: Vec<String> = (0..SAMPLES / 2).map(|n| format!("function {n}")).collect();
        let called = Rc::new(Cell::new(0));
        let at = Rc::clone(&called);
        cx.set_stack_hook(move |_, frames| {
            let n = at.get();
            frames.push(&functions[n % functions.len()], "file", n as u32);
            frames.push("main", "file", 1);
        });
        let (result, came_to_it) = refusing(nth, || {
            for n in 0..SAMPLES {
                called.set(n);
                cx.try_alloc([n; 4]).map_err(|error| error.reason)?;
            }
            Ok::<(), OutOfMemory>(())
        });
        if !came_to_it {
            break;
        }
        let profile = heap.allocation_profile().expect("it samples");
        assert_eq!(result.is_ok(), profile.lost_samples == 1, "request {nth}: {result:?}");
        lost += profile.lost_samples;
        cx.verify().unwrap();
        cx.collect();
        cx.verify().unwrap();
    }
    assert!(lost > 10, "{lost}");
}

// ---- collections ---------------------------------------------------------------

#[derive(Trace)]
struct Node<'gc> {
    id: usize,
    next: GcCell<Option<Gc<'gc, Node<'gc>>>>,
}

type Cells<'gc> = [GcCell<Option<Gc<'gc, Node<'gc>>>>];
type Note<'gc> = Ephemeron<'gc, Node<'gc>, Gc<'gc, Node<'gc>>>;

#[derive(Trace)]
struct Stacked<'gc> {
    stack: GcStack<Option<Gc<'gc, Node<'gc>>>>,
}

/// A heap with some of everything that marking makes notes of.
struct Everything {
    /// An array of several pieces. Each object leads to another on another page.
    array: Root<Cells<'static>>,
    stacked: Root<Stacked<'static>>,
    /// The key of the last one is rooted, and each value is the key of the one before: then come some
    /// with dead keys.
    table: Root<[Note<'static>]>,
    first: Root<Node<'static>>,
    /// Objects of their own with dead keys.
    singles: Root<[Gc<'static, Note<'static>>]>,
    finalizers: Finalizers<Node<'static>>,
    weak: WeakRoot<Node<'static>>,
}

const NODES: usize = 10_000;
const CHAIN: usize = 200;
const DEAD: usize = 50;

fn node<'gc>(cx: &'gc Cx, id: usize) -> Gc<'gc, Node<'gc>> {
    cx.alloc(Node { id, next: GcCell::new(None) })
}

impl Everything {
    fn new(heap: &Heap, cx: &Cx) -> Everything {
        let nexts = cx.alloc_slice_fn(NODES, |i| GcCell::new(Some(node(cx, i))));
        let array = cx.alloc_slice_fn(NODES, |i| {
            let own = node(cx, i);
            own.next.set(cx, nexts[i * 7919 % NODES].get());
            GcCell::new(Some(own))
        });
        let stacked = cx.alloc(Stacked { stack: GcStack::new() });
        (0..NODES).for_each(|i| stacked.stack.push(cx, Some(node(cx, i))));
        let keys: Vec<_> = (0..=CHAIN).map(|i| node(cx, i)).collect();
        let table = cx.alloc_ephemerons(CHAIN + DEAD);
        for (i, ephemeron) in table.iter().enumerate() {
            match CHAIN.checked_sub(i) {
                Some(key @ 1..) => ephemeron.set(cx, keys[key], keys[key - 1]),
                _ => ephemeron.set(cx, node(cx, i), node(cx, i)),
            }
        }
        let single = |i| cx.alloc_ephemeron(node(cx, i), node(cx, i));
        let singles = cx.alloc_slice_fn(DEAD, single);
        let finalizers = Finalizers::new(heap);
        (0..DEAD).for_each(|i| finalizers.register(cx, node(cx, i)));
        Everything {
            array: cx.root(array),
            stacked: cx.root(stacked),
            table: cx.root(table),
            first: cx.root(keys[CHAIN]),
            singles: cx.root(singles),
            finalizers,
            weak: cx.weak_root(node(cx, 1)),
        }
    }

    /// Takes out of cells what only they held, in a mark phase. It needs no memory.
    fn change(&self, cx: &Cx, round: usize) -> usize {
        let (array, stacked) = (self.array.get(cx), self.stacked.get(cx));
        let (a, b) = (round * 31 % NODES, round * 17 % NODES);
        let other = array[b].get();
        array[b].set(cx, array[a].get());
        array[a].set(cx, other);
        let top = stacked.stack.get(a).expect("it is that high");
        stacked.stack.set(cx, a, stacked.stack.get(b).expect("it is that high"));
        stacked.stack.set(cx, b, top);
        1
    }

    /// What is reachable is there, and what is not was forgotten, though perhaps not by the first
    /// collection: what one marks for nothing the next does not.
    fn check(&self, cx: &mut Cx) {
        cx.verify().expect("a sound heap");
        let mut sums = [0; 3];
        for cell in self.array.get(cx).iter() {
            let own = cell.get().expect("never empty");
            sums[0] += own.id;
            sums[1] += own.next.get().expect("never empty").id;
        }
        let stacked = self.stacked.get(cx);
        for at in 0..stacked.stack.len() {
            sums[2] += stacked.stack.get(at).flatten().expect("never empty").id;
        }
        assert_eq!(sums, [NODES * (NODES - 1) / 2; 3]);
        let table = self.table.get(cx);
        let mut key = self.first.get(cx);
        for (i, ephemeron) in table.iter().enumerate().take(CHAIN) {
            assert_eq!(key.id, CHAIN - i);
            key = ephemeron.value_of(key).expect("the key is reachable");
        }
        assert!(table[CHAIN..].iter().all(|dead| dead.get(cx).is_none()), "dead keys");
        assert!(self.singles.get(cx).iter().all(|dead| dead.get(cx).is_none()), "dead keys");
        assert!(self.weak.upgrade(cx).is_none());
        let (registered, queued) = (self.finalizers.registered_len(), self.finalizers.queue_len());
        assert_eq!(registered + queued, DEAD, "each is somewhere");
    }
}

fn configurations() -> [(Config, &'static str); 4] {
    let config = Config::new().min_heap_bytes(1 << 30).mark_threads(0);
    [
        (config.clone(), "one worker"),
        (config.clone().mark_slice(Duration::ZERO), "slices"),
        (config.clone().mark_threads(2), "helpers"),
        (config.mark_threads(2).mark_slice(Duration::from_micros(1)), "slices with helpers"),
    ]
}

fn collect(cx: &mut Cx, everything: &Everything, is_sliced: bool) {
    let mut round = 0;
    if is_sliced {
        while !cx.collect_step() {
            round += everything.change(cx, round);
        }
    } else {
        cx.collect();
    }
}

/// The heap's first collection, which starts its threads.
fn warm_up(heap: &Heap, cx: &mut Cx, is_sliced: bool) {
    let everything = Everything::new(heap, cx);
    collect(cx, &everything, is_sliced);
}

/// Everything that a collection notes can do without memory, and so can what mutators note while one
/// is under way.
#[test]
fn a_collection_needs_no_memory() {
    for (config, which) in configurations() {
        let is_sliced = which.starts_with("slices");
        let heap = Heap::new(config);
        let mut cx = heap.enter();
        warm_up(&heap, &mut cx, is_sliced);
        let everything = Everything::new(&heap, &cx);
        let refused = refusing_all(|| collect(&mut cx, &everything, is_sliced));
        assert!(refused > 0, "{which}");
        everything.check(&mut cx);
        // What was put off for want of memory comes now.
        collect(&mut cx, &everything, is_sliced);
        everything.check(&mut cx);
        assert_eq!(everything.finalizers.queue_len(), DEAD, "{which}");
        eprintln!("{which}: {refused} requests refused");
    }
}

/// Whichever collection of the heap it is: what one leaves to the next is moved without memory.
#[test]
fn no_collection_needs_memory() {
    // This thread's record of `crossbeam-epoch`.
    Heap::new(Config::new()).enter().collect();
    for (before, threads) in (0..6).flat_map(|before| [(before, 0), (before, 2)]) {
        // The threads of the heap are not there before its first collection.
        let config = Config::new().min_heap_bytes(1 << 30).mark_threads(threads).sample_bytes(1);
        let heap = Heap::new(config.huge_pages(false).background_sweep(threads > 0));
        let mut cx = heap.enter();
        let everything = Everything::new(&heap, &cx);
        // Records of samples that will be far too many.
        (0..NODES * 8).for_each(|i| _ = node(&cx, i));
        (0..before).for_each(|_| cx.collect());
        refusing_all(|| {
            cx.collect();
            cx.collect();
        });
        everything.check(&mut cx);
    }
}

/// The same, if only one request is refused, and memory is there again.
#[test]
fn a_collection_may_be_refused_any_request() {
    for (config, which) in configurations() {
        let is_sliced = which.starts_with("slices");
        let heap = Heap::new(config);
        let mut cx = heap.enter();
        warm_up(&heap, &mut cx, is_sliced);
        for nth in 1.. {
            let everything = Everything::new(&heap, &cx);
            let ((), came_to_it) = refusing(nth, || collect(&mut cx, &everything, is_sliced));
            everything.check(&mut cx);
            if !came_to_it {
                assert!(nth > 3, "{which}: {nth}");
                break;
            }
        }
    }
}
