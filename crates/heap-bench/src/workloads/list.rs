//! `list`: one live chain of N cells; then seven full collections. There is
//! nothing to do in parallel and every step waits for the one before.

use std::time::Instant;

use heap_api::{Cx, Gc, Root, Trace};

use crate::args::RunArgs;
use crate::measure::{FullCollections, Outcome};
use crate::session::{batches, poll};

#[derive(Trace)]
struct Cell<'gc> {
    next: Option<Gc<'gc, Cell<'gc>>>,
    value: i64,
}

pub(super) fn run(_: &RunArgs, size: usize, cx: &mut Cx) -> Outcome {
    let start = Instant::now();
    let head = build(cx, size);
    let build = start.elapsed();
    let collections = FullCollections::run(cx);
    let (mut sum, mut n) = (0_u64, 0);
    let mut next = Some(head.get(cx));
    while let Some(cell) = next {
        sum = sum.wrapping_add(cell.value as u64);
        n += 1;
        next = cell.next;
    }
    assert_eq!(n, size, "list lost cells");
    collections.outcome(build, n as u64, sum)
}

fn build(cx: &mut Cx, size: usize) -> Root<Cell<'static>> {
    let mut root: Root<Cell<'static>> = cx.root(cx.alloc(Cell { next: None, value: 0 }));
    for batch in batches(size) {
        let mut head = root.get(cx);
        // The first cell is there already.
        for i in batch.start.max(1)..batch.end {
            head = cx.alloc(Cell { next: Some(head), value: i as i64 });
        }
        root.set(cx, head);
        poll(cx);
    }
    root
}
