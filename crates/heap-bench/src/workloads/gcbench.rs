//! `gcbench`: short-lived trees of growing depth beside a long-lived tree of
//! depth N and an array of floats. Half of them are built from the root down,
//! which writes into objects that exist, half from the leaves up. A job is one
//! depth in one direction; the mutators take jobs in order.

use std::cell::Cell;

use heap_api::{Cx, Gc, GcCell, Root, Trace};

use super::trees::nodes;
use crate::args::RunArgs;
use crate::measure::Outcome;
use crate::session::{Jobs, on_mutators, poll};

#[derive(Trace)]
struct Node<'gc> {
    left: GcCell<Option<Gc<'gc, Node<'gc>>>>,
    right: GcCell<Option<Gc<'gc, Node<'gc>>>>,
    i: i32,
    j: i32,
}

const FLOATS: usize = 500_000;

fn node(cx: &Cx, i: usize, j: usize) -> Gc<'_, Node<'_>> {
    let (left, right) = (GcCell::new(None), GcCell::new(None));
    cx.alloc(Node { left, right, i: i as i32, j: j as i32 })
}

fn populate<'gc>(cx: &'gc Cx, depth: usize, tree: Gc<'gc, Node<'gc>>) {
    if depth > 0 {
        let left = node(cx, depth, 0);
        tree.left.set(cx, Some(left));
        let right = node(cx, 0, depth);
        tree.right.set(cx, Some(right));
        populate(cx, depth - 1, left);
        populate(cx, depth - 1, right);
    }
}

fn top_down(cx: &Cx, depth: usize) -> Gc<'_, Node<'_>> {
    let root = node(cx, 0, 0);
    populate(cx, depth, root);
    root
}

fn bottom_up(cx: &Cx, depth: usize) -> Gc<'_, Node<'_>> {
    let kid = || (depth > 0).then(|| bottom_up(cx, depth - 1));
    let (left, right) = (GcCell::new(kid()), GcCell::new(kid()));
    cx.alloc(Node { left, right, i: depth as i32, j: 0 })
}

fn count(tree: &Node<'_>) -> u64 {
    assert!(tree.i >= 0 && tree.j >= 0, "node was overwritten");
    match (tree.left.get(), tree.right.get()) {
        (Some(left), Some(right)) => 1 + count(&left) + count(&right),
        _ => 1,
    }
}

/// The length of the leftmost path plus that of the rightmost.
fn spines<'gc>(tree: Gc<'gc, Node<'gc>>) -> u64 {
    let lefts = std::iter::successors(Some(tree), |n| n.left.get()).count();
    let rights = std::iter::successors(Some(tree), |n| n.right.get()).count();
    (lefts + rights) as u64
}

pub(super) fn run(args: &RunArgs, size: usize, cx: &mut Cx) -> Outcome {
    let mut sum = count(&top_down(cx, size + 2));
    poll(cx);
    let long_lived: Root<Node<'static>> = cx.root(top_down(cx, size));
    let array: Root<[Cell<f64>]> = cx.root(cx.alloc_slice_zeroed::<Cell<f64>>(FLOATS));
    for (i, float) in array.get(cx)[..FLOATS / 2].iter().enumerate() {
        float.set(1.0 / (i + 1) as f64);
    }
    poll(cx);
    let jobs = Jobs::default();
    sum += on_mutators(cx, args.mutators, |_, cx| {
        let mut local = 0;
        loop {
            let job = jobs.take();
            let depth = 4 + job / 2 * 2;
            if depth > size {
                return local;
            }
            for _ in 0..2 * nodes(size + 2) / nodes(depth) {
                local += match job % 2 {
                    0 => spines(top_down(cx, depth)),
                    _ => spines(bottom_up(cx, depth)),
                };
                poll(cx);
            }
        }
    });
    assert_eq!(count(&long_lived.get(cx)), nodes(size), "long-lived tree lost nodes");
    let thousandth = array.get(cx)[999].get();
    assert_eq!(thousandth, 1.0 / 1000.0, "array lost its floats");
    Outcome::of(sum + nodes(size) + thousandth.recip().round() as u64)
}
