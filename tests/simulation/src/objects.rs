//! What scenarios allocate, and how they see that all of it is right in the end.
//!
//! Objects are large, so that a few of them are on many pages: within a page marking takes ways of
//! its own, and a lost object is not noticed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use heap_api::{AtomicGcCell, Config, Cx, Gc, Heap, Opaque, Share, Trace};

use crate::random::Random;

/// A configuration with small limits, so that everything happens within a few operations.
pub(crate) fn config(random: &mut Random) -> Config {
    let config = Config::new()
        .huge_pages(false)
        .min_heap_bytes([0, 1 << 14, 1 << 17][random.below(3)])
        .mark_threads(random.below(3))
        .stress(random.one_in(6))
        .background_sweep(random.one_in(2));
    match random.below(3) {
        0 => config,
        slice => config.mark_slice(Duration::from_micros(10 * slice as u64)),
    }
}

/// Counts the lives of [`Item`]s.
#[derive(Debug, Default)]
pub(crate) struct Lives {
    made: AtomicU64,
    dropped: AtomicU64,
    broken: AtomicU64,
}

impl Lives {
    /// How many are alive, or dead and not swept.
    pub(crate) fn left(&self) -> u64 {
        assert_eq!(self.broken.load(Ordering::Relaxed), 0, "a destructor saw a broken object");
        self.made.load(Ordering::Relaxed) - self.dropped.load(Ordering::Relaxed)
    }
}

/// One life.
#[derive(Debug, Trace)]
#[trace(leaf)]
pub(crate) struct Life {
    lives: Arc<Lives>,
    id: u64,
    canary: u64,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.lives.broken.fetch_add(u64::from(self.canary != !self.id), Ordering::Relaxed);
        self.canary = self.id;
        self.lives.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// An object with a number, which is all over it, and in its leaf.
#[derive(Trace, Share)]
pub(crate) struct Item<'gc> {
    pub(crate) id: u64,
    fill: [u64; 150],
    life: Opaque<Life>,
    leaf: Gc<'gc, [u64]>,
    pub(crate) next: AtomicGcCell<'gc, Item<'gc>>,
}

/// Words of a leaf.
const LEAF: usize = 100;

impl<'gc> Item<'gc> {
    /// A new one; `None` if there is no memory.
    pub(crate) fn try_make(
        cx: &'gc Cx,
        lives: &Arc<Lives>,
        id: u64,
        next: Option<Gc<'gc, Item<'gc>>>,
    ) -> Option<Gc<'gc, Item<'gc>>> {
        let leaf = cx.try_alloc_slice_copy(&[id; LEAF]).ok()?;
        lives.made.fetch_add(1, Ordering::Relaxed);
        let life = Opaque(Life { lives: Arc::clone(lives), id, canary: !id });
        cx.try_alloc(Item { id, fill: [id; 150], life, leaf, next: AtomicGcCell::new(next) }).ok()
    }

    /// A new one.
    pub(crate) fn make(
        cx: &'gc Cx,
        lives: &Arc<Lives>,
        id: u64,
        next: Option<Gc<'gc, Item<'gc>>>,
    ) -> Gc<'gc, Item<'gc>> {
        Item::try_make(cx, lives, id, next).expect("no limit is set")
    }

    /// A list of new ones, numbered from `first`.
    pub(crate) fn list(
        cx: &'gc Cx,
        lives: &Arc<Lives>,
        first: u64,
        len: u64,
    ) -> Gc<'gc, Item<'gc>> {
        let mut head = Item::make(cx, lives, first, None);
        for id in first + 1..first + len {
            head = Item::make(cx, lives, id, Some(head));
        }
        head
    }

    /// Checks the contents; the number.
    pub(crate) fn check(&self) -> u64 {
        let id = self.id;
        assert!(self.fill.iter().all(|word| *word == id), "an object was overwritten");
        assert!(self.life.0.id == id && self.life.0.canary == !id, "an object was dropped");
        assert_eq!(*self.leaf, [id; LEAF], "a leaf was overwritten");
        id
    }

    /// Checks the list that begins here; the numbers.
    pub(crate) fn check_list(&self) -> Vec<u64> {
        let mut ids = vec![self.check()];
        let mut at = self.next.get();
        while let Some(item) = at {
            ids.push(item.check());
            at = item.next.get();
        }
        ids
    }
}

/// At the end: the heap holds this many items and nothing else, and all its structures are sound.
pub(crate) fn expect(heap: &Heap, lives: &Lives, items: usize) {
    heap.enter().collect();
    let rows = heap.class_histogram().expect("no context was leaked");
    let found: usize =
        rows.iter().filter(|row| row.kind.contains("Item")).map(|row| row.objects).sum();
    assert_eq!(found, items, "items in the census: {rows:?}");
    assert_eq!(lives.left(), items as u64, "lives");
    heap.verify().unwrap_or_else(|error| panic!("{error}"));
}
