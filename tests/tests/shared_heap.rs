//! Four mutators on one heap, working on structures that they share, with
//! collections in between: nothing is lost, nothing is there twice.
//!
//! `HEAP_TESTS_OPERATIONS` sets the operations per mutator (a million in
//! optimised builds).

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use heap_api::{AtomicGcCell, Config, Cx, Gc, Heap, Opaque, Root, Share, Trace};
use heap_tests::{Counted, Counter};

const MUTATORS: u64 = 4;

fn operations() -> u64 {
    let set = std::env::var("HEAP_TESTS_OPERATIONS").ok().and_then(|n| n.parse().ok());
    set.unwrap_or(if cfg!(debug_assertions) { 300_000 } else { 1_000_000 })
}

fn configs() -> impl Iterator<Item = Config> {
    let whole =
        [(0, false), (2, false), (0, true), (2, true)].into_iter().map(|(mark_threads, on)| {
            Config::new().min_heap_bytes(256 << 10).mark_threads(mark_threads).background_sweep(on)
        });
    let slice = |us| Config::new().min_heap_bytes(256 << 10).mark_slice(Duration::from_micros(us));
    whole.chain([slice(0), slice(50).mark_threads(2).background_sweep(true)])
}

/// A generator good enough to mix operations.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }
}

/// What mutators do between two operations.
fn pause(cx: &mut Cx, operation: u64, mutator: u64) {
    cx.safepoint();
    if operation % 30_000 == mutator * 7000 {
        cx.collect();
    }
    if operation % 5000 == mutator {
        cx.park(std::thread::yield_now);
    }
}

// ---- Stacks: pushed once, popped once -----------------------------------------------

#[derive(Trace, Share)]
struct Node<'gc> {
    value: u64,
    /// Something to drop, in every eighth node.
    payload: Option<Opaque<Counted>>,
    next: AtomicGcCell<'gc, Node<'gc>>,
}

#[derive(Trace, Share)]
struct GcStack<'gc> {
    top: AtomicGcCell<'gc, Node<'gc>>,
}

impl<'gc> GcStack<'gc> {
    fn push(&self, cx: &'gc Cx, node: Gc<'gc, Node<'gc>>) {
        let mut top = self.top.get();
        loop {
            node.next.set(cx, top);
            match self.top.compare_exchange(cx, top, Some(node)) {
                Ok(()) => return,
                Err(now) => top = now,
            }
        }
    }

    fn pop(&self, cx: &'gc Cx) -> Option<Gc<'gc, Node<'gc>>> {
        let mut top = self.top.get();
        loop {
            let node = top?;
            // No node comes back to the top while we hold its handle, since it is
            // never pushed again and its memory not used again: no ABA.
            match self.top.compare_exchange(cx, top, node.next.get()) {
                Ok(()) => return Some(node),
                Err(now) => top = now,
            }
        }
    }
}

type Stacks = Root<[GcStack<'static>]>;

fn push_and_pop(heap: &Heap, stacks: &Stacks, counter: &Arc<Counter>, seen: &[AtomicU8], me: u64) {
    let count = |node: Gc<'_, Node<'_>>| {
        if let Some(payload) = &node.payload {
            assert_eq!(payload.0.id(), node.value);
        }
        seen[node.value as usize].fetch_add(1, Ordering::Relaxed);
    };
    let mut random = Random(me * 77 + 1);
    let mut cx = heap.enter();
    let operations = operations();
    for i in 0..operations {
        {
            let stacks = stacks.get(&cx).as_ref();
            let stack = &stacks[random.below(stacks.len() as u64) as usize];
            let value = me * operations + i;
            let payload = (i % 8 == 0).then(|| Opaque(counter.value(value)));
            let node = cx.alloc(Node { value, payload, next: AtomicGcCell::new(None) });
            stack.push(&cx, node);
            // Keeps some thousand nodes on the stacks.
            if random.below(1000) < 998 {
                let stack = &stacks[random.below(stacks.len() as u64) as usize];
                if let Some(node) = stack.pop(&cx) {
                    count(node);
                }
            }
        }
        pause(&mut cx, i, me);
    }
}

#[test]
fn what_is_pushed_is_popped_once() {
    for config in configs() {
        let heap = Heap::new(config.clone());
        let counter = Counter::new();
        let total = MUTATORS * operations();
        let seen: Vec<AtomicU8> = (0..total).map(|_| AtomicU8::new(0)).collect();
        let stacks: Stacks = {
            let cx = heap.enter();
            cx.root(cx.alloc_slice_fn(16, |_| GcStack { top: AtomicGcCell::new(None) }))
        };
        std::thread::scope(|scope| {
            for me in 0..MUTATORS {
                let (heap, stacks, counter, seen) = (&heap, stacks.clone(), &counter, &seen[..]);
                scope.spawn(move || push_and_pop(heap, &stacks, counter, seen, me));
            }
        });
        heap.verify().unwrap();
        let mut cx = heap.enter();
        cx.collect();
        let mut left = 0;
        for stack in stacks.get(&cx).as_ref() {
            while let Some(node) = stack.pop(&cx) {
                seen[node.value as usize].fetch_add(1, Ordering::Relaxed);
                left += 1;
            }
        }
        for (value, times) in seen.iter().enumerate() {
            assert_eq!(times.load(Ordering::Relaxed), 1, "value {value}, {config:?}");
        }
        assert!(left > 0, "some stayed");
        cx.collect();
        cx.verify().unwrap();
        let stats = heap.stats();
        assert!(stats.collections > MUTATORS, "{stats:?}");
        assert_eq!(counter.dropped(), counter.made(), "all nodes are dead and swept");
        counter.assert_balanced();
    }
}

// ---- A tree: inserted once, found for ever ---------------------------------------------

#[derive(Trace, Share)]
struct Branch<'gc> {
    key: u64,
    values: Gc<'gc, [u64]>,
    sides: [AtomicGcCell<'gc, Branch<'gc>>; 2],
}

/// Puts a key into the tree; tells whether it was new.
fn insert<'gc>(cx: &'gc Cx, root: Gc<'gc, Branch<'gc>>, key: u64) -> bool {
    let mut at = root;
    let mut made = None;
    // The bits of the key, from the lowest, say where to go.
    for bit in 0.. {
        if at.key == key {
            return false;
        }
        let side = &at.sides[(key >> bit & 1) as usize];
        at = match side.get() {
            Some(next) => next,
            None => {
                let new = *made.get_or_insert_with(|| {
                    let values = cx.alloc_slice_copy(&[key, !key]);
                    let sides = [AtomicGcCell::new(None), AtomicGcCell::new(None)];
                    cx.alloc(Branch { key, values, sides })
                });
                match side.compare_exchange(cx, None, Some(new)) {
                    Ok(()) => return true,
                    Err(other) => other.expect("slots are filled once"),
                }
            }
        };
    }
    unreachable!("keys differ in some bit")
}

fn collect_keys<'gc>(root: Gc<'gc, Branch<'gc>>, keys: &mut Vec<u64>) {
    let mut stack = vec![root];
    while let Some(branch) = stack.pop() {
        assert_eq!(*branch.values, [branch.key, !branch.key]);
        keys.push(branch.key);
        stack.extend(branch.sides.iter().filter_map(AtomicGcCell::get));
    }
}

#[test]
fn a_shared_tree_loses_nothing() {
    for config in configs() {
        let heap = Heap::new(config);
        let new = AtomicU64::new(0);
        let tree: Root<Branch<'static>> = {
            let cx = heap.enter();
            let values = cx.alloc_slice_copy(&[u64::MAX, 0]);
            let sides = [AtomicGcCell::new(None), AtomicGcCell::new(None)];
            cx.root(cx.alloc(Branch { key: u64::MAX, values, sides }))
        };
        let span = operations() / 4;
        std::thread::scope(|scope| {
            for me in 0..MUTATORS {
                let (heap, tree, new) = (&heap, tree.clone(), &new);
                scope.spawn(move || {
                    let mut random = Random(me * 99 + 5);
                    let mut cx = heap.enter();
                    for i in 0..operations() / 4 {
                        {
                            // Everybody inserts from the same range of keys.
                            let key = random.below(span).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 1;
                            let inserted = insert(&cx, tree.get(&cx), key);
                            new.fetch_add(u64::from(inserted), Ordering::Relaxed);
                            // Garbage of another kind.
                            let _ = cx.alloc([i; 4]);
                        }
                        pause(&mut cx, i, me);
                    }
                });
            }
        });
        heap.verify().unwrap();
        let mut cx = heap.enter();
        cx.collect();
        let mut keys = Vec::new();
        collect_keys(tree.get(&cx), &mut keys);
        assert_eq!(keys.len() as u64, new.load(Ordering::Relaxed) + 1);
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len() as u64, new.load(Ordering::Relaxed) + 1, "no key twice");
        cx.verify().unwrap();
    }
}
