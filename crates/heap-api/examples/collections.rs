//! Lists and dictionaries: the collections of a dynamic language, as objects of the heap.
//!
//! It shows `GcVec` and `GcMap`, which grow, keep their order, may be changed while they are
//! iterated, and are collected with all that they hold; and the allocation of strings from parts.
//!
//! ```sh
//! cargo run -p heap-api --example collections
//! ```

use std::fmt;

use heap_api::{ByAddress, Config, Cx, Gc, GcMap, GcVec, Heap, In, Root, Trace};

/// A value of the language: a word or two, `Copy`. Lists and dictionaries have identity, so a
/// value has a handle on one.
#[derive(Clone, Copy, Trace)]
enum Value<'gc> {
    Number(i64),
    Text(Gc<'gc, str>),
    List(Gc<'gc, List<'gc>>),
    Dict(Gc<'gc, Dict<'gc>>),
}

type List<'gc> = GcVec<'gc, Value<'gc>>;

/// Found by content: equal texts are one key.
type Dict<'gc> = GcMap<'gc, Gc<'gc, str>, Value<'gc>>;

/// Texts in order, numbers as they are. A list inside itself is `[...]`: what is being printed is
/// in a map by identity.
struct Printed<'a, 'gc> {
    value: Value<'gc>,
    open: &'a GcMap<'gc, ByAddress<'gc, List<'gc>>, ()>,
    cx: &'gc Cx,
}

impl fmt::Display for Printed<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = |value| Printed { value, ..*self };
        match self.value {
            Value::Number(number) => write!(f, "{number}"),
            Value::Text(text) => write!(f, "{text}"),
            Value::List(list) => {
                if self.open.insert(self.cx, ByAddress(list), ()).is_some() {
                    return f.write_str("[...]");
                }
                f.write_str("[")?;
                for (i, value) in list.iter().enumerate() {
                    write!(f, "{}{}", if i > 0 { ", " } else { "" }, inner(value))?;
                }
                self.open.remove(self.cx, &ByAddress(list));
                f.write_str("]")
            }
            Value::Dict(dict) => {
                f.write_str("{")?;
                for (i, (key, value)) in dict.iter().enumerate() {
                    write!(f, "{}{key}: {}", if i > 0 { ", " } else { "" }, inner(value))?;
                }
                f.write_str("}")
            }
        }
    }
}

fn show<'gc>(cx: &'gc Cx, name: &str, value: Value<'gc>) {
    println!("{name}: {}", Printed { value, open: &GcMap::new(), cx });
}

/// Counts the words of a text, in the order in which they first come.
fn count_words<'gc>(cx: &'gc Cx, text: &str) -> Gc<'gc, Dict<'gc>> {
    let counts = cx.alloc(Dict::new());
    for word in text.split_whitespace() {
        // A key is looked up by a `&str`; the string is allocated if it is new.
        match counts.index_of(word) {
            Some(index) => {
                let Some((_, Value::Number(count))) = counts.entry_at(index) else { continue };
                counts.set_at(cx, index, Value::Number(count + 1));
            }
            None => _ = counts.insert(cx, cx.alloc_str(word), Value::Number(1)),
        }
    }
    counts
}

/// What works for all sorts of elements asks that they are `In` the region of `cx`.
fn reversed<'gc, T: In<'gc> + Copy>(cx: &'gc Cx, array: &GcVec<'gc, T>) -> GcVec<'gc, T> {
    let reversed = GcVec::with_capacity(cx, array.len());
    (0..array.len()).rev().filter_map(|i| array.get(i)).for_each(|v| reversed.push(cx, v));
    reversed
}

fn main() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();

    // A dictionary keeps the order of insertion; a list may hold anything, itself too.
    let globals: Root<Dict<'static>> = {
        let globals = cx.alloc(Dict::new());
        let list = cx.alloc(List::new());
        list.extend_from_slice(&cx, &[Value::Number(3), Value::Number(1)]);
        list.insert(&cx, 1, Value::Text(cx.alloc_str_concat(&["t", "wo"])));
        list.push(&cx, Value::List(list));
        globals.insert(&cx, cx.alloc_str("list"), Value::List(list));
        let back = Value::List(cx.alloc(reversed(&cx, &list)));
        globals.insert(&cx, cx.alloc_str("back"), back);
        let counts = count_words(&cx, "the cat and the dog and the bird");
        globals.insert(&cx, cx.alloc_str("words"), Value::Dict(counts));
        show(&cx, "globals", Value::Dict(globals));
        cx.root(globals)
    };

    // What is removed dies: nothing else leads to it.
    globals.get(&cx).remove(&cx, "back");
    cx.collect();
    {
        let globals = globals.get(&cx);
        let Some(Value::Dict(words)) = globals.get("words") else { unreachable!() };
        // A loop may change what it iterates over.
        for (word, count) in &*words {
            if let Value::Number(1) = count {
                words.remove(&cx, &*word);
                words.insert(&cx, cx.alloc_fmt(format_args!("{word}s")), Value::Number(0));
            }
        }
        show(&cx, "globals", Value::Dict(globals));
    }

    // Iteration by index goes on across safepoints, and collections, without a handle.
    let mut index = 0;
    while index < globals.get(&cx).index_end() {
        match globals.get(&cx).entry_at(index) {
            Some((name, _)) => println!("{index}: {name}"),
            None => println!("{index} was removed"),
        }
        cx.collect();
        index += 1;
    }

    // A queue of a million: its memory follows what is in it.
    {
        let queue = cx.alloc(GcMap::<u64, Value<'_>>::new());
        globals.get(&cx).insert(&cx, cx.alloc_str("queue"), Value::Number(0));
        for i in 0..1_000_000 {
            queue.insert(&cx, i, Value::Number(i as i64));
            if i >= 100 {
                queue.remove(&cx, &(i - 100));
            }
        }
        let oldest = queue.iter().next().map(|(key, _)| key);
        println!("{} in the queue, from {oldest:?} on", queue.len());
        assert!(queue.capacity() < 1000);
    }
    drop(globals);
    cx.collect();
    println!("{} objects are alive", heap.stats().marked_objects);
    println!("verified: {:?}", cx.verify());
}
