//! Several threads on one heap: a stack that all of them push to and pop from without a lock.
//!
//! In a language without a collector such a stack has two problems: when may a popped node be
//! freed, and what if it comes back at the same address (the ABA problem)? Here a node that a
//! thread holds a handle to is alive, and so is its address.
//!
//! ```sh
//! cargo run -p heap-api --example threads
//! ```

use heap_api::{AtomicGcCell, Config, Cx, Gc, Heap, Root, Share, Trace};

/// Objects that several mutators reach are `Share`: every field is, too. A handle that changes
/// lies in an `AtomicGcCell`.
#[derive(Trace, Share)]
struct Node<'gc> {
    value: u64,
    next: AtomicGcCell<'gc, Node<'gc>>,
}

/// Treiber's stack.
#[derive(Trace, Share)]
struct GcStack<'gc> {
    top: AtomicGcCell<'gc, Node<'gc>>,
}

impl<'gc> GcStack<'gc> {
    fn push(&self, cx: &'gc Cx, value: u64) {
        let node = cx.alloc(Node { value, next: AtomicGcCell::new(None) });
        loop {
            let top = self.top.get();
            node.next.set(cx, top);
            if self.top.compare_exchange(cx, top, Some(node)).is_ok() {
                return;
            }
        }
    }

    fn pop(&self, cx: &'gc Cx) -> Option<u64> {
        loop {
            let top: Gc<'gc, Node<'gc>> = self.top.get()?;
            // Nobody can free `top` before our next safepoint, nor make another node of it.
            if self.top.compare_exchange(cx, Some(top), top.next.get()).is_ok() {
                return Some(top.value);
            }
        }
    }
}

const THREADS: u64 = 4;
const EACH: u64 = 100_000;

/// What one thread does: pushes its numbers, and pops half as many.
fn work(heap: &Heap, stack: &Root<GcStack<'static>>, thread: u64) -> u64 {
    // Each thread enters for itself; a `Cx` and handles stay on their thread. A root of a
    // `Share` object may go to another one.
    let mut cx = heap.enter();
    let mut popped = 0;
    for i in 0..EACH {
        let shared = stack.get(&cx);
        shared.push(&cx, thread * EACH + i);
        if i % 2 == 0 {
            popped += shared.pop(&cx).expect("we have pushed more than we have popped");
        }
        // A thread that neither polls nor parks keeps every collection waiting. Whoever comes
        // here first when one is due collects; the others wait, and help to mark.
        cx.safepoint();
    }
    popped
}

fn main() {
    let heap = Heap::new(Config::new().min_heap_bytes(1 << 20));
    let mut cx = heap.enter();
    let stack = cx.root(cx.alloc(GcStack { top: AtomicGcCell::new(None) }));

    // We wait for threads that use the same heap, so we wait outside of it: parked.
    let popped: u64 = cx.park(|| {
        std::thread::scope(|scope| {
            let spawn = |thread| {
                scope.spawn({
                    let (heap, stack) = (&heap, &stack);
                    move || work(heap, stack, thread)
                })
            };
            let threads: Vec<_> = (0..THREADS).map(spawn).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        })
    });

    let mut left = 0;
    let mut count = 0;
    while let Some(value) = stack.get(&cx).pop(&cx) {
        left += value;
        count += 1;
        cx.safepoint();
    }
    let all: u64 = (0..THREADS * EACH).sum();
    println!("{count} were left on the stack");
    println!("nothing lost, nothing doubled: {}", popped + left == all);
    println!("collected meanwhile: {}", heap.stats().collections > 0);
    println!("verified: {:?}", cx.verify());
}
