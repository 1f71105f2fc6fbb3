//! A cache that keeps nothing alive, notes about objects that go when the objects do, and a queue of
//! objects to be closed: weak handles, ephemerons, finalizers.
//!
//! Run it: `cargo run -p heap-api --example weak_cache`.

use heap_api::{Config, Cx, Finalizers, Gc, GcCell, Heap, Root, Trace, Weak, WeakMap};

/// Something that must be closed, such as a file: its language calls a finalizer for that.
#[derive(Trace)]
struct Document<'gc> {
    name: Gc<'gc, str>,
    is_open: GcCell<bool>,
}

/// The document that was opened last, if anything still uses it. The cache does not keep it alive.
#[derive(Trace)]
struct Cache<'gc> {
    last: GcCell<Option<Weak<'gc, Document<'gc>>>>,
    /// What the program knows about documents. A note may lead back to its document; both go together
    /// all the same.
    notes: WeakMap<'gc, Document<'gc>, Gc<'gc, Note<'gc>>>,
}

#[derive(Trace)]
struct Note<'gc> {
    about: Gc<'gc, Document<'gc>>,
    text: Gc<'gc, str>,
}

struct Editor {
    cache: Root<Cache<'static>>,
    /// Documents come out of here once they are unreachable.
    closing: Finalizers<Document<'static>>,
}

impl Editor {
    fn open<'gc>(&self, cx: &'gc Cx, name: &str) -> Gc<'gc, Document<'gc>> {
        let cache = self.cache.get(cx);
        // Upgrading makes a strong handle of a weak one: from here on the document is kept.
        if let Some(document) = cache.last.get().and_then(|last| last.upgrade(cx))
            && &*document.name == name
        {
            println!("{name}: still there");
            return document;
        }
        println!("{name}: opened");
        let document = cx.alloc(Document { name: cx.alloc_str(name), is_open: GcCell::new(true) });
        self.closing.register(cx, document);
        cache.last.set(cx, Some(document.downgrade(cx)));
        let note = Note { about: document, text: cx.alloc_str("never saved") };
        cache.notes.insert(cx, document, cx.alloc(note));
        document
    }

    /// What a finalizer does. The program calls it where it suits it, never the collector.
    fn close_what_is_unreachable(&self, cx: &Cx) {
        while let Some(document) = self.closing.next(cx) {
            // The document is whole, and so is the note about it. Weak handles to it are cleared.
            let note = self.cache.get(cx).notes.get(document).expect("revived with its key");
            println!("{}: closed ({}, {})", &*document.name, &*note.text, &*note.about.name);
            document.is_open.set(cx, false);
        }
    }
}

fn main() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    let editor = Editor {
        cache: {
            let cache = Cache { last: GcCell::new(None), notes: WeakMap::new() };
            cx.root(cx.alloc(cache))
        },
        closing: Finalizers::new(&heap),
    };

    let kept = {
        let letter = editor.open(&cx, "letter");
        cx.root(letter)
    };
    cx.collect();
    // The program still has it.
    editor.open(&cx, "letter");
    drop(kept);
    editor.open(&cx, "report");
    cx.collect();

    // Both are unreachable; the one that was registered last comes first.
    println!("to be closed: {}", editor.closing.queue_len());
    editor.close_what_is_unreachable(&cx);
    assert!(editor.cache.get(&cx).last.get().unwrap().upgrade(&cx).is_none());

    // Now they go, and the notes with them.
    cx.collect();
    println!("notes left: {}", editor.cache.get(&cx).notes.len(&cx));
}
