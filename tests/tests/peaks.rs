//! A heap costs what there is now, not what there was: what it has from the program's allocator
//! comes back after a peak, of each kind of thing that a program can have many of.

#![allow(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use heap_api::{Config, Cx, Gc, GcCell, Heap, InternSet, Root, Trace};
use heap_tests::begin_marking;

/// Bytes that the program has from its allocator.
static BYTES: AtomicIsize = AtomicIsize::new(0);

struct Counting;

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: forwarded.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: forwarded.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn bytes() -> isize {
    BYTES.load(Ordering::Relaxed)
}

/// One test at a time: they count the same bytes.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Trace)]
struct Node<'gc> {
    next: GcCell<Option<Gc<'gc, Node<'gc>>>>,
    value: u64,
}

/// Runs `peak` in a heap that keeps one small object; says how many bytes the heap has more
/// after the peak than before, and how many at the peak.
///
/// The heap has had as many objects before: what it keeps for them (records of spans, bit maps)
/// is bounded by its size at its largest, and no collection looks at it.
fn left_after(config: Config, peak: impl FnOnce(&mut Cx) -> isize) -> (isize, isize) {
    let heap = Heap::new(config.min_heap_bytes(1 << 30));
    let mut cx = heap.enter();
    let kept: Root<Node<'static>> = cx.root(cx.alloc(Node { next: GcCell::new(None), value: 7 }));
    for i in 0..MANY {
        let _ = cx.alloc(i as u64);
        if i % 8 == 0 {
            let _ = cx.alloc_slice_fn(100, |_| Some(kept.get(&cx)));
        }
    }
    let settle = |cx: &mut Cx| {
        for _ in 0..3 {
            cx.collect();
        }
        // What the queues of marking have freed waits for an epoch to end.
        for _ in 0..1000 {
            cx.park(std::thread::yield_now);
            let _ = cx.alloc_slice_fn(100, |i| i as u64);
        }
        cx.collect();
        heap.release_idle();
        bytes()
    };
    let before = settle(&mut cx);
    let at_peak = peak(&mut cx) - before;
    let after = settle(&mut cx);
    cx.verify().unwrap();
    assert_eq!(kept.get(&cx).value, 7);
    (after - before, at_peak)
}

const MANY: usize = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
/// Tables may keep this much for the next time, and epochs before they free it.
const LITTLE: isize = if cfg!(debug_assertions) { 64 << 10 } else { 192 << 10 };

/// `peak` says how many bytes there were at the peak.
#[track_caller]
fn shrinks(what: &str, config: Config, peak: impl FnOnce(&mut Cx) -> isize) {
    let _alone = alone();
    let (left, at_peak) = left_after(config, peak);
    println!("{what}: {at_peak} bytes at the peak, {left} left");
    assert!(at_peak > 2 * LITTLE, "{what}: no peak, {at_peak}");
    assert!(left <= LITTLE, "{what}: {at_peak} bytes at the peak, {left} left");
}

/// For peaks that nobody sees while they last.
#[track_caller]
fn leaves_little(what: &str, config: Config, peak: impl FnOnce(&mut Cx)) {
    let _alone = alone();
    let (left, _) = left_after(config, |cx| {
        peak(cx);
        0
    });
    println!("{what}: {left} bytes left");
    assert!(left <= LITTLE, "{what}: {left} bytes left");
}

#[test]
fn the_table_of_roots_shrinks() {
    shrinks("roots", Config::new(), |cx| {
        let mut roots: Vec<Root<u64>> = Vec::new();
        for i in 0..MANY {
            roots.push(cx.root(cx.alloc(i as u64)));
        }
        let peak = bytes() - (roots.capacity() * size_of::<Root<u64>>()) as isize;
        // The last one stays longest, as does the first.
        roots.swap(0, MANY - 1);
        roots.truncate(1);
        cx.collect();
        peak
    });
}

#[test]
fn the_shadow_stack_shrinks() {
    shrinks("locals", Config::new(), |cx| {
        let peak = cx.scope(|scope| {
            for i in 0..MANY {
                let _ = scope.keep(scope.alloc(i as u64));
            }
            bytes()
        });
        cx.collect();
        peak
    });
}

#[test]
fn weak_tables_shrink() {
    let mut set = None;
    shrinks("entries of a weak table", Config::new(), |cx| {
        let set = set.insert(InternSet::<str>::new(&cx.heap()));
        for i in 0..MANY as u32 {
            let text = i.to_string();
            set.find_or_insert(cx, i, |found| *found == *text, || cx.alloc_str(&text));
        }
        bytes()
    });
}

#[test]
fn the_list_of_weak_tables_shrinks() {
    shrinks("weak tables", Config::new(), |cx| {
        let sets: Vec<InternSet<str>> = (0..MANY).map(|_| InternSet::new(&cx.heap())).collect();
        let peak = bytes();
        drop(sets);
        peak
    });
}

type Branch<'gc> = GcCell<Option<Gc<'gc, [Gc<'gc, u64>]>>>;

/// An array whose elements are objects of their own.
fn wide(cx: &mut Cx) -> Root<[Branch<'static>]> {
    let leaf = cx.alloc(1_u64);
    cx.root(cx.alloc_slice_fn(MANY / 8, |_| GcCell::new(Some(cx.alloc_slice_fn(100, |_| leaf)))))
}

/// Eight bytes for each page that waits: no test is large enough to see the peak, but what is left
/// does not grow with the heap.
#[test]
fn the_queues_of_marking_shrink() {
    for mark_threads in [0, 2] {
        leaves_little("mark queues", Config::new().mark_threads(mark_threads), |cx| {
            let _wide = wide(cx);
            cx.collect();
        });
    }
    let config = Config::new().mark_slice(std::time::Duration::ZERO);
    leaves_little("mark queues in slices", config, |cx| {
        let _wide = wide(cx);
        while !cx.collect_step() {}
    });
}

/// However much changes, the barrier keeps eight bytes for a page at most (M3), in a list that
/// doubles.
#[test]
fn the_list_of_the_barrier_is_short() {
    let config = Config::new().mark_slice(std::time::Duration::ZERO);
    leaves_little("barrier", config, |cx| {
        let wide = wide(cx);
        cx.collect();
        // Sweeps what a step would begin with.
        cx.heap().release_idle();
        begin_marking(cx);
        let before = bytes();
        for slot in &*wide.get(cx) {
            slot.set(cx, None);
        }
        let list = bytes() - before;
        let most = cx.heap().stats().heap_bytes / 8192 * 8 * 2;
        assert!(list > 0 && list <= most as isize + (16 << 10), "{list} of {most}");
        cx.park(|| ());
        let counted = cx.heap().stats().metadata_bytes;
        while !cx.collect_step() {}
        assert!(cx.heap().stats().metadata_bytes < counted, "what waits is counted");
    });
}

#[test]
fn mutators_that_are_gone_cost_nothing() {
    leaves_little("mutators", Config::new(), |cx| {
        let heap = cx.heap();
        cx.park(|| {
            for _ in 0..100 {
                let work = || {
                    let cx = heap.enter();
                    for i in 0..100 {
                        let _ = cx.alloc([i; 8]);
                    }
                };
                std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(work))));
            }
        });
    });
}
