//! `trees`: the binary-trees game. A stretch tree of depth N + 1, a long-lived
//! one of depth N, then for every d = 4, 6 … N a job of 2^(N − d + 4) trees of
//! depth d, each built, checked and dropped. The mutators take jobs in order.

use heap_api::{Cx, Gc, Root, Trace};

use crate::args::RunArgs;
use crate::measure::Outcome;
use crate::session::{Jobs, on_mutators, poll};

/// Two handles and nothing else: 16 bytes.
#[derive(Trace)]
pub(super) struct Node<'gc> {
    left: Option<Gc<'gc, Node<'gc>>>,
    right: Option<Gc<'gc, Node<'gc>>>,
}

/// Builds a tree of the given depth, children first.
pub(super) fn bottom_up(cx: &Cx, depth: usize) -> Gc<'_, Node<'_>> {
    if depth == 0 {
        cx.alloc(Node { left: None, right: None })
    } else {
        let left = Some(bottom_up(cx, depth - 1));
        let right = Some(bottom_up(cx, depth - 1));
        cx.alloc(Node { left, right })
    }
}

fn count(node: &Node<'_>) -> u64 {
    match (&node.left, &node.right) {
        (Some(left), Some(right)) => 1 + count(left) + count(right),
        _ => 1,
    }
}

/// How many nodes a tree of this depth has.
pub(super) fn nodes(depth: usize) -> u64 {
    (2 << depth) - 1
}

/// Counts the nodes, and insists on the right number.
pub(super) fn checked(tree: &Node<'_>, depth: usize) -> u64 {
    let n = count(tree);
    assert_eq!(n, nodes(depth), "tree has the wrong number of nodes");
    n
}

pub(super) fn run(args: &RunArgs, size: usize, cx: &mut Cx) -> Outcome {
    let mut sum = checked(&bottom_up(cx, size + 1), size + 1);
    poll(cx);
    let long_lived: Root<Node<'static>> = cx.root(bottom_up(cx, size));
    poll(cx);
    let jobs = Jobs::default();
    sum += on_mutators(cx, args.mutators, |_, cx| {
        let mut local = 0;
        loop {
            let depth = 4 + 2 * jobs.take();
            if depth > size {
                return local;
            }
            for _ in 0..1_u64 << (size - depth + 4) {
                local += checked(&bottom_up(cx, depth), depth);
                poll(cx);
            }
        }
    });
    Outcome::of(sum + checked(&long_lived.get(cx), size))
}
