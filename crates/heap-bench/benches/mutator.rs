//! What a mutator does, timed through the public API: allocation by size and
//! kind, the write barrier, roots, scopes, safepoints, entering and leaving.
//!
//! * an operation that takes less than a clock reading is done [`BATCH`]
//!   times per iteration, which is a thousand: microseconds in the report are
//!   nanoseconds per operation. Benchmarks named `once_…` do it once.
//! * allocation includes what it causes: after each batch the mutator is at a
//!   safepoint, in a heap that has collected before. The mean contains sweeping
//!   and collecting, the median most of the sweeping. Nothing stays alive.
//! * MB3: the write barrier is idle unless a marking is under way. The benchmarks of the
//!   active one keep it so: a slice of no length does not get through their heap.

use std::cell::RefCell;
use std::time::Duration;

use divan::{Bencher, black_box};
use heap_api::{Config, Cx, Gc, GcCell, Heap, Opaque, Root, Trace};

/// Operations per iteration of the batched benchmarks.
const BATCH: usize = 1000;

/// A cell with a handle that can change.
#[derive(Trace)]
struct Cell<'gc> {
    next: GcCell<Option<Gc<'gc, Cell<'gc>>>>,
    value: i64,
}

/// Collections before allocation is timed: memory is warm then.
const WARM_UP_COLLECTIONS: u64 = 3;

fn main() {
    divan::Divan::default().sample_count(2000).config_with_args().main();
}

/// A context in a heap of its own.
fn enter() -> Cx {
    Heap::new(Config::new()).enter()
}

/// Times `BATCH` runs of `make`, then a safepoint.
fn allocating(bencher: Bencher, make: impl Fn(&Cx)) {
    let mut cx = enter();
    let batch = |cx: &mut Cx| {
        for _ in 0..BATCH {
            make(cx);
        }
        cx.safepoint();
    };
    while cx.heap().stats().collections < WARM_UP_COLLECTIONS {
        batch(&mut cx);
    }
    bencher.bench_local(|| batch(&mut cx));
}

/// Times `BATCH` runs of `operation`.
fn repeating(bencher: Bencher, mut operation: impl FnMut()) {
    bencher.bench_local(|| {
        for _ in 0..BATCH {
            operation();
        }
    });
}

/// Pointer-free objects of 16 to 4096 bytes, by the number of words.
#[divan::bench(consts = [2, 3, 4, 6, 8, 16, 64, 512])]
fn alloc_noscan<const WORDS: usize>(bencher: Bencher) {
    allocating(bencher, |cx| {
        black_box(cx.alloc([7_u64; WORDS]));
    });
}

/// Pointer-free objects that share slots, by bytes.
#[divan::bench(consts = [1, 4, 8, 12])]
fn alloc_tiny<const BYTES: usize>(bencher: Bencher) {
    allocating(bencher, |cx| {
        black_box(cx.alloc([7_u8; BYTES]));
    });
}

/// Slices of zero bytes in memory that has been used, by length.
#[divan::bench(args = [16, 256, 4096, 65536])]
fn alloc_slice_zeroed(bencher: Bencher, len: usize) {
    allocating(bencher, |cx| {
        black_box(cx.alloc_slice_zeroed::<u8>(black_box(len)));
    });
}

/// Objects of 16 to 4096 bytes that are nothing but handles, by their number.
#[divan::bench(consts = [2, 3, 4, 6, 8, 16, 64, 512])]
fn alloc_handles<const HANDLES: usize>(bencher: Bencher) {
    allocating(bencher, |cx| {
        let none: Option<Gc<'_, Cell<'_>>> = black_box(None);
        black_box(cx.alloc([none; HANDLES]));
    });
}

/// An object with a destructor, which sweeping runs.
struct Dropped<const WORDS: usize>([u64; WORDS]);

impl<const WORDS: usize> Drop for Dropped<WORDS> {
    fn drop(&mut self) {
        black_box(self.0[0]);
    }
}

/// Objects with destructors, of 16 to 4096 bytes, by the number of words.
#[divan::bench(consts = [2, 8, 64, 512])]
fn alloc_with_destructor<const WORDS: usize>(bencher: Bencher) {
    allocating(bencher, |cx| {
        black_box(cx.alloc(Opaque(Dropped([7_u64; WORDS]))));
    });
}

/// Slices of words, copied, by length.
#[divan::bench(args = [0, 1, 4, 16, 64])]
fn alloc_slice_copy(bencher: Bencher, len: usize) {
    let words = vec![7_u64; len];
    allocating(bencher, |cx| {
        black_box(cx.alloc_slice_copy(black_box(&words[..])));
    });
}

/// Slices of handles, made one by one, by length.
#[divan::bench(args = [0, 1, 4, 16, 64])]
fn alloc_slice_of_handles(bencher: Bencher, len: usize) {
    allocating(bencher, |cx| {
        let slice = cx.alloc_slice_fn(black_box(len), |_| -> Option<Gc<'_, Cell<'_>>> { None });
        black_box(slice);
    });
}

/// Strings, by length.
#[divan::bench(args = [1, 8, 32, 128])]
fn alloc_str(bencher: Bencher, len: usize) {
    let text = "x".repeat(len);
    allocating(bencher, |cx| {
        black_box(cx.alloc_str(black_box(&text)));
    });
}

/// A large object of 64 KiB, which has a span of its own: copied, and dropped.
#[divan::bench]
fn once_alloc_large(bencher: Bencher) {
    let mut cx = enter();
    let words = vec![7_u64; 8192];
    bencher.bench_local(|| {
        black_box(cx.alloc_slice_copy(black_box(&words[..])));
        cx.safepoint();
    });
}

/// A store of a handle while the collector does not ask for the barrier.
#[divan::bench]
fn barrier_idle(bencher: Bencher) {
    let cx = enter();
    let old = cx.alloc(Cell { next: GcCell::new(None), value: 0 });
    let new = cx.alloc(Cell { next: GcCell::new(None), value: 1 });
    repeating(bencher, || black_box(old).next.set(&cx, black_box(Some(new))));
    assert_eq!(old.next.get().map(|cell| cell.value), Some(1));
}

/// A heap that cannot be marked in one slice, with cells to store to.
struct Slices {
    cx: Cx,
    cells: Root<[Gc<'static, Cell<'static>>]>,
    /// Handles to fill several pieces of a large object.
    _ballast: Root<[Gc<'static, Cell<'static>>]>,
}

impl Slices {
    fn new() -> Slices {
        let cx = Heap::new(Config::new().mark_slice(Duration::ZERO)).enter();
        let cell = |value| cx.alloc(Cell { next: GcCell::new(None), value });
        let cells = cx.root(cx.alloc_slice_fn(BATCH, |i| cell(i as i64)));
        let one = cell(0);
        let ballast = cx.root(cx.alloc_slice_fn(20_000, |_| one));
        Slices { cx, cells, _ballast: ballast }
    }

    /// Ends the marking that is under way, gives every cell a new target, and begins a
    /// marking, which has not come to the cells yet.
    fn begin(&mut self) {
        while !self.cx.collect_step() {}
        for cell in &*self.cells.get(&self.cx) {
            let target = self.cx.alloc(Cell { next: GcCell::new(None), value: 1 });
            cell.next.set(&self.cx, Some(target));
        }
        assert!(!self.cx.collect_step(), "MB3");
    }
}

/// A store of a handle over one that is not marked yet, while a marking is under way:
/// the barrier marks it. Once for each object and marking.
#[divan::bench(sample_size = 1)]
fn barrier_active_white(bencher: Bencher) {
    let heap = RefCell::new(Slices::new());
    bencher.with_inputs(|| heap.borrow_mut().begin()).bench_local_values(|()| {
        let heap = heap.borrow();
        for cell in &*heap.cells.get(&heap.cx) {
            cell.next.set(&heap.cx, black_box(None));
        }
    });
}

/// A store of a handle over one that is marked, while a marking is under way.
#[divan::bench]
fn barrier_active_marked(bencher: Bencher) {
    let mut heap = Slices::new();
    heap.begin();
    let cell = heap.cells.get(&heap.cx)[0];
    let new = heap.cells.get(&heap.cx)[1];
    cell.next.set(&heap.cx, Some(new));
    repeating(bencher, || black_box(cell).next.set(&heap.cx, black_box(Some(new))));
}

/// Making and dropping a root.
#[divan::bench]
fn root_create_drop(bencher: Bencher) {
    let cx = enter();
    let cell = cx.alloc(Cell { next: GcCell::new(None), value: 0 });
    repeating(bencher, || drop(black_box(cx.root(cell))));
}

/// Following a root.
#[divan::bench]
fn root_get(bencher: Bencher) {
    let cx = enter();
    let root: Root<Cell<'static>> = cx.root(cx.alloc(Cell { next: GcCell::new(None), value: 0 }));
    repeating(bencher, || {
        black_box(black_box(&root).get(&cx));
    });
}

/// A thousand locals in one scope.
#[divan::bench]
fn scope_keep(bencher: Bencher) {
    let mut cx = enter();
    bencher.bench_local(|| {
        cx.scope(|scope| {
            let cell = scope.alloc(7_i64);
            for _ in 0..BATCH {
                black_box(scope.keep(black_box(cell)));
            }
        });
        cx.safepoint();
    });
}

/// Opening and closing a scope.
#[divan::bench]
fn scope_open_close(bencher: Bencher) {
    let mut cx = enter();
    repeating(bencher, || {
        cx.scope(|scope| {
            black_box(scope);
        });
    });
}

/// Asking whether a safepoint is wanted; it is not.
#[divan::bench]
fn should_yield(bencher: Bencher) {
    let cx = enter();
    repeating(bencher, || {
        black_box(cx.should_yield());
    });
}

/// A safepoint without work.
#[divan::bench]
fn safepoint(bencher: Bencher) {
    let mut cx = enter();
    repeating(bencher, || black_box(&mut cx).safepoint());
}

/// Entering a heap and leaving it, with a new context.
#[divan::bench]
fn once_enter_leave(bencher: Bencher) {
    let heap = Heap::new(Config::new());
    bencher.bench_local(|| drop(black_box(heap.enter())));
}

/// Stepping outside and back in, with the same context.
#[divan::bench]
fn once_park(bencher: Bencher) {
    let mut cx = enter();
    bencher.bench_local(|| cx.park(|| black_box(())));
}

/// A full collection of a heap with nothing alive.
#[divan::bench]
fn once_collect_empty(bencher: Bencher) {
    let mut cx = enter();
    bencher.bench_local(|| cx.collect());
}
