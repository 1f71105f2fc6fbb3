//! `quads`: a live tree of depth N of four-pointer objects in a heap of 2.5
//! times its size; then twenty rounds, each of which allocates a 7.5th of that
//! heap in trees of depth 3 and validates the live tree. Only the rounds count.

use std::time::Instant;

use heap_api::{Config, Cx, Gc, Root, Trace};

use crate::args::RunArgs;
use crate::measure::{Outcome, millis};
use crate::session::poll;

#[derive(Trace)]
struct Quad<'gc> {
    kids: [Option<Gc<'gc, Quad<'gc>>>; 4],
}

const GARBAGE_DEPTH: usize = 3;

fn nodes(depth: usize) -> usize {
    ((4 << (2 * depth)) - 1) / 3
}

/// 2.5 times what the live tree takes.
pub(crate) fn heap_bytes(depth: usize) -> usize {
    nodes(depth) * size_of::<Quad<'_>>() * 5 / 2
}

/// A heap held to that size: it may grow up to it before it collects.
pub(super) fn defaults(size: usize) -> Config {
    Config::new().max_heap_bytes(heap_bytes(size)).growth_percent(150)
}

fn make(cx: &Cx, depth: usize) -> Gc<'_, Quad<'_>> {
    let kids = match depth {
        0 => [None; 4],
        _ => std::array::from_fn(|_| Some(make(cx, depth - 1))),
    };
    cx.alloc(Quad { kids })
}

/// Counts the nodes, and insists on the shape: no kids at depth 0, four above it.
fn validate(quad: &Quad<'_>, depth: usize) -> u64 {
    if depth == 0 {
        assert!(quad.kids.iter().all(Option::is_none), "quad tree has the wrong shape");
        return 1;
    }
    let mut n = 1;
    for kid in &quad.kids {
        n += validate(&kid.expect("a node above the leaves has four kids"), depth - 1);
    }
    n
}

pub(super) fn run(_: &RunArgs, size: usize, cx: &mut Cx) -> Outcome {
    let start = Instant::now();
    let live: Root<Quad<'static>> = cx.root(make(cx, size));
    let build = start.elapsed();
    let mut sum = validate(&live.get(cx), size);
    let garbage_trees = heap_bytes(size) * 2 / 15 / (nodes(GARBAGE_DEPTH) * size_of::<Quad<'_>>());
    let start = Instant::now();
    for _ in 0..20 {
        for _ in 0..garbage_trees {
            make(cx, GARBAGE_DEPTH);
            poll(cx);
        }
        sum += validate(&live.get(cx), size);
    }
    let rounds = start.elapsed();
    Outcome::of(sum).timed(rounds).with("build_ms", format_args!("{:.3}", millis(build)))
}
