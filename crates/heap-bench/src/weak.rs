//! `heap-bench weak`: what weak handles, ephemerons, weak maps and finalizers cost.
//!
//! Each case makes its objects, collects, and looks at the outcome; each part is timed. One line of
//! `key=value` pairs per round and case, and every case checks what is left.

use std::time::{Duration, Instant};

use heap_api::{Config, Cx, Ephemeron, Finalizers, Gc, GcCell, Heap, Root, Trace, Weak, WeakMap};

use crate::args::WeakArgs;
use crate::session::{batches, poll};

#[derive(Trace)]
struct Node<'gc> {
    value: u64,
    next: GcCell<Option<Gc<'gc, Node<'gc>>>>,
}

fn node<'gc>(cx: &'gc Cx, value: u64) -> Gc<'gc, Node<'gc>> {
    cx.alloc(Node { value, next: GcCell::new(None) })
}

type Nodes<'gc> = [GcCell<Option<Gc<'gc, Node<'gc>>>>];

fn nodes(cx: &Cx, len: usize) -> Root<Nodes<'static>> {
    cx.root(cx.alloc_slice_fn(len, |i| GcCell::new(Some(node(cx, i as u64)))))
}

/// Lets every second node go.
fn drop_half(cx: &Cx, nodes: &Root<Nodes<'static>>) {
    nodes.get(cx).iter().step_by(2).for_each(|cell| cell.set(cx, None));
}

struct Part(&'static str, Duration);

fn timed<R>(parts: &mut Vec<Part>, name: &'static str, work: impl FnOnce() -> R) -> R {
    let start = Instant::now();
    let result = work();
    parts.push(Part(name, start.elapsed()));
    result
}

type Case = fn(&mut Cx, usize) -> Vec<Part>;

const CASES: &[(&str, usize, Case)] = &[
    ("weak", 1_000_000, weak),
    ("ephemerons", 1_100_000, |cx, size| ephemerons(cx, size, Order::Forward)),
    ("ephemerons-reversed", 1_100_000, |cx, size| ephemerons(cx, size, Order::Reversed)),
    ("ephemerons-single", 1_100_000, single_ephemerons),
    ("list", 1_100_000, list),
    ("maps", 1_000_000, maps),
    ("finalizers", 500_000, finalizers),
];

pub(crate) fn run(args: &WeakArgs) {
    for (name, size, case) in CASES {
        if !args.cases.is_empty() && !args.cases.iter().any(|wanted| wanted == name) {
            continue;
        }
        let size = (size * args.percent / 100).max(16);
        for _ in 0..args.repeat {
            let heap = Heap::new(Config::new().mark_threads(args.workers - 1));
            let mut cx = heap.enter();
            let parts = case(&mut cx, size);
            cx.collect();
            let times: Vec<_> = parts
                .iter()
                .map(|Part(part, time)| format!("{part}_ms={:.1}", time.as_secs_f64() * 1e3))
                .collect();
            println!("case={name} size={size} workers={} {}", args.workers, times.join(" "));
        }
    }
}

type Handles<'gc> = [GcCell<Option<Weak<'gc, Node<'gc>>>>];

fn handles(cx: &Cx, len: usize) -> Root<Handles<'static>> {
    let none: Gc<'_, Handles<'_>> = cx.alloc_slice_fn(len, |_| GcCell::new(None));
    cx.root(none)
}

/// Weak handles, half of whose objects die.
fn weak(cx: &mut Cx, size: usize) -> Vec<Part> {
    let mut parts = Vec::new();
    let nodes = nodes(cx, size);
    let handles = handles(cx, size);
    cx.collect();
    timed(&mut parts, "make", || {
        for batch in batches(size) {
            let (nodes, handles) = (nodes.get(cx), handles.get(cx));
            for i in batch {
                let node = nodes[i].get().expect("alive");
                handles[i].set(cx, Some(node.downgrade(cx)));
            }
            poll(cx);
        }
    });
    drop_half(cx, &nodes);
    timed(&mut parts, "collect", || cx.collect());
    let alive = timed(&mut parts, "read", || {
        let handles = handles.get(cx);
        handles
            .iter()
            .filter(|handle| handle.get().is_some_and(|weak| weak.upgrade(cx).is_some()))
            .count()
    });
    assert_eq!(alive, size / 2);
    parts
}

#[derive(Clone, Copy)]
enum Order {
    /// Each ephemeron is before the one whose key its value leads to.
    Forward,
    Reversed,
}

type Table<'gc> = [Ephemeron<'gc, Node<'gc>, Gc<'gc, Node<'gc>>>];

/// A chain in a table of ephemerons: each value is the next key.
fn ephemerons(cx: &mut Cx, size: usize, order: Order) -> Vec<Part> {
    let mut parts = Vec::new();
    let (table, first) = timed(&mut parts, "build", || {
        let table = {
            let table: Gc<'_, Table<'_>> = cx.alloc_ephemerons(size);
            cx.root(table)
        };
        let first = cx.root(node(cx, 0));
        let mut last = first.clone();
        for batch in batches(size) {
            let slots = table.get(cx);
            let mut key = last.get(cx);
            for i in batch {
                let next = node(cx, i as u64 + 1);
                let at = match order {
                    Order::Forward => i,
                    Order::Reversed => size - 1 - i,
                };
                slots[at].set(cx, key, next);
                key = next;
            }
            last = cx.root(key);
            poll(cx);
        }
        (table, first)
    });
    let count = |cx: &Cx| table.get(cx).iter().filter(|pair| pair.get(cx).is_some()).count();
    timed(&mut parts, "collect", || cx.collect());
    timed(&mut parts, "collect_again", || cx.collect());
    assert_eq!(count(cx), size);
    drop(first);
    timed(&mut parts, "collect_dead", || cx.collect());
    assert_eq!(count(cx), 0);
    parts
}

#[derive(Trace)]
struct Link<'gc> {
    next: GcCell<Option<Gc<'gc, Pair<'gc>>>>,
}

type Pair<'gc> = Ephemeron<'gc, Link<'gc>, Gc<'gc, Link<'gc>>>;

/// A chain of ephemerons that are objects of their own: each is found through the value of the one
/// before.
fn single_ephemerons(cx: &mut Cx, size: usize) -> Vec<Part> {
    let mut parts = Vec::new();
    let first: Root<Link<'static>> = timed(&mut parts, "build", || {
        let first = cx.root(link(cx));
        let mut last = first.clone();
        for batch in batches(size) {
            let mut key = last.get(cx);
            for _ in batch {
                let next = link(cx);
                key.next.set(cx, Some(cx.alloc_ephemeron(key, next)));
                key = next;
            }
            last = cx.root(key);
            poll(cx);
        }
        first
    });
    timed(&mut parts, "collect", || cx.collect());
    timed(&mut parts, "collect_again", || cx.collect());
    let mut count = 0;
    let mut at = Some(first.get(cx));
    while let Some(key) = at {
        at = key.next.get().and_then(|pair| pair.value_of(key));
        count += usize::from(at.is_some());
    }
    assert_eq!(count, size);
    parts
}

fn link<'gc>(cx: &'gc Cx) -> Gc<'gc, Link<'gc>> {
    cx.alloc(Link { next: GcCell::new(None) })
}

/// For comparison: a chain of ordinary objects, two for each link.
fn list(cx: &mut Cx, size: usize) -> Vec<Part> {
    let mut parts = Vec::new();
    let first = timed(&mut parts, "build", || {
        let first = cx.root(node(cx, 0));
        let mut last = first.clone();
        for batch in batches(size * 2) {
            let mut at = last.get(cx);
            for i in batch {
                let next = node(cx, i as u64 + 1);
                at.next.set(cx, Some(next));
                at = next;
            }
            last = cx.root(at);
            poll(cx);
        }
        first
    });
    timed(&mut parts, "collect", || cx.collect());
    timed(&mut parts, "collect_again", || cx.collect());
    let mut count = 0;
    let mut at = first.get(cx).next.get();
    while let Some(node) = at {
        count += 1;
        at = node.next.get();
    }
    assert_eq!(count, size * 2);
    parts
}

type Map<'gc> = WeakMap<'gc, Node<'gc>, Gc<'gc, Node<'gc>>>;

/// A weak map, half of whose keys die.
fn maps(cx: &mut Cx, size: usize) -> Vec<Part> {
    let mut parts = Vec::new();
    let keys = nodes(cx, size);
    cx.collect();
    let map = timed(&mut parts, "fill", || {
        let map: Gc<'_, Map<'_>> = cx.alloc(WeakMap::new());
        let map = cx.root(map);
        for batch in batches(size) {
            let (keys, map) = (keys.get(cx), map.get(cx));
            for i in batch {
                let key = keys[i].get().expect("alive");
                map.insert(cx, key, node(cx, i as u64));
            }
            poll(cx);
        }
        map
    });
    drop_half(cx, &keys);
    timed(&mut parts, "collect", || cx.collect());
    let len = timed(&mut parts, "count", || map.get(cx).len(cx));
    assert_eq!(len, size / 2);
    timed(&mut parts, "look_up", || {
        let (keys, map) = (keys.get(cx), map.get(cx));
        let found = keys
            .iter()
            .filter_map(GcCell::get)
            .filter(|key| map.get(*key).is_some_and(|value| value.value == key.value));
        assert_eq!(found.count(), size / 2);
    });
    parts
}

/// Objects with finalizers, all of which die.
fn finalizers(cx: &mut Cx, size: usize) -> Vec<Part> {
    let mut parts = Vec::new();
    let nodes = nodes(cx, size);
    let finalizers = Finalizers::<Node<'static>>::new(&cx.heap());
    cx.collect();
    timed(&mut parts, "register", || {
        let nodes = nodes.get(cx);
        nodes.iter().filter_map(GcCell::get).for_each(|node| finalizers.register(cx, node));
    });
    timed(&mut parts, "collect_live", || cx.collect());
    drop(nodes);
    timed(&mut parts, "collect_dead", || cx.collect());
    let sum = timed(&mut parts, "drain", || {
        std::iter::from_fn(|| finalizers.next(cx)).map(|node| node.value).sum::<u64>()
    });
    assert_eq!(sum, (size as u64 * (size as u64 - 1)) / 2);
    parts
}
