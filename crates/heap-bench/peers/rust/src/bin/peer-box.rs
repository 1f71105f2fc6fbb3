//! Plain `Box`: ownership and `malloc`, without a collector. It can do only what
//! has a single owner, so the marking workloads are skipped, and nothing here is
//! ever collected: what dies is freed at once, which is part of the time.

use std::hint::black_box;
use std::iter::repeat_n;
use std::rc::Rc;
use std::time::Instant;

use heap_bench_peers::*;

/// A tree of `Box`es whose leaves are objects too, as in the other programs.
struct Node {
    left: Option<Box<Node>>,
    right: Option<Box<Node>>,
}

fn bottom_up(depth: usize) -> Box<Node> {
    match depth {
        0 => Box::new(Node { left: None, right: None }),
        _ => Box::new(Node { left: Some(bottom_up(depth - 1)), right: Some(bottom_up(depth - 1)) }),
    }
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

struct Cell {
    next: Option<Box<Cell>>,
    value: i64,
}

fn churn(o: &Options) -> Outcome {
    let jobs = Jobs::default();
    Outcome::of(on_mutators(o.mutators, |_| {
        let mut sum = 0_u64;
        for values in chains(&jobs, o.size) {
            let mut last = None;
            for i in values {
                last = Some(Box::new(Cell { next: last, value: i as i64 }));
            }
            let last = black_box(last).expect("a chain has a cell");
            sum += last.value as u64 + last.next.as_ref().map_or(0, |n| n.value as u64);
        }
        sum
    }))
}

struct Quad([Option<Box<Quad>>; 4]);

fn make_quads(depth: usize) -> Box<Quad> {
    Box::new(Quad(std::array::from_fn(|_| (depth > 0).then(|| make_quads(depth - 1)))))
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
    Outcome {
        sum,
        wall_ms: Some(millis(t)),
        extra: format!(" build_ms={build:.3}"),
        ..Outcome::default()
    }
}

struct BenchNode {
    left: Option<Box<BenchNode>>,
    right: Option<Box<BenchNode>>,
    i: i32,
    j: i32,
}

fn bench_node(i: usize, j: usize) -> Box<BenchNode> {
    Box::new(BenchNode { left: None, right: None, i: i as i32, j: j as i32 })
}

fn populate(depth: usize, node: &mut BenchNode) {
    if depth > 0 {
        let left = node.left.insert(bench_node(depth, 0));
        let right = node.right.insert(bench_node(0, depth));
        populate(depth - 1, left);
        populate(depth - 1, right);
    }
}

fn bench_top_down(depth: usize) -> Box<BenchNode> {
    let mut root = bench_node(0, 0);
    populate(depth, &mut root);
    root
}

fn bench_bottom_up(depth: usize) -> Box<BenchNode> {
    let kid = || (depth > 0).then(|| bench_bottom_up(depth - 1));
    Box::new(BenchNode { left: kid(), right: kid(), i: depth as i32, j: 0 })
}

fn bench_count(node: &BenchNode) -> u64 {
    assert!(node.i >= 0 && node.j >= 0, "node was overwritten");
    match (&node.left, &node.right) {
        (Some(left), Some(right)) => 1 + bench_count(left) + bench_count(right),
        _ => 1,
    }
}

fn spines(tree: &BenchNode) -> u64 {
    let lefts = std::iter::successors(Some(tree), |n| n.left.as_deref()).count();
    let rights = std::iter::successors(Some(tree), |n| n.right.as_deref()).count();
    (lefts + rights) as u64
}

fn gcbench(o: &Options) -> Outcome {
    let mut sum = bench_count(&bench_top_down(o.size + 2));
    let long_lived = bench_top_down(o.size);
    let mut array: Box<[f64]> = vec![0.0; GCBENCH_FLOATS].into();
    for (i, float) in array[..GCBENCH_FLOATS / 2].iter_mut().enumerate() {
        *float = 1.0 / (i + 1) as f64;
    }
    let jobs = Jobs::default();
    sum += on_mutators(o.mutators, |_| {
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

fn message(i: usize) -> Box<[u8]> {
    let mut m: Box<[u8]> = zeroed(MESSAGE_BYTES).into();
    m[..8].copy_from_slice(&(i as u64).to_le_bytes());
    m[MESSAGE_BYTES - 1] = i as u8;
    m
}

fn latency(o: &Options) -> Outcome {
    let tree = bottom_up(LATENCY_TREE_DEPTH);
    let mut ring: Vec<Box<[u8]>> = (0..o.size).map(message).collect();
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
    Words(Rc<[u64]>),
    Refs(Box<[Option<Rc<[u64]>>]>),
}

/// The words of a survivor may be referred to by others, so they are counted: `Rc`.
fn mixed(o: &Options) -> Outcome {
    Outcome::of(on_mutators(o.mutators, |m| {
        let places = MIXED_SURVIVORS / o.mutators;
        let mut table: Vec<Survivor> = (0..places).map(|_| Survivor::Nothing).collect();
        let mut rng = Xorshift64(SEED + m as u64);
        for i in 0..share(o.size, m, o.mutators).len() {
            let step = MixedStep::draw(&mut rng, places);
            let made = if step.words {
                let mut zeroed: Rc<[u64]> = repeat_n(0, step.length).collect();
                let words = Rc::get_mut(&mut zeroed).expect("the only handle");
                words[0] = i as u64;
                words[step.length - 1] = i as u64;
                Survivor::Words(zeroed)
            } else {
                let mut refs: Box<[_]> = vec![None; step.length].into();
                if let Survivor::Words(words) = &table[step.place] {
                    refs[0] = Some(words.clone());
                }
                Survivor::Refs(refs)
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

fn block(length: u64, first: usize) -> Box<[u64]> {
    let mut b: Box<[u64]> = zeroed(length as usize).into();
    b[0] = first as u64;
    b
}

fn main() {
    main_with(|o| {
        Some(match o.workload.as_str() {
            "trees" => trees(o),
            "churn" => churn(o),
            "quads" => quads(o),
            "gcbench" => gcbench(o),
            "latency" => latency(o),
            "mixed" => mixed(o),
            "frag" => blocks::frag(o, block, || ()),
            "shrink" => blocks::shrink(o, block, || ()),
            _ => return None,
        })
    });
}
