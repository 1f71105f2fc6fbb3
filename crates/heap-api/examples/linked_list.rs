//! A doubly linked list: the first program for this heap.
//!
//! It shows the five things that every program does: describe its objects, enter the heap,
//! allocate, keep something alive with a root, and reach safepoints.
//!
//! ```sh
//! cargo run -p heap-api --example linked_list
//! ```

use heap_api::{Config, Cx, Gc, GcCell, Heap, Root, Trace};

/// An object. `derive(Trace)` tells the collector where its handles are. `'gc` stands for the
/// stretch of the program between two safepoints: a handle (`Gc`) is valid that long.
///
/// A handle that changes lies in a `GcCell`, which is a `Cell` with a write barrier.
#[derive(Trace)]
struct Node<'gc> {
    name: Gc<'gc, str>,
    previous: Link<'gc>,
    next: Link<'gc>,
}

type Link<'gc> = GcCell<Option<Gc<'gc, Node<'gc>>>>;

/// The list itself is an object too, so that one root keeps all of it alive.
#[derive(Trace)]
struct List<'gc> {
    first: Link<'gc>,
    last: Link<'gc>,
}

impl<'gc> List<'gc> {
    /// Appends a node. It takes `&Cx`: it may allocate, and it cannot collect. So `self` and
    /// every other handle stay valid, and nothing has to be protected meanwhile.
    fn push_back(&self, cx: &'gc Cx, name: &str) -> Gc<'gc, Node<'gc>> {
        let node = cx.alloc(Node {
            name: cx.alloc_str(name),
            previous: GcCell::new(self.last.get()),
            next: GcCell::new(None),
        });
        match self.last.get() {
            Some(last) => last.next.set(cx, Some(node)),
            None => self.first.set(cx, Some(node)),
        }
        self.last.set(cx, Some(node));
        node
    }

    /// Takes a node out. The neighbours point at each other in both directions; the collector
    /// does not mind cycles, so there are no weak links and nothing to free by hand.
    fn unlink(&self, cx: &'gc Cx, node: Gc<'gc, Node<'gc>>) {
        let (previous, next) = (node.previous.get(), node.next.get());
        match previous {
            Some(previous) => previous.next.set(cx, next),
            None => self.first.set(cx, next),
        }
        match next {
            Some(next) => next.previous.set(cx, previous),
            None => self.last.set(cx, previous),
        }
    }

    /// A handle follows like a reference, at the same price.
    fn iter(&self) -> impl Iterator<Item = Gc<'gc, Node<'gc>>> {
        std::iter::successors(self.first.get(), |node| node.next.get())
    }

    fn to_text(&self) -> String {
        self.iter().map(|node| node.name.to_string()).collect::<Vec<_>>().join(" ")
    }
}

fn main() {
    let heap = Heap::new(Config::new());
    // From here on this thread is a *mutator* of the heap.
    let mut cx = heap.enter();

    // A root is owned: it keeps its object alive across safepoints, wherever it is stored.
    // `'static` in its type says that it is of no particular stretch of the program.
    let list: Root<List<'static>> =
        cx.root(cx.alloc(List { first: GcCell::new(None), last: GcCell::new(None) }));

    for name in ["ada", "barbara", "grace", "hedy"] {
        // A root gives the handle back, for the stretch that we are in.
        list.get(&cx).push_back(&cx, name);
        // A safepoint takes `&mut cx`, so the compiler has checked that no bare handle is in
        // use: here the heap may collect. Most calls do nothing but look at one flag.
        cx.safepoint();
    }
    println!("{}", list.get(&cx).to_text());

    {
        let list = list.get(&cx);
        let second = list.iter().nth(1).expect("four nodes");
        list.unlink(&cx, second);
        println!("{}", list.to_text());
    } // `second` ends here; it could not be used after the next line anyway.

    // Nobody reaches the second node any more, although it still points into the list.
    cx.collect();
    let stats = heap.stats();
    println!("{} objects are alive: the list, three nodes, three names", stats.marked_objects);

    // Garbage by the million: it is collected at the safepoints, when the heap has grown enough.
    for i in 0..1_000_000 {
        list.get(&cx).push_back(&cx, "short-lived");
        if i % 100 == 99 {
            let list = list.get(&cx);
            list.iter().skip(3).for_each(|node| list.unlink(&cx, node));
        }
        cx.safepoint();
    }
    println!("{}", list.get(&cx).to_text());
    let stats = heap.stats();
    assert!(stats.collections > 5 && stats.heap_bytes_max < 64 << 20);
    println!("verified: {:?}", cx.verify());
}
