//! gc-arena: an incremental collector for one thread. With several mutators
//! every thread has an arena of its own, since an arena cannot be shared; the
//! long-lived data stays in the first. `--workers` has no meaning here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use gc_arena::arena::CollectionPhase;
use gc_arena::barrier::{field, unlock};
use gc_arena::metrics::Pacing;
use gc_arena::{Arena, Collect, Gc, Lock, Mutation, RefLock, Rootable};
use heap_bench_peers::*;

/// Cycles finished, and the longest step of collection in nanoseconds, over all threads.
static CYCLES: AtomicU64 = AtomicU64::new(0);
static LONGEST: AtomicU64 = AtomicU64::new(0);

/// A safepoint: pays the allocation debt, if there is any.
fn poll<R>(arena: &mut Arena<R>)
where
    R: for<'a> gc_arena::Rootable<'a>,
    for<'a> gc_arena::arena::Root<'a, R>: Collect<'a> + Sized,
{
    if arena.metrics().allocation_debt() > 0.0 {
        step(|| {
            arena.cycle_debt();
            arena.collection_phase() == CollectionPhase::Sleeping
        });
    }
}

/// Times one step of collection, which says whether it finished a cycle.
fn step(collect: impl FnOnce() -> bool) {
    let t = Instant::now();
    let finished = collect();
    LONGEST.fetch_max(t.elapsed().as_nanos() as u64, Ordering::Relaxed);
    if finished {
        CYCLES.fetch_add(1, Ordering::Relaxed);
    }
}

/// The outcome with what the arenas did in this run.
fn with_counts(outcome: Outcome) -> Outcome {
    let collections = CYCLES.swap(0, Ordering::Relaxed);
    let max_pause_us = LONGEST.swap(0, Ordering::Relaxed) as f64 / 1e3;
    Outcome { collections, max_pause_us, ..outcome }
}

#[derive(Collect)]
#[collect(no_drop)]
struct Node<'gc> {
    left: Option<Gc<'gc, Node<'gc>>>,
    right: Option<Gc<'gc, Node<'gc>>>,
}

type TreeArena = Arena<Rootable![Option<Gc<'_, Node<'_>>>]>;

fn bottom_up<'gc>(mc: &Mutation<'gc>, depth: usize) -> Gc<'gc, Node<'gc>> {
    let kid = || (depth > 0).then(|| bottom_up(mc, depth - 1));
    Gc::new(mc, Node { left: kid(), right: kid() })
}

fn count(node: Gc<'_, Node<'_>>) -> u64 {
    match (node.left, node.right) {
        (Some(left), Some(right)) => 1 + count(left) + count(right),
        _ => 1,
    }
}

fn checked(tree: Gc<'_, Node<'_>>, depth: usize) -> u64 {
    let n = count(tree);
    assert_eq!(n, tree_nodes(depth), "tree has the wrong number of nodes");
    n
}

/// A full collection: what has begun is finished first, as it may keep what died meanwhile.
fn collect<R>(arena: &mut Arena<R>)
where
    R: for<'a> gc_arena::Rootable<'a>,
    for<'a> gc_arena::arena::Root<'a, R>: Collect<'a> + Sized,
{
    let finish = |arena: &mut Arena<R>| {
        step(|| {
            arena.finish_cycle();
            true
        });
    };
    if arena.collection_phase() != CollectionPhase::Sleeping {
        finish(arena);
    }
    finish(arena);
}

fn keep_tree(arena: &mut TreeArena, depth: usize) {
    arena.mutate_root(|mc, root| *root = Some(bottom_up(mc, depth)));
}

fn check_kept_tree(arena: &TreeArena, depth: usize) -> u64 {
    arena.mutate(|_, root| checked(root.expect("the tree was kept"), depth))
}

fn trees(o: &Options) -> Outcome {
    let mut arena = TreeArena::new(|_| None);
    let mut sum = arena.mutate(|mc, _| checked(bottom_up(mc, o.size + 1), o.size + 1));
    poll(&mut arena);
    keep_tree(&mut arena, o.size);
    poll(&mut arena);
    let jobs = Jobs::default();
    let work = |arena: &mut TreeArena| {
        let mut local = 0;
        loop {
            let d = 4 + 2 * jobs.next();
            if d > o.size {
                return local;
            }
            for _ in 0..1 << (o.size - d + 4) {
                local += arena.mutate(|mc, _| checked(bottom_up(mc, d), d));
                poll(arena);
            }
        }
    };
    sum += match o.mutators {
        1 => work(&mut arena),
        n => on_mutators(n, |_| {
            let mut arena = TreeArena::new(|_| None);
            let sum = work(&mut arena);
            keep(arena);
            sum
        }),
    };
    sum += check_kept_tree(&arena, o.size);
    keep(arena);
    Outcome::of(sum)
}

#[derive(Collect)]
#[collect(no_drop)]
struct Cell<'gc> {
    next: Option<Gc<'gc, Cell<'gc>>>,
    value: i64,
}

type CellArena = Arena<Rootable![Option<Gc<'_, Cell<'_>>>]>;

fn churn(o: &Options) -> Outcome {
    let jobs = Jobs::default();
    Outcome::of(on_mutators(o.mutators, |_| {
        let mut arena = CellArena::new(|_| None);
        let mut sum = 0_u64;
        for values in chains(&jobs, o.size) {
            sum += arena.mutate(|mc, _| {
                let mut last = None;
                for i in values {
                    last = Some(Gc::new(mc, Cell { next: last, value: i as i64 }));
                }
                let last = last.expect("a chain has a cell");
                last.value as u64 + last.next.map_or(0, |n| n.value as u64)
            });
            poll(&mut arena);
        }
        keep(arena);
        sum
    }))
}

#[derive(Collect)]
#[collect(no_drop)]
struct GraphNode<'gc> {
    edges: [Lock<Option<Gc<'gc, GraphNode<'gc>>>>; 4],
    index: u64,
    word: u64,
}

/// How many objects are made between two safepoints of a loop.
const BATCH: usize = 1024;

fn graph(o: &Options) -> Outcome {
    let t = Instant::now();
    let mut arena =
        Arena::<Rootable![Vec<Gc<'_, GraphNode<'_>>>]>::new(|_| Vec::with_capacity(o.size));
    for start in (0..o.size).step_by(BATCH) {
        arena.mutate_root(|mc, nodes| {
            for index in start..(start + BATCH).min(o.size) {
                let index = index as u64;
                let edges = std::array::from_fn(|_| Lock::new(None));
                nodes.push(Gc::new(mc, GraphNode { edges, index, word: !index }));
            }
        });
        poll(&mut arena);
    }
    let mut rng = Xorshift64(SEED);
    for start in (0..o.size).step_by(BATCH) {
        arena.mutate(|mc, nodes| {
            for node in &nodes[start..(start + BATCH).min(o.size)] {
                for e in 0..4 {
                    let edges = field!(Gc::write(mc, *node), GraphNode, edges);
                    edges[e].unlock().set(Some(nodes[rng.next() as usize % o.size]));
                }
            }
        });
        poll(&mut arena);
    }
    let build = millis(t);
    let outcome = marking(build, o.size, || collect(&mut arena));
    let sum = arena.mutate(|_, nodes| {
        let mut sum = 0_u64;
        for node in nodes {
            assert_eq!(node.word, !node.index, "object was overwritten");
            for (e, to) in node.edges.iter().enumerate() {
                sum += to.get().expect("an edge").index * (e as u64 + 1);
            }
        }
        sum
    });
    Outcome { sum, ..outcome }
}

fn treemark(o: &Options) -> Outcome {
    let t = Instant::now();
    let mut arena = TreeArena::new(|_| None);
    keep_tree(&mut arena, o.size);
    let build = millis(t);
    let outcome = marking(build, tree_nodes(o.size) as usize, || collect(&mut arena));
    Outcome { sum: check_kept_tree(&arena, o.size), ..outcome }
}

fn list(o: &Options) -> Outcome {
    let t = Instant::now();
    let mut arena = CellArena::new(|_| None);
    for start in (0..o.size).step_by(BATCH) {
        arena.mutate_root(|mc, head| {
            for i in start..(start + BATCH).min(o.size) {
                *head = Some(Gc::new(mc, Cell { next: *head, value: i as i64 }));
            }
        });
        poll(&mut arena);
    }
    let build = millis(t);
    let outcome = marking(build, o.size, || collect(&mut arena));
    let (sum, n) = arena.mutate(|_, head| {
        std::iter::successors(*head, |c| c.next)
            .fold((0_u64, 0), |(sum, n), c| (sum + c.value as u64, n + 1))
    });
    assert_eq!(n, o.size, "list lost cells");
    Outcome { sum, ..outcome }
}

#[derive(Collect)]
#[collect(no_drop)]
struct Quad<'gc>([Option<Gc<'gc, Quad<'gc>>>; 4]);

fn make_quads<'gc>(mc: &Mutation<'gc>, depth: usize) -> Gc<'gc, Quad<'gc>> {
    let kid = |_| (depth > 0).then(|| make_quads(mc, depth - 1));
    Gc::new(mc, Quad(std::array::from_fn(kid)))
}

fn validate(quad: Gc<'_, Quad<'_>>, depth: usize) -> u64 {
    if depth == 0 {
        assert!(quad.0.iter().all(Option::is_none), "quad tree has the wrong shape");
        return 1;
    }
    let mut n = 1;
    for kid in &quad.0 {
        n += validate(kid.expect("a node above the leaves has four kids"), depth - 1);
    }
    n
}

/// An arena has no limit; sleeping until 2.5 times the live objects are there comes nearest.
fn quads(o: &Options) -> Outcome {
    let mut arena = Arena::<Rootable![Option<Gc<'_, Quad<'_>>>]>::new(|_| None);
    arena.metrics().set_pacing(Pacing { sleep_factor: 1.5, ..Pacing::DEFAULT });
    let t = Instant::now();
    arena.mutate_root(|mc, root| *root = Some(make_quads(mc, o.size)));
    let build = millis(t);
    let check =
        |root: &Option<Gc<'_, Quad<'_>>>| validate(root.expect("the tree was kept"), o.size);
    let mut sum = arena.mutate(|_, root| check(root));
    let t = Instant::now();
    for _ in 0..20 {
        for _ in 0..quads_per_round(o.size) {
            arena.mutate(|mc, _| _ = make_quads(mc, 3));
            poll(&mut arena);
        }
        sum += arena.mutate(|_, root| check(root));
    }
    let wall_ms = Some(millis(t));
    Outcome { sum, wall_ms, extra: format!(" build_ms={build:.3}"), ..Outcome::default() }
}

#[derive(Collect)]
#[collect(no_drop)]
struct BenchNode<'gc> {
    left: Lock<Option<BenchTree<'gc>>>,
    right: Lock<Option<BenchTree<'gc>>>,
    i: i32,
    j: i32,
}

type BenchTree<'gc> = Gc<'gc, BenchNode<'gc>>;

#[derive(Collect)]
#[collect(no_drop)]
struct BenchRoot<'gc> {
    tree: BenchTree<'gc>,
    array: Gc<'gc, Vec<f64>>,
}

type BenchArena = Arena<Rootable![Option<BenchRoot<'_>>]>;

fn bench_node<'gc>(mc: &Mutation<'gc>, i: usize, j: usize) -> BenchTree<'gc> {
    let (left, right) = (Lock::new(None), Lock::new(None));
    Gc::new(mc, BenchNode { left, right, i: i as i32, j: j as i32 })
}

fn populate<'gc>(mc: &Mutation<'gc>, depth: usize, node: BenchTree<'gc>) {
    if depth > 0 {
        let left = bench_node(mc, depth, 0);
        unlock!(Gc::write(mc, node), BenchNode, left).set(Some(left));
        let right = bench_node(mc, 0, depth);
        unlock!(Gc::write(mc, node), BenchNode, right).set(Some(right));
        populate(mc, depth - 1, left);
        populate(mc, depth - 1, right);
    }
}

fn bench_top_down<'gc>(mc: &Mutation<'gc>, depth: usize) -> BenchTree<'gc> {
    let root = bench_node(mc, 0, 0);
    populate(mc, depth, root);
    root
}

fn bench_bottom_up<'gc>(mc: &Mutation<'gc>, depth: usize) -> BenchTree<'gc> {
    let kid = || (depth > 0).then(|| bench_bottom_up(mc, depth - 1));
    let (left, right) = (Lock::new(kid()), Lock::new(kid()));
    Gc::new(mc, BenchNode { left, right, i: depth as i32, j: 0 })
}

fn bench_count(node: BenchTree<'_>) -> u64 {
    assert!(node.i >= 0 && node.j >= 0, "node was overwritten");
    match (node.left.get(), node.right.get()) {
        (Some(left), Some(right)) => 1 + bench_count(left) + bench_count(right),
        _ => 1,
    }
}

fn spines(tree: BenchTree<'_>) -> u64 {
    let lefts = std::iter::successors(Some(tree), |n| n.left.get()).count();
    let rights = std::iter::successors(Some(tree), |n| n.right.get()).count();
    (lefts + rights) as u64
}

fn gcbench(o: &Options) -> Outcome {
    let mut arena = BenchArena::new(|_| None);
    let mut sum = arena.mutate(|mc, _| bench_count(bench_top_down(mc, o.size + 2)));
    poll(&mut arena);
    arena.mutate_root(|mc, root| {
        let tree = bench_top_down(mc, o.size);
        let mut array = vec![0.0; GCBENCH_FLOATS];
        for (i, f) in array[..GCBENCH_FLOATS / 2].iter_mut().enumerate() {
            *f = 1.0 / (i + 1) as f64;
        }
        *root = Some(BenchRoot { tree, array: Gc::new(mc, array) });
    });
    poll(&mut arena);
    let jobs = Jobs::default();
    let work = |arena: &mut BenchArena| {
        let mut local = 0;
        loop {
            let job = jobs.next();
            let d = 4 + job / 2 * 2;
            if d > o.size {
                return local;
            }
            for _ in 0..2 * tree_nodes(o.size + 2) / tree_nodes(d) {
                local += arena.mutate(|mc, _| {
                    let top_down = job % 2 == 0;
                    spines(if top_down { bench_top_down(mc, d) } else { bench_bottom_up(mc, d) })
                });
                poll(arena);
            }
        }
    };
    sum += match o.mutators {
        1 => work(&mut arena),
        n => on_mutators(n, |_| {
            let mut arena = BenchArena::new(|_| None);
            let sum = work(&mut arena);
            keep(arena);
            sum
        }),
    };
    arena.mutate(|_, root| {
        let root = root.as_ref().expect("the root was kept");
        assert_eq!(bench_count(root.tree), tree_nodes(o.size), "long-lived tree lost nodes");
        assert_eq!(root.array[999], 1.0 / 1000.0, "array lost its floats");
        sum += tree_nodes(o.size) + (1.0 / root.array[999] + 0.5) as u64;
    });
    keep(arena);
    Outcome::of(sum)
}

#[derive(Collect)]
#[collect(no_drop)]
struct LatencyRoot<'gc> {
    tree: Gc<'gc, Node<'gc>>,
    ring: Gc<'gc, RefLock<Vec<Gc<'gc, [u8; MESSAGE_BYTES]>>>>,
}

fn message<'gc>(mc: &Mutation<'gc>, i: usize) -> Gc<'gc, [u8; MESSAGE_BYTES]> {
    let mut m = [0; MESSAGE_BYTES];
    m[..8].copy_from_slice(&(i as u64).to_le_bytes());
    m[MESSAGE_BYTES - 1] = i as u8;
    Gc::new(mc, m)
}

fn latency(o: &Options) -> Outcome {
    let mut arena = Arena::<Rootable![LatencyRoot<'_>]>::new(|mc| LatencyRoot {
        tree: bottom_up(mc, LATENCY_TREE_DEPTH),
        ring: Gc::new(mc, RefLock::new(Vec::with_capacity(o.size))),
    });
    for start in (0..o.size).step_by(BATCH) {
        arena.mutate(|mc, root| {
            let messages = (start..(start + BATCH).min(o.size)).map(|i| message(mc, i));
            root.ring.borrow_mut(mc).extend(messages);
        });
        poll(&mut arena);
    }
    let start = Instant::now();
    let times = (0..5 * o.size)
        .map(|i| {
            let t = Instant::now();
            arena.mutate(|mc, root| {
                root.ring.borrow_mut(mc)[i % o.size] = message(mc, o.size + i);
            });
            poll(&mut arena);
            t.elapsed().as_nanos() as u64
        })
        .collect();
    let wall = millis(start);
    let sum = arena.mutate(|_, root| {
        let mut sum = checked(root.tree, LATENCY_TREE_DEPTH);
        for m in root.ring.borrow().iter() {
            let i = u64::from_le_bytes(m[..8].try_into().expect("eight bytes"));
            assert_eq!(m[MESSAGE_BYTES - 1], i as u8, "message was overwritten");
            sum += i;
        }
        sum
    });
    Outcome { sum, wall_ms: Some(wall), extra: latencies(times), ..Outcome::default() }
}

type Words<'gc> = Gc<'gc, Box<[u64]>>;
type Refs<'gc> = Gc<'gc, Box<[Option<Words<'gc>>]>>;

#[derive(Clone, Copy, Collect)]
#[collect(no_drop)]
enum Survivor<'gc> {
    Nothing,
    Words(Words<'gc>),
    Refs(Refs<'gc>),
}

/// There are no slices in place, so an array is an object that owns a boxed slice.
fn mixed(o: &Options) -> Outcome {
    Outcome::of(on_mutators(o.mutators, |m| {
        let places = MIXED_SURVIVORS / o.mutators;
        let mut arena = Arena::<Rootable![Gc<'_, RefLock<Vec<Survivor<'_>>>>]>::new(|mc| {
            Gc::new(mc, RefLock::new(vec![Survivor::Nothing; places]))
        });
        let mut rng = Xorshift64(SEED + m as u64);
        for i in 0..share(o.size, m, o.mutators).len() {
            let step = MixedStep::draw(&mut rng, places);
            arena.mutate(|mc, table| mixed_step(mc, *table, &step, i as u64));
            poll(&mut arena);
        }
        let sum = arena.mutate(|_, table| table.borrow().iter().map(survivor_sum).sum());
        keep(arena);
        sum
    }))
}

fn mixed_step<'gc>(
    mc: &Mutation<'gc>,
    table: Gc<'gc, RefLock<Vec<Survivor<'gc>>>>,
    step: &MixedStep,
    i: u64,
) {
    let made = if step.words {
        let mut words: Box<[u64]> = zeroed(step.length).into();
        words[0] = i;
        words[step.length - 1] = i;
        Survivor::Words(Gc::new(mc, words))
    } else {
        let mut refs: Box<[Option<Words<'gc>>]> = vec![None; step.length].into();
        if let Survivor::Words(words) = table.borrow()[step.place] {
            refs[0] = Some(words);
        }
        Survivor::Refs(Gc::new(mc, refs))
    };
    if step.survives {
        table.borrow_mut(mc)[step.place] = made;
    }
}

fn survivor_sum(survivor: &Survivor<'_>) -> u64 {
    match survivor {
        Survivor::Nothing => 0,
        Survivor::Words(w) => {
            assert_eq!(w[0], w[w.len() - 1], "words were overwritten");
            w[0] + w.len() as u64
        }
        Survivor::Refs(r) => r.len() as u64 + r[0].map_or(0, |w| w[0]),
    }
}

fn block<'gc>(mc: &Mutation<'gc>, length: u64, first: usize) -> Words<'gc> {
    let mut words: Box<[u64]> = zeroed(length as usize).into();
    words[0] = first as u64;
    Gc::new(mc, words)
}

type Blocks<'gc> = Vec<Option<Words<'gc>>>;
type BlockArena = Arena<Rootable![Blocks<'_>]>;

/// As many blocks of 2 to 32 words, and the sum of their lengths.
fn fill(rng: &mut Xorshift64, size: usize) -> (BlockArena, u64) {
    let mut arena = BlockArena::new(|_| Vec::with_capacity(size));
    let mut words = 0;
    for start in (0..size).step_by(BATCH) {
        arena.mutate_root(|mc, blocks| {
            for i in start..(start + BATCH).min(size) {
                let b = block(mc, 2 + rng.next() % 31, i);
                words += b.len() as u64;
                blocks.push(Some(b));
            }
        });
        poll(&mut arena);
    }
    (arena, words)
}

fn frag(o: &Options) -> Outcome {
    let start = Instant::now();
    let mut rng = Xorshift64(SEED);
    let (mut arena, filled) = fill(&mut rng, o.size);
    let (_, mut live) = arena.mutate_root(|_, blocks| blocks::thin(&mut rng, blocks));
    collect(&mut arena);
    let (mut i, mut refilled) = (0, 0);
    while live < filled {
        arena.mutate_root(|mc, blocks| {
            for place in blocks[i..].iter_mut().take(BATCH) {
                if live < filled && place.is_none() {
                    let b = block(mc, 35 + rng.next() % 125, refilled);
                    live += b.len() as u64;
                    *place = Some(b);
                    refilled += 1;
                }
            }
        });
        i += BATCH;
        poll(&mut arena);
    }
    collect(&mut arena);
    let wall_ms = Some(millis(start));
    let rss = status_mb("VmRSS:");
    let sum =
        arena.mutate(|_, blocks| blocks.iter().flatten().map(|b| b[0] + b.len() as u64).sum());
    Outcome { sum, wall_ms, extra: fragmentation(live, rss), ..Outcome::default() }
}

fn shrink(o: &Options) -> Outcome {
    let mut rng = Xorshift64(SEED);
    let (mut arena, _) = fill(&mut rng, o.size);
    let (n, _) = arena.mutate_root(|_, blocks| blocks::thin(&mut rng, blocks));
    arena.mutate_root(|_, blocks| {
        let mut kept = Vec::with_capacity(n);
        kept.extend(blocks.iter().copied().filter(Option::is_some));
        *blocks = kept;
    });
    collect(&mut arena);
    let start = Instant::now();
    for _ in 0..SHRINK_ROUNDS * n {
        arena.mutate_root(|mc, blocks| {
            let i = rng.next() as usize % n;
            blocks[i] = Some(block(mc, 2 + rng.next() % 31, i));
        });
        poll(&mut arena);
    }
    let wall_ms = Some(millis(start));
    collect(&mut arena);
    let rss = status_mb("VmRSS:");
    let (live, sum) = arena.mutate(|_, blocks| {
        let all = || blocks.iter().flatten();
        (all().map(|b| b.len() as u64).sum(), all().map(|b| b[0] + b.len() as u64).sum())
    });
    Outcome { sum, wall_ms, extra: fragmentation(live, rss), ..Outcome::default() }
}

fn main() {
    main_with(|o| {
        Some(with_counts(match o.workload.as_str() {
            "trees" => trees(o),
            "churn" => churn(o),
            "graph" => graph(o),
            "treemark" => treemark(o),
            "list" => list(o),
            "quads" => quads(o),
            "gcbench" => gcbench(o),
            "latency" => latency(o),
            "mixed" => mixed(o),
            "frag" => frag(o),
            "shrink" => shrink(o),
            _ => return None,
        }))
    });
}
