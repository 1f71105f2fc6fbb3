//! A graph with edges in all directions is marked by several threads: mark threads, and mutators that
//! wait for the end.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use heap_api::{AtomicGcCell, Config, Cx, Gc, Heap, Root, Share, Trace};

use super::{join, mutator, safepoint};
use crate::objects::{Lives, expect};
use crate::random::Random;

/// Small enough that several are on a page, large enough for several pages.
#[derive(Trace, Share)]
struct Node<'gc> {
    id: u64,
    fill: [u64; 28],
    edges: [AtomicGcCell<'gc, Node<'gc>>; 3],
}

/// Nodes that a mutator makes.
const NODES: usize = 60;

/// Visits all that can be reached, and checks it.
fn walk<'gc>(from: Gc<'gc, Node<'gc>>) -> Vec<Gc<'gc, Node<'gc>>> {
    let (mut seen, mut all) = (HashSet::from([from.addr()]), vec![from]);
    let mut at = 0;
    while let Some(node) = all.get(at).copied() {
        assert_eq!(node.fill, [node.id; 28], "a node was overwritten");
        let next = node.edges.iter().filter_map(AtomicGcCell::get);
        all.extend(next.filter(|next| seen.insert(next.addr())));
        at += 1;
    }
    all
}

fn node<'gc>(cx: &'gc Cx, id: u64) -> Gc<'gc, Node<'gc>> {
    cx.alloc(Node { id, fill: [id; 28], edges: std::array::from_fn(|_| AtomicGcCell::new(None)) })
}

/// Makes nodes, with edges to and from random ones.
fn grow(cx: &Cx, top: &Root<Node<'static>>, nodes: usize, random: &mut Random) {
    let mut all = walk(top.get(cx));
    for _ in 0..nodes {
        let new = node(cx, random.number());
        let [from, to] = [(); 2].map(|()| all[random.below(all.len())]);
        new.edges[random.below(3)].set(cx, Some(to));
        from.edges[random.below(3)].set(cx, Some(new));
        all.push(new);
    }
}

pub(super) fn program(random: &mut Random) {
    let config = Config::new()
        .huge_pages(false)
        .min_heap_bytes(1 << 14)
        .mark_threads(1 + random.below(2))
        .background_sweep(random.one_in(2));
    let in_slices = random.one_in(4);
    let slice = Duration::from_micros(10);
    let heap = Heap::new(if in_slices { config.mark_slice(slice) } else { config });
    let tops = (0..2).map(|_| {
        mutator(&heap, random, move |heap, mut random| {
            let mut cx = heap.enter();
            let top = cx.root(node(&cx, 7));
            for _ in 0..3 {
                grow(&cx, &top, NODES / 3, &mut random);
                if random.one_in(2) {
                    cx.collect()
                } else {
                    safepoint(&mut cx, &mut random)
                }
                walk(top.get(&cx));
            }
            top
        })
    });
    let tops = join(tops.collect());
    let reachable: usize = {
        let cx = heap.enter();
        tops.iter().map(|top| walk(top.get(&cx)).len()).sum()
    };
    heap.enter().collect();
    let rows = heap.class_histogram().expect("no context was leaked");
    let found: usize =
        rows.iter().filter(|row| row.kind.contains("Node")).map(|row| row.objects).sum();
    assert_eq!(found, reachable, "nodes in the census: {rows:?}");
    drop(tops);
    expect(&heap, &Arc::new(Lives::default()), 0);
}
