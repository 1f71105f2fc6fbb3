//! [`HeapUsage`]: the memory of a heap and the objects in it, without stopping mutators.
//!
//! Pages, spans and slots are of one moment, and so are the objects of each row: a
//! few locks are held for as long as it takes to read a few numbers. Rows are read
//! one after the other, so that objects of different rows may be of different
//! moments; every sum that the identities are about stays exact, because each holds
//! row by row.
//!
//! * Z4: the pages of all rows, and of stacks, are the bytes in use; in each row freed <=
//!   allocated, and what is live fits the slots.
//!
//! Slots that were handed out of a span in a mutator's cache are counted when the span
//! comes back.

use core::ops::Deref;

use super::{MHeap, MemoryStats};
use crate::geometry::PAGE_SIZE;
use crate::kind::ObjectKind;
use crate::size_class::SizeClass;
use crate::stats::Counted;

/// The spans of one kind and size class at present, and the objects allocated and freed in
/// them since the heap was made. Dereferences to the counts of objects.
#[derive(Clone, Copy, Debug)]
pub struct ClassRow {
    /// The kind: the type of the objects, as the collector sees it.
    pub kind: &'static ObjectKind,
    /// The size class; [`SizeClass::LARGE`] for objects with a span of their own.
    pub class: SizeClass,
    /// Spans at present.
    pub spans: usize,
    /// Pages of those spans, of 8 KiB each.
    pub pages: usize,
    /// Slots of those spans.
    pub slots: usize,
    /// Objects and bytes allocated and freed since the heap was made.
    pub objects: Counted,
}

impl Deref for ClassRow {
    type Target = Counted;

    fn deref(&self) -> &Counted {
        &self.objects
    }
}

impl ClassRow {
    /// The kind's name: that of the type, or `noscan` or `tiny` for types without handles
    /// and destructors.
    #[must_use]
    pub fn kind_name(&self) -> &'static str {
        self.kind.name()
    }

    /// Whether the numbers of the row agree: no more is freed than was allocated, and what is
    /// live fits the slots.
    // Z4, as far as one row is concerned.
    #[must_use]
    pub(crate) fn adds_up(&self) -> bool {
        let Counted { allocated_objects, allocated_bytes, freed_objects, freed_bytes } =
            self.objects;
        if freed_objects > allocated_objects || freed_bytes > allocated_bytes {
            return false;
        }
        if self.class == SizeClass::LARGE {
            return self.live_objects() <= self.spans as u64
                && self.live_bytes() <= (self.pages * PAGE_SIZE) as u64;
        }
        let slot = self.class.object_size() as u64;
        self.pages == self.spans * self.class.span_pages()
            && self.live_objects() <= self.slots as u64
            && allocated_bytes == allocated_objects * slot
            && freed_bytes == freed_objects * slot
    }
}

/// The memory of a heap in bytes, and its objects by kind and size class.
///
/// Pages, spans and slots are of one moment, and so are the objects of each row. Rows are
/// read one after the other, so objects of different rows may be of different moments.
/// Objects in a span that a mutator still allocates from are counted when the mutator has
/// finished with the span.
#[derive(Clone, Debug, Default)]
pub struct HeapUsage {
    /// The bytes of the heap by what they are used for.
    pub memory: MemoryStats,
    /// By kind and size class, in the order in which they were first used.
    pub rows: Vec<ClassRow>,
}

impl HeapUsage {
    /// The objects of all rows.
    #[must_use]
    pub fn total(&self) -> Counted {
        self.rows.iter().fold(Counted::default(), |mut sum, row| {
            sum += row.objects;
            sum
        })
    }

    /// The rows of one kind, whatever the size class.
    pub fn of_kind(&self, kind: &'static ObjectKind) -> impl Iterator<Item = &ClassRow> {
        self.rows.iter().filter(move |row| row.kind.address() == kind.address())
    }

    /// The rows of one size class, whatever the kind.
    pub fn of_class(&self, class: SizeClass) -> impl Iterator<Item = &ClassRow> {
        self.rows.iter().filter(move |row| row.class == class)
    }

    /// Whether the numbers are consistent: every byte is counted once, the pages of all rows
    /// and of stacks are those in use, and [`ClassRow::adds_up`] holds for each row.
    // Z2 and Z4.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        let pages: usize = self.rows.iter().map(|row| row.pages).sum();
        self.memory.adds_up()
            && pages * PAGE_SIZE + self.memory.stacks == self.memory.in_use
            && self.rows.iter().all(ClassRow::adds_up)
    }
}

impl MHeap {
    /// The objects of all kinds and size classes.
    #[must_use]
    pub fn counted(&self) -> Counted {
        self.centrals().fold(Counted::default(), |mut sum, central| {
            sum += central.counts().objects();
            sum
        })
    }

    /// The memory of the heap and the objects in it, without stopping mutators.
    #[must_use]
    pub fn usage(&self) -> HeapUsage {
        let bitmaps = self.bits.bytes();
        // Room for the rows before the page lock is taken, as a rule.
        let mut rows = Vec::with_capacity(self.centrals().count() + 8);
        let pages = self.pages.lock();
        for central in self.centrals() {
            let (spans, npages) = central.counts().spans_and_pages();
            let slots = match central.class() {
                SizeClass::LARGE => spans,
                class => spans * class.objects_per_span(),
            };
            rows.push(ClassRow {
                kind: central.kind(),
                class: central.class(),
                spans,
                pages: npages,
                slots,
                objects: central.counts().objects(),
            });
        }
        HeapUsage { memory: self.memory_of(&pages, bitmaps), rows }
    }
}
