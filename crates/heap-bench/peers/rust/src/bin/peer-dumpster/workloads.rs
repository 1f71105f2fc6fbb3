// Included into a module that names `Gc`, `Once` and the collector's functions.

use std::hint::black_box;
use std::time::Instant;

use heap_bench_peers::*;

/// The default condition, counted.
fn condition(info: &CollectInfo) -> bool {
    crate::counted(default_collect_condition(info))
}

/// A full collection: a dropped copy makes everything behind `all` suspect.
fn full_collection<T: Clone>(all: &T) {
    drop(black_box(all.clone()));
    collect();
    crate::counted(true);
}

#[derive(Trace)]
struct Node {
    left: Option<Gc<Node>>,
    right: Option<Gc<Node>>,
}

fn bottom_up(depth: usize) -> Gc<Node> {
    let kid = || (depth > 0).then(|| bottom_up(depth - 1));
    Gc::new(Node { left: kid(), right: kid() })
}

fn count(node: &Node) -> u64 {
    match (&node.left, &node.right) {
        (Some(left), Some(right)) => 1 + count(left) + count(right),
        _ => 1,
    }
}

fn checked(tree: &Node, depth: usize) -> u64 {
    let n = count(tree);
    assert_eq!(n, tree_nodes(depth), "tree has the wrong number of nodes");
    n
}

fn trees(o: &Options) -> Outcome {
    let mut sum = checked(&bottom_up(o.size + 1), o.size + 1);
    let long_lived = bottom_up(o.size);
    let jobs = Jobs::default();
    sum += on_mutators(o.mutators, |_| {
        set_collect_condition(condition);
        let mut local = 0;
        loop {
            let d = 4 + 2 * jobs.next();
            if d > o.size {
                return local;
            }
            for _ in 0..1 << (o.size - d + 4) {
                local += checked(&bottom_up(d), d);
            }
        }
    });
    sum += checked(&long_lived, o.size);
    keep(long_lived);
    Outcome::of(sum)
}

#[derive(Trace)]
struct Cell {
    next: Option<Gc<Cell>>,
    value: i64,
}

fn churn(o: &Options) -> Outcome {
    let jobs = Jobs::default();
    Outcome::of(on_mutators(o.mutators, |_| {
        set_collect_condition(condition);
        let mut sum = 0_u64;
        for values in chains(&jobs, o.size) {
            let mut last: Option<Gc<Cell>> = None;
            for i in values {
                last = Some(Gc::new(Cell { next: last, value: i as i64 }));
            }
            let last = last.expect("a chain has a cell");
            sum += last.value as u64 + last.next.as_ref().map_or(0, |n| n.value as u64);
        }
        sum
    }))
}

#[derive(Trace)]
struct GraphNode {
    edges: [Once<Gc<GraphNode>>; 4],
    index: u64,
    word: u64,
}

fn graph(o: &Options) -> Outcome {
    let t = Instant::now();
    let new = |index| {
        Gc::new(GraphNode { edges: std::array::from_fn(|_| Once::new()), index, word: !index })
    };
    let nodes: Gc<Vec<Gc<GraphNode>>> = Gc::new((0..o.size as u64).map(new).collect());
    let mut rng = Xorshift64(SEED);
    for node in nodes.iter() {
        for edge in &node.edges {
            let to = nodes[rng.next() as usize % o.size].clone();
            assert!(edge.set(to).is_ok(), "edge was set before");
        }
    }
    let build = millis(t);
    let outcome = marking(build, o.size, || full_collection(&nodes));
    let mut sum = 0_u64;
    for node in nodes.iter() {
        assert_eq!(node.word, !node.index, "object was overwritten");
        for (e, to) in node.edges.iter().enumerate() {
            sum += to.get().expect("an edge").index * (e as u64 + 1);
        }
    }
    keep(nodes);
    Outcome { sum, ..outcome }
}

fn treemark(o: &Options) -> Outcome {
    let t = Instant::now();
    let tree = bottom_up(o.size);
    let build = millis(t);
    let nodes = tree_nodes(o.size) as usize;
    let outcome = marking(build, nodes, || full_collection(&tree));
    Outcome { sum: checked(&tree, o.size), ..outcome }
}

fn list(o: &Options) -> Outcome {
    let t = Instant::now();
    let mut head = None;
    for i in 0..o.size {
        head = Some(Gc::new(Cell { next: head, value: i as i64 }));
    }
    let build = millis(t);
    let outcome = marking(build, o.size, || full_collection(&head));
    let (mut sum, mut n) = (0_u64, 0);
    let mut next = &head;
    while let Some(cell) = next {
        sum += cell.value as u64;
        n += 1;
        next = &cell.next;
    }
    assert_eq!(n, o.size, "list lost cells");
    keep(head);
    Outcome { sum, ..outcome }
}

#[derive(Trace)]
struct Quad([Option<Gc<Quad>>; 4]);

fn make_quads(depth: usize) -> Gc<Quad> {
    Gc::new(Quad(std::array::from_fn(|_| (depth > 0).then(|| make_quads(depth - 1)))))
}

fn validate(quad: &Quad, depth: usize) -> u64 {
    if depth == 0 {
        assert!(quad.0.iter().all(Option::is_none), "quad tree has the wrong shape");
        return 1;
    }
    let mut n = 1;
    for kid in &quad.0 {
        n += validate(kid.as_ref().expect("a node above the leaves has four kids"), depth - 1);
    }
    n
}

/// There is no limit to set: what has no owner is freed at once.
fn quads(o: &Options) -> Outcome {
    let t = Instant::now();
    let live = make_quads(o.size);
    let build = millis(t);
    let mut sum = validate(&live, o.size);
    let t = Instant::now();
    for _ in 0..20 {
        for _ in 0..quads_per_round(o.size) {
            drop(black_box(make_quads(3)));
        }
        sum += validate(&live, o.size);
    }
    let wall_ms = Some(millis(t));
    Outcome { sum, wall_ms, extra: format!(" build_ms={build:.3}"), ..Outcome::default() }
}

#[derive(Trace)]
struct BenchNode {
    left: Once<Gc<BenchNode>>,
    right: Once<Gc<BenchNode>>,
    i: i32,
    j: i32,
}

fn bench_node(i: usize, j: usize) -> Gc<BenchNode> {
    Gc::new(BenchNode { left: Once::new(), right: Once::new(), i: i as i32, j: j as i32 })
}

fn populate(depth: usize, node: &BenchNode) {
    if depth > 0 {
        let left = node.left.get_or_init(|| bench_node(depth, 0));
        let right = node.right.get_or_init(|| bench_node(0, depth));
        populate(depth - 1, left);
        populate(depth - 1, right);
    }
}

fn bench_top_down(depth: usize) -> Gc<BenchNode> {
    let root = bench_node(0, 0);
    populate(depth, &root);
    root
}

fn bench_bottom_up(depth: usize) -> Gc<BenchNode> {
    let kid = || match depth {
        0 => Once::new(),
        _ => Once::from(bench_bottom_up(depth - 1)),
    };
    Gc::new(BenchNode { left: kid(), right: kid(), i: depth as i32, j: 0 })
}

fn bench_count(node: &BenchNode) -> u64 {
    assert!(node.i >= 0 && node.j >= 0, "node was overwritten");
    match (node.left.get(), node.right.get()) {
        (Some(left), Some(right)) => 1 + bench_count(left) + bench_count(right),
        _ => 1,
    }
}

fn spines(tree: &BenchNode) -> u64 {
    let lefts = std::iter::successors(Some(tree), |n| n.left.get().map(|n| &**n)).count();
    let rights = std::iter::successors(Some(tree), |n| n.right.get().map(|n| &**n)).count();
    (lefts + rights) as u64
}

fn gcbench(o: &Options) -> Outcome {
    let mut sum = bench_count(&bench_top_down(o.size + 2));
    let long_lived = bench_top_down(o.size);
    let mut floats = vec![0.0; GCBENCH_FLOATS];
    for (i, float) in floats[..GCBENCH_FLOATS / 2].iter_mut().enumerate() {
        *float = 1.0 / (i + 1) as f64;
    }
    let array: Gc<[f64]> = Gc::from(floats);
    let jobs = Jobs::default();
    sum += on_mutators(o.mutators, |_| {
        set_collect_condition(condition);
        let mut local = 0;
        loop {
            let job = jobs.next();
            let d = 4 + job / 2 * 2;
            if d > o.size {
                return local;
            }
            for _ in 0..2 * tree_nodes(o.size + 2) / tree_nodes(d) {
                let tree = if job % 2 == 0 { bench_top_down(d) } else { bench_bottom_up(d) };
                local += spines(&tree);
            }
        }
    });
    assert_eq!(bench_count(&long_lived), tree_nodes(o.size), "long-lived tree lost nodes");
    assert_eq!(array[999], 1.0 / 1000.0, "array lost its floats");
    sum += tree_nodes(o.size) + (1.0 / array[999] + 0.5) as u64;
    keep((long_lived, array));
    Outcome::of(sum)
}

fn message(i: usize) -> Gc<[u8; MESSAGE_BYTES]> {
    let mut m = [0; MESSAGE_BYTES];
    m[..8].copy_from_slice(&(i as u64).to_le_bytes());
    m[MESSAGE_BYTES - 1] = i as u8;
    Gc::new(m)
}

fn latency(o: &Options) -> Outcome {
    let tree = bottom_up(LATENCY_TREE_DEPTH);
    let mut ring: Vec<_> = (0..o.size).map(message).collect();
    let start = Instant::now();
    let times = (0..5 * o.size)
        .map(|i| {
            let t = Instant::now();
            ring[i % o.size] = message(o.size + i);
            t.elapsed().as_nanos() as u64
        })
        .collect();
    let wall = millis(start);
    let mut sum = checked(&tree, LATENCY_TREE_DEPTH);
    for m in &ring {
        let i = u64::from_le_bytes(m[..8].try_into().expect("eight bytes"));
        assert_eq!(m[MESSAGE_BYTES - 1], i as u8, "message was overwritten");
        sum += i;
    }
    Outcome { sum, wall_ms: Some(wall), extra: latencies(times), ..Outcome::default() }
}

enum Survivor {
    Nothing,
    Words(Gc<[u64]>),
    Refs(Gc<[Option<Gc<[u64]>>]>),
}

fn mixed(o: &Options) -> Outcome {
    Outcome::of(on_mutators(o.mutators, |m| {
        set_collect_condition(condition);
        let places = MIXED_SURVIVORS / o.mutators;
        let mut table: Vec<Survivor> = (0..places).map(|_| Survivor::Nothing).collect();
        let mut rng = Xorshift64(SEED + m as u64);
        for i in 0..share(o.size, m, o.mutators).len() {
            let step = MixedStep::draw(&mut rng, places);
            let made = if step.words {
                let mut words = zeroed(step.length);
                words[0] = i as u64;
                words[step.length - 1] = i as u64;
                Survivor::Words(Gc::from(words))
            } else {
                let mut refs = vec![None; step.length];
                if let Survivor::Words(words) = &table[step.place] {
                    refs[0] = Some(words.clone());
                }
                Survivor::Refs(Gc::from(refs))
            };
            let made = black_box(made);
            if step.survives {
                table[step.place] = made;
            }
        }
        let sum = table
            .iter()
            .map(|s| match s {
                Survivor::Nothing => 0,
                Survivor::Words(w) => {
                    assert_eq!(w[0], w[w.len() - 1], "words were overwritten");
                    w[0] + w.len() as u64
                }
                Survivor::Refs(r) => r.len() as u64 + r[0].as_ref().map_or(0, |w| w[0]),
            })
            .sum();
        keep(table);
        sum
    }))
}

fn block(length: u64, first: usize) -> Gc<[u64]> {
    let mut words = zeroed(length as usize);
    words[0] = first as u64;
    Gc::from(words)
}

/// Runs one workload.
pub fn run(o: &Options) -> Option<Outcome> {
    set_collect_condition(condition);
    Some(match o.workload.as_str() {
        "trees" => trees(o),
        "churn" => churn(o),
        "graph" => graph(o),
        "treemark" => treemark(o),
        "list" => list(o),
        "quads" => quads(o),
        "gcbench" => gcbench(o),
        "latency" => latency(o),
        "mixed" => mixed(o),
        "frag" => blocks::frag(o, block, collect),
        "shrink" => blocks::shrink(o, block, collect),
        _ => return None,
    })
}
