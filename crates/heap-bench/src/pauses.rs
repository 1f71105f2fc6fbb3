//! `heap-bench pauses`: how long a program with a slice is kept from its work, in the cases that are
//! hard to divide.
//!
//! Each case builds a heap and then times every call that may collect, and every other call of which
//! the mutator should not notice that a collection is under way. CPU time is that of the calling
//! thread, so that other programs on the machine do not count; it is what a slice promises.
//!
//! One line of `key=value` pairs per case. Nothing here is judged: on a busy machine the wall times
//! say nothing, and a virtual machine that is halted for a while has that in its CPU time as well.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;
use heap_api::{Config, Cx, Gc, GcCell, GcStack, Heap, InternSet, Opaque, Root, Trace};

use crate::args::PausesArgs;

#[derive(Trace)]
struct Node<'gc> {
    value: u64,
    next: GcCell<Option<Gc<'gc, Node<'gc>>>>,
}

type Cells<'gc> = [GcCell<Option<Gc<'gc, Node<'gc>>>>];

fn node<'gc>(cx: &'gc Cx, value: u64) -> Gc<'gc, Node<'gc>> {
    cx.alloc(Node { value, next: GcCell::new(None) })
}

fn array(cx: &Cx, len: usize) -> Root<Cells<'static>> {
    cx.root(cx.alloc_slice_fn(len, |i| GcCell::new(Some(node(cx, i as u64)))))
}

/// What was timed.
#[derive(Debug, Default)]
struct Meter {
    slice: Duration,
    calls: u64,
    cpu_max: Duration,
    wall_max: Duration,
    /// Calls that took more than twice the slice of CPU time.
    over_twice: u64,
}

impl Meter {
    fn time<R>(&mut self, call: impl FnOnce() -> R) -> R {
        let (wall, cpu) = (Instant::now(), ThreadTime::now());
        let result = call();
        let (cpu, wall) = (cpu.elapsed(), wall.elapsed());
        self.calls += 1;
        self.cpu_max = self.cpu_max.max(cpu);
        self.wall_max = self.wall_max.max(wall);
        self.over_twice += u64::from(cpu > 2 * self.slice);
        result
    }

    /// Steps until a collection is complete.
    fn collect(&mut self, cx: &mut Cx) {
        while !self.time(|| cx.collect_step()) {}
    }
}

/// The heaps of the cases: no collection is due by itself.
struct Case<'a> {
    meter: &'a mut Meter,
    config: Config,
    percent: usize,
}

impl Case<'_> {
    fn heap(&self) -> Heap {
        Heap::new(self.config.clone())
    }

    /// A number of objects, as the command line scales it.
    fn count(&self, usual: usize) -> usize {
        (usual * self.percent / 100).max(1)
    }
}

/// Four million dead objects with destructors.
fn destructors(case: Case<'_>) {
    let heap = case.heap();
    let mut cx = heap.enter();
    for i in 0..case.count(4_000_000) {
        cx.alloc(Opaque(Box::new(i)));
    }
    case.meter.collect(&mut cx);
    while heap.stats().undropped_bytes > 0 {
        case.meter.time(|| cx.collect_step());
    }
}

/// 384 MB of plain garbage, and the next collection, which finds it unswept.
fn garbage(case: Case<'_>) {
    let heap = case.heap();
    let mut cx = heap.enter();
    for i in 0..case.count(6_000_000) {
        black_box(cx.alloc([i; 8]));
    }
    case.meter.collect(&mut cx);
    case.meter.collect(&mut cx);
}

/// Ten million cells that change while marking is under way, each of which held the only handle.
fn barrier(case: Case<'_>) {
    let heap = case.heap();
    let mut cx = heap.enter();
    let cells = array(&cx, case.count(10_000_000));
    case.meter.time(|| cx.collect_step());
    for part in cells.get(&cx).chunks(1000) {
        case.meter.time(|| part.iter().for_each(|cell| cell.set(&cx, None)));
    }
    case.meter.collect(&mut cx);
}

#[derive(Trace)]
struct Thread<'gc> {
    stack: GcStack<Option<Gc<'gc, Node<'gc>>>>,
}

/// A stack of four million values that changes while marking is under way.
fn stack(case: Case<'_>) {
    let heap = case.heap();
    let mut cx = heap.enter();
    let thread: Root<Thread<'static>> = cx.root(cx.alloc(Thread { stack: GcStack::new() }));
    let values = case.count(4_000_000);
    for i in 0..values {
        let value = Some(node(&cx, i as u64));
        assert!(thread.get(&cx).stack.try_push(&cx, value).is_ok());
    }
    case.meter.time(|| cx.collect_step());
    for i in (0..values).step_by(values.div_ceil(1000)) {
        case.meter.time(|| thread.get(&cx).stack.set(&cx, i, None));
    }
    case.meter.collect(&mut cx);
}

/// A weak table with three million entries of which one in a thousand is alive.
fn weak(case: Case<'_>) {
    let heap = case.heap();
    let mut cx = heap.enter();
    let mut set = InternSet::<str>::new(&heap);
    let mut kept = Vec::new();
    for i in 0..case.count(3_000_000) {
        let text = cx.alloc_str(&format!("string number {i}"));
        set.insert(&cx, (i as u32).wrapping_mul(0x9E37_79B9), text);
        if i % 1000 == 0 {
            kept.push(cx.root(text));
        }
    }
    case.meter.collect(&mut cx);
    assert_eq!(set.len(&cx), kept.len());
}

/// 600 MB that nothing has marked before.
fn first_touch(case: Case<'_>) {
    let heap = case.heap();
    let mut cx = heap.enter();
    let count = case.count(18_000_000);
    let cells: Root<Cells<'static>> =
        cx.root(cx.alloc_slice_fn(4096, |_| GcCell::new(None::<Gc<'_, Node<'_>>>)));
    for i in 0..count {
        let made = node(&cx, i as u64);
        if i % (count / 4096).max(1) == 0 {
            let at = i / (count / 4096).max(1) * 1031 % 4096;
            cells.get(&cx)[at].set(&cx, Some(made));
        }
    }
    case.meter.collect(&mut cx);
    case.meter.collect(&mut cx);
}

/// Five million roots.
fn roots(case: Case<'_>) {
    let heap = case.heap();
    let mut cx = heap.enter();
    let roots: Vec<_> = (0..case.count(5_000_000)).map(|i| cx.root(node(&cx, i as u64))).collect();
    case.meter.collect(&mut cx);
    assert_eq!(roots.last().expect("a root").get(&cx).value, roots.len() as u64 - 1);
}

/// Ten thousand contexts on threads that are parked.
fn parked(case: Case<'_>) {
    let heap = case.heap();
    let threads = case.count(10_000);
    let (ready, over) = (Barrier::new(threads + 1), Barrier::new(threads + 1));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let wait = || {
                let mut cx = heap.enter();
                cx.park(|| {
                    ready.wait();
                    over.wait();
                });
            };
            let thread = std::thread::Builder::new().stack_size(64 << 10);
            thread.spawn_scoped(scope, wait).expect("the system has room for the threads");
        }
        ready.wait();
        let mut cx = heap.enter();
        let _kept = array(&cx, 1000);
        for _ in 0..100 {
            case.meter.collect(&mut cx);
        }
        cx.park(|| over.wait());
    });
}

type Run = fn(Case<'_>);

const CASES: [(&str, Run); 8] = [
    ("destructors", destructors),
    ("garbage", garbage),
    ("barrier", barrier),
    ("stack", stack),
    ("weak", weak),
    ("first_touch", first_touch),
    ("roots", roots),
    ("parked", parked),
];

/// Runs the cases and prints a line for each.
pub(crate) fn run(args: &PausesArgs) {
    let slice = Duration::from_micros(args.slice_us);
    for (name, run) in CASES {
        if !args.cases.is_empty() && !args.cases.iter().any(|case| case == name) {
            continue;
        }
        let config = Config::new()
            .mark_slice(slice)
            .min_heap_bytes(16 << 30)
            .mark_threads(args.workers - 1)
            .huge_pages(!args.small_pages);
        let mut meter = Meter { slice, ..Meter::default() };
        run(Case { meter: &mut meter, config, percent: args.percent });
        println!(
            "case={name} slice_us={} safepoints={} longest_cpu_us={} longest_wall_us={} \
             over_twice={}",
            args.slice_us,
            meter.calls,
            meter.cpu_max.as_micros(),
            meter.wall_max.as_micros(),
            meter.over_twice
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_runs_and_counts() {
        for (name, run) in CASES {
            let mut meter = Meter::default();
            let config = Config::new().mark_slice(Duration::ZERO).min_heap_bytes(16 << 30);
            run(Case { meter: &mut meter, config, percent: 1 });
            assert!(meter.calls > 0 && meter.over_twice == meter.calls, "{name}: {meter:?}");
        }
    }
}
