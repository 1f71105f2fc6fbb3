//! `fast_paths PATH N`: runs one fast path of the public API N times and nothing
//! else. For `tests/instructions.rs`, which counts the instructions of N and of
//! 2 N runs: the difference, divided by N, is the cost of one.
//!
//! * each path is a function of its own that is never inlined, so that it
//!   can be read in a disassembly.
//! * the loop counts too: two or three instructions, as `empty` shows.
//! * a run is deterministic: one thread, no clock, no random numbers.

use std::hint::black_box;
use std::process::ExitCode;

use heap_api::{Config, Cx, Gc, GcCell, Heap, Root, Trace};

/// An object of 16 bytes with two handles.
#[derive(Trace)]
struct Pair<'gc> {
    left: GcCell<Option<Gc<'gc, Pair<'gc>>>>,
    right: GcCell<Option<Gc<'gc, Pair<'gc>>>>,
}

fn pair<'gc>(left: Option<Gc<'gc, Pair<'gc>>>, right: Option<Gc<'gc, Pair<'gc>>>) -> Pair<'gc> {
    Pair { left: GcCell::new(left), right: GcCell::new(right) }
}

/// The loop alone.
#[inline(never)]
fn empty(n: usize) {
    for i in 0..n {
        black_box(i);
    }
}

#[inline(never)]
fn alloc_pair_16(cx: &Cx, n: usize) {
    // The list that is built holds on to the handles, as a program would.
    let mut last = None;
    for _ in 0..n {
        last = Some(cx.alloc(pair(last, last)));
    }
    black_box(last);
}

#[inline(never)]
fn alloc_noscan_24(cx: &Cx, n: usize) {
    for i in 0..n {
        black_box(cx.alloc([i, i, i]));
    }
}

/// Two in a slot.
#[inline(never)]
fn alloc_tiny_8(cx: &Cx, n: usize) {
    for i in 0..n {
        black_box(cx.alloc(i));
    }
}

/// Of a size that is not a power of two: may not reach over the end of a slot.
#[inline(never)]
fn alloc_tiny_12(cx: &Cx, n: usize) {
    for i in 0..n {
        black_box(cx.alloc([i as u32; 3]));
    }
}

/// With refills, collections and sweeping.
#[inline(never)]
fn alloc_pair_16_steady(cx: &mut Cx, n: usize) {
    for _ in 0..n {
        black_box(cx.alloc(pair(None, None)));
        if cx.should_yield() {
            cx.safepoint();
        }
    }
}

#[inline(never)]
fn slot_set<'gc>(cx: &'gc Cx, object: Gc<'gc, Pair<'gc>>, n: usize) {
    for _ in 0..n {
        black_box(object).left.set(cx, Some(object));
    }
}

#[inline(never)]
fn root_get(cx: &Cx, root: &Root<Pair<'static>>, n: usize) {
    for _ in 0..n {
        black_box(black_box(root).get(cx));
    }
}

#[inline(never)]
fn should_yield(cx: &Cx, n: usize) {
    for _ in 0..n {
        if cx.should_yield() {
            break;
        }
    }
}

#[inline(never)]
fn safepoint(cx: &mut Cx, n: usize) {
    for _ in 0..n {
        cx.safepoint();
    }
}

/// Runs `path`; `false` if there is none of that name.
fn run(path: &str, n: usize, cx: &mut Cx) -> bool {
    match path {
        "empty" => empty(n),
        "alloc_pair_16" => {
            // The first allocation takes the span; the others find it.
            alloc_pair_16(cx, 1);
            alloc_pair_16(cx, n);
        }
        "alloc_noscan_24" => {
            alloc_noscan_24(cx, 1);
            alloc_noscan_24(cx, n);
        }
        "alloc_tiny_8" => {
            alloc_tiny_8(cx, 1);
            alloc_tiny_8(cx, n);
        }
        "alloc_tiny_12" => {
            alloc_tiny_12(cx, 1);
            alloc_tiny_12(cx, n);
        }
        "alloc_pair_16_steady" | "alloc_pair_16_sampled" => alloc_pair_16_steady(cx, n),
        "slot_set" => slot_set(cx, cx.alloc(pair(None, None)), n),
        "root_get" => {
            let root: Root<Pair<'static>> = cx.root(cx.alloc(pair(None, None)));
            root_get(cx, &root, n);
        }
        "should_yield" => should_yield(cx, n),
        "safepoint" => safepoint(cx, n),
        _ => return false,
    }
    true
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (path, n) = (args.next(), args.next().and_then(|n| n.parse().ok()));
    let (Some(path), Some(n), None) = (path, n, args.next()) else {
        eprintln!("usage: fast_paths PATH N");
        return ExitCode::from(2);
    };
    let config = match path.ends_with("_sampled") {
        true => Config::new().sample_allocations(),
        false => Config::new(),
    };
    let mut cx = Heap::new(config).enter();
    if run(&path, n, &mut cx) {
        ExitCode::SUCCESS
    } else {
        eprintln!("fast_paths: no path of the name {path}");
        ExitCode::from(2)
    }
}
