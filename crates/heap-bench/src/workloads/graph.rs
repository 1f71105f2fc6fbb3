//! `graph`: N live objects of 48 bytes, four handles and two words, every handle
//! to a random one; then seven full collections.

use std::time::Instant;

use heap_api::{Cx, Gc, GcCell, Root, Trace};

use crate::args::RunArgs;
use crate::measure::{FullCollections, Outcome};
use crate::rng::{SEED, Xorshift64};
use crate::session::{batches, poll};

#[derive(Trace)]
struct Node<'gc> {
    edges: [GcCell<Option<Gc<'gc, Node<'gc>>>>; 4],
    index: u64,
    word: u64,
}

/// The array of all nodes.
type Nodes<'gc> = [GcCell<Option<Gc<'gc, Node<'gc>>>>];

pub(super) fn run(_: &RunArgs, size: usize, cx: &mut Cx) -> Outcome {
    let start = Instant::now();
    let nodes = build(cx, size);
    let build = start.elapsed();
    let collections = FullCollections::run(cx);
    let sum = check(&nodes.get(cx));
    collections.outcome(build, size as u64, sum)
}

fn build(cx: &mut Cx, size: usize) -> Root<Nodes<'static>> {
    let empty: Gc<'_, Nodes<'_>> = cx.alloc_slice_zeroed(size);
    let root: Root<Nodes<'static>> = cx.root(empty);
    for batch in batches(size) {
        let nodes = root.get(cx);
        for i in batch {
            let (index, word) = (i as u64, !(i as u64));
            let edges = [const { GcCell::new(None) }; 4];
            nodes[i].set(cx, Some(cx.alloc(Node { edges, index, word })));
        }
        poll(cx);
    }
    let mut rng = Xorshift64(SEED);
    for batch in batches(size) {
        let nodes = root.get(cx);
        for node in nodes[batch].iter().filter_map(GcCell::get) {
            for edge in &node.edges {
                edge.set(cx, nodes[rng.below(size)].get());
            }
        }
        poll(cx);
    }
    root
}

fn check(nodes: &Nodes<'_>) -> u64 {
    let mut sum = 0_u64;
    for slot in nodes {
        let node = slot.get().expect("every slot has a node");
        assert_eq!(node.word, !node.index, "object was overwritten");
        for (e, edge) in (1..).zip(&node.edges) {
            sum = sum.wrapping_add(edge.get().expect("every edge leads somewhere").index * e);
        }
    }
    sum
}
