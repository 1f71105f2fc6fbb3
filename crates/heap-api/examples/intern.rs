//! Symbols: strings that are the same object when they are equal, in a table that keeps none of
//! them alive.
//!
//! ```sh
//! cargo run -p heap-api --example intern
//! ```

use std::hash::{BuildHasher, RandomState};

use heap_api::{Config, Cx, Gc, Heap, InternSet, Root, Trace};

/// A symbol: equal ones are identical, so comparing two of them compares two words.
#[derive(Clone, Copy, Trace)]
struct Symbol<'gc>(Gc<'gc, str>);

impl PartialEq for Symbol<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.ptr_eq(other.0)
    }
}

/// The table of symbols. An [`InternSet`] is *weak*: after marking, and before the program goes
/// on, the collector takes the dead out of it.
///
/// The program hashes, so that it may use what hash it has at hand. A table that strangers fill
/// wants one with a seed.
struct Symbols {
    set: InternSet<str>,
    seed: RandomState,
}

impl Symbols {
    fn new(heap: &Heap) -> Symbols {
        Symbols { set: InternSet::new(heap), seed: RandomState::new() }
    }

    fn intern<'gc>(&mut self, cx: &'gc Cx, name: &str) -> Symbol<'gc> {
        let hash = self.seed.hash_one(name) as u32;
        let text = self.set.find_or_insert(cx, hash, |found| found == name, || cx.alloc_str(name));
        Symbol(text)
    }
}

/// An expression that holds symbols.
#[derive(Trace)]
struct Lambda<'gc> {
    parameter: Symbol<'gc>,
    body: Vec<Symbol<'gc>>,
}

fn main() {
    let heap = Heap::new(Config::new());
    let mut symbols = Symbols::new(&heap);
    let mut cx = heap.enter();

    // Two ways to the same name lead to the same object.
    let a = symbols.intern(&cx, "lambda");
    let b = symbols.intern(&cx, &["lam", "bda"].concat());
    println!("same object: {}, table: {}", a == b, symbols.set.len(&cx));

    // A thousand names that nothing refers to, and an object that refers to two.
    let kept: Root<Lambda<'static>> = {
        for i in 0..1000 {
            symbols.intern(&cx, &format!("temporary-{i}"));
        }
        let x = symbols.intern(&cx, "x");
        let body = vec![symbols.intern(&cx, "print"), x];
        cx.root(cx.alloc(Lambda { parameter: x, body }))
    };
    println!("before the collection: {} names", symbols.set.len(&cx));
    cx.collect();
    println!("after it: {} names", symbols.set.len(&cx));

    // What is still there is found; what is gone is made anew.
    let kept = kept.get(&cx);
    println!("x is the same: {}", symbols.intern(&cx, "x") == kept.parameter);
    println!("body: {} {}", &*kept.body[0].0, &*kept.body[1].0);
    symbols.intern(&cx, "lambda");
    println!("table: {}", symbols.set.len(&cx));
}
