//! The table of size classes for small objects.
//!
//! A small object takes one slot of a span, and every slot of a span has the
//! size of the span's class. The table trades the bytes wasted at the end of a
//! slot against those wasted at the end of a span. It is the table of Go's runtime; the
//! rule that produces it is public, and a test of this module runs the rule again and
//! compares.
//!
//! The module is constant data and arithmetic, without state.
//!
//! Invariants:
//! * SZ1: `for_size` gives the smallest class whose slots hold the request.
//! * SZ2: for any offset inside a span, `(offset * reciprocal) >> 32` equals
//!   `offset / object_size`, so an interior pointer finds its slot without a
//!   division. This holds past the last slot too, up to the end of the span.
//! * SZ3: the unused tail of a span is at most an eighth of the span
//!   (`size_class_waste.txt` shows what each class can waste in all).

use crate::geometry::{GRANULE, PAGE_SIZE};

/// How many classes there are, the dummy class of large objects included.
pub(crate) const NUM_SIZE_CLASSES: usize = 68;

/// The largest request in bytes that is served from a shared span.
pub(crate) const MAX_SMALL_SIZE: usize = 32768;

/// Bytes of the only slots with objects of their own that do not all start at a granule: two of
/// them share three granules. (In slots of whole granules objects of three words would waste a
/// quarter.) So what turns granules into slots, or back, asks for this size.
pub(crate) const OFF_GRANULE_SLOT: usize = GRANULE + GRANULE / 2;

/// The slot size of every class in bytes.
const OBJECT_SIZE: [u16; NUM_SIZE_CLASSES] = [
    0, 8, 16, 24, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240, 256, 288, 320,
    352, 384, 416, 448, 480, 512, 576, 640, 704, 768, 896, 1024, 1152, 1280, 1408, 1536, 1792,
    2048, 2304, 2688, 3072, 3200, 3456, 4096, 4864, 5376, 6144, 6528, 6784, 6912, 8192, 9472, 9728,
    10240, 10880, 12288, 13568, 14336, 16384, 18432, 19072, 20480, 21760, 24576, 27264, 28672,
    32768,
];

/// The length of a span of every class in pages.
const SPAN_PAGES: [u8; NUM_SIZE_CLASSES] = [
    0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 2, 1, 2, 1, 2, 1, 3, 2, 3, 1, 3, 2, 3, 4, 5, 6, 1, 7, 6, 5, 4, 3, 5, 7, 2, 9, 7, 5, 8,
    3, 10, 7, 4,
];

/// Up to this size the class is looked up in steps of [`FINE_STEP`].
const FINE_MAX: usize = 1024;
const FINE_STEP: usize = 8;
const COARSE_STEP: usize = 128;

const CLASS_OF_FINE: [u8; FINE_MAX / FINE_STEP + 1] = lookup_table(0, FINE_STEP);
const CLASS_OF_COARSE: [u8; (MAX_SMALL_SIZE - FINE_MAX) / COARSE_STEP + 1] =
    lookup_table(FINE_MAX, COARSE_STEP);
const RECIPROCAL: [u32; NUM_SIZE_CLASSES] = reciprocals();
const OBJECTS: [u16; NUM_SIZE_CLASSES] = object_counts();

/// Entry `i` is the smallest class that holds `from + i * step` bytes.
const fn lookup_table<const N: usize>(from: usize, step: usize) -> [u8; N] {
    let mut table = [0; N];
    let mut class = 1;
    let mut i = 0;
    while i < N {
        while (OBJECT_SIZE[class] as usize) < from + i * step {
            class += 1;
        }
        table[i] = class as u8;
        i += 1;
    }
    table
}

const fn reciprocals() -> [u32; NUM_SIZE_CLASSES] {
    // Entry 0 stays 0: every offset inside a large object is in slot 0.
    let mut table = [0; NUM_SIZE_CLASSES];
    let mut class = 1;
    while class < NUM_SIZE_CLASSES {
        table[class] = (1u64 << 32).div_ceil(OBJECT_SIZE[class] as u64) as u32;
        class += 1;
    }
    table
}

const fn object_counts() -> [u16; NUM_SIZE_CLASSES] {
    // A large object is the only one of its span.
    let mut table = [1; NUM_SIZE_CLASSES];
    let mut class = 1;
    while class < NUM_SIZE_CLASSES {
        let span_bytes = SPAN_PAGES[class] as usize * PAGE_SIZE;
        table[class] = (span_bytes / OBJECT_SIZE[class] as usize) as u16;
        class += 1;
    }
    table
}

/// A size class: the index of a row of the table.
///
/// Class 0, [`SizeClass::LARGE`], has no slots of its own: it marks spans that
/// hold a single large object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SizeClass(u8);

impl SizeClass {
    /// The class of spans that hold one large object.
    pub const LARGE: SizeClass = SizeClass(0);

    /// The smallest class whose slots hold `bytes` (the smallest of all for 0),
    /// or `None` if the request exceeds [`MAX_SMALL_SIZE`].
    #[inline]
    #[must_use]
    pub const fn for_size(bytes: usize) -> Option<SizeClass> {
        if bytes <= FINE_MAX {
            Some(SizeClass(CLASS_OF_FINE[bytes.div_ceil(FINE_STEP)]))
        } else if bytes <= MAX_SMALL_SIZE {
            Some(SizeClass(CLASS_OF_COARSE[(bytes - FINE_MAX).div_ceil(COARSE_STEP)]))
        } else {
            None
        }
    }

    /// The row of the table, below [`NUM_SIZE_CLASSES`].
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The class in row `i` of the table (row 0 is [`SizeClass::LARGE`]). For the bit kernels that
    /// make a table of their own.
    #[cfg(any(test, all(target_arch = "x86_64", not(miri))))]
    #[inline]
    #[must_use]
    pub(crate) const fn from_index(i: usize) -> Option<SizeClass> {
        if i < NUM_SIZE_CLASSES { Some(SizeClass(i as u8)) } else { None }
    }

    /// The bytes of one slot; 0 for [`SizeClass::LARGE`].
    #[inline]
    #[must_use]
    pub const fn object_size(self) -> usize {
        OBJECT_SIZE[self.index()] as usize
    }

    /// The pages of one span; 0 for [`SizeClass::LARGE`], whose spans are as
    /// long as their object needs.
    #[inline]
    #[must_use]
    pub const fn span_pages(self) -> usize {
        SPAN_PAGES[self.index()] as usize
    }

    /// How many slots a span has; 1 for [`SizeClass::LARGE`].
    #[inline]
    #[must_use]
    pub const fn objects_per_span(self) -> usize {
        OBJECTS[self.index()] as usize
    }

    /// 2³² divided by the slot size, rounded up, so that the slot of a byte
    /// offset in the span is `(offset * reciprocal) >> 32` (SZ2). It is 0 for
    /// [`SizeClass::LARGE`]: all offsets are in slot 0.
    #[inline]
    #[must_use]
    pub(crate) const fn reciprocal(self) -> u32 {
        RECIPROCAL[self.index()]
    }

    /// The slot that contains byte `offset` of the span.
    #[inline]
    #[must_use]
    pub(crate) const fn slot_of(self, offset: usize) -> usize {
        ((offset as u64 * self.reciprocal() as u64) >> 32) as usize
    }

    /// The alignment that all slots of a span have: the lowest set bit of the
    /// slot size, at most a page.
    #[inline]
    #[must_use]
    pub(crate) const fn align(self) -> usize {
        if self.0 == 0 {
            return PAGE_SIZE;
        }
        let natural = 1 << self.object_size().trailing_zeros();
        if natural < PAGE_SIZE { natural } else { PAGE_SIZE }
    }

    /// All classes of small objects, smallest first; [`SizeClass::LARGE`] is
    /// not among them.
    pub fn all() -> impl DoubleEndedIterator<Item = SizeClass> + ExactSizeIterator {
        (1..NUM_SIZE_CLASSES as u8).map(SizeClass)
    }
}

/// Byte offset, within its page, of the object that starts in `granule`, when
/// the page has slots of `slot` bytes.
#[inline(always)]
#[must_use]
pub const fn object_offset(granule: usize, slot: usize) -> usize {
    let offset = granule * GRANULE;
    if slot == OFF_GRANULE_SLOT { offset.next_multiple_of(slot) } else { offset }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    /// The published rule, written as a program: `(slot size, pages)` per class.
    fn regenerate() -> Vec<(usize, usize)> {
        let mut classes = vec![(0, 0)];
        let mut align = 8;
        let mut size = align;
        while size <= MAX_SMALL_SIZE {
            if size.is_power_of_two() {
                align = match size {
                    2048.. => 256,
                    128.. => size / 8,
                    32.. => 16,
                    _ => align,
                };
            }
            let mut span = PAGE_SIZE;
            while span % size > span / 8 {
                span += PAGE_SIZE;
            }
            let pages = span / PAGE_SIZE;
            match classes.last_mut() {
                // A larger slot that costs nothing replaces the smaller one.
                Some((last, last_pages))
                    if *last > 0 && *last_pages == pages && span / *last == span / size =>
                {
                    *last = size;
                }
                _ => classes.push((size, pages)),
            }
            size += align;
        }
        for (size, pages) in classes.iter_mut().skip(1) {
            let span = *pages * PAGE_SIZE;
            *size = (*size).max((span / (span / *size)) & !127);
        }
        classes
    }

    #[test]
    fn table_follows_the_published_rule() {
        let rule = regenerate();
        assert_eq!(rule.len(), NUM_SIZE_CLASSES);
        for (i, &(size, pages)) in rule.iter().enumerate() {
            let class = SizeClass::from_index(i).unwrap();
            assert_eq!((class.object_size(), class.span_pages()), (size, pages), "class {i}");
        }
        assert_eq!(SizeClass::from_index(NUM_SIZE_CLASSES), None);
    }

    #[test]
    fn every_small_size_gets_the_smallest_class_that_holds_it() {
        for bytes in 0..=MAX_SMALL_SIZE {
            let expected = SizeClass::all().find(|class| class.object_size() >= bytes);
            assert_eq!(SizeClass::for_size(bytes), expected, "SZ1: {bytes} bytes");
        }
        assert_eq!(SizeClass::for_size(MAX_SMALL_SIZE + 1), None);
        assert_eq!(SizeClass::for_size(usize::MAX), None);
        const IN_CONST_CONTEXT: Option<SizeClass> = SizeClass::for_size(33);
        assert_eq!(IN_CONST_CONTEXT.map(SizeClass::object_size), Some(48));
    }

    #[test]
    fn reciprocal_division_is_exact_on_the_whole_span() {
        for class in SizeClass::all() {
            for offset in 0..=class.span_pages() * PAGE_SIZE {
                let exact = offset / class.object_size();
                assert_eq!(class.slot_of(offset), exact, "{class:?}, offset {offset}");
            }
        }
        assert_eq!(SizeClass::LARGE.slot_of(123_456_789), 0);
    }

    #[test]
    fn offsets_of_slots_that_share_granules_follow_their_stride() {
        for slot in 0..PAGE_SIZE / OFF_GRANULE_SLOT {
            let offset = slot * OFF_GRANULE_SLOT;
            assert_eq!(object_offset(offset / GRANULE, OFF_GRANULE_SLOT), offset);
        }
    }

    #[test]
    fn counts_and_alignment() {
        for class in SizeClass::all() {
            let span = class.span_pages() * PAGE_SIZE;
            assert_eq!(class.objects_per_span(), span / class.object_size());
            assert!(class.objects_per_span() <= 1024);
            assert!((span % class.object_size()) * 8 <= span, "SZ3");
            let align = class.align();
            assert!(align.is_power_of_two() && (8..=PAGE_SIZE).contains(&align));
            for slot in 0..class.objects_per_span() {
                assert_eq!(slot * class.object_size() % align, 0);
            }
            // Half a step more would not hold for all slots.
            assert!(align == PAGE_SIZE || class.object_size() % (2 * align) != 0);
        }
        assert_eq!(SizeClass::LARGE.align(), PAGE_SIZE);
        assert_eq!(SizeClass::LARGE.objects_per_span(), 1);
        assert_eq!(SizeClass::all().len(), NUM_SIZE_CLASSES - 1);
    }

    /// One line per class: what is lost at the end of a span, and in the worst
    /// case (all slots hold the smallest request of the class) in all.
    fn waste_table() -> String {
        let mut out = String::from("class  size  span  slots  tail  worst  align\n");
        let mut previous = 0;
        for class in SizeClass::all() {
            let (size, slots) = (class.object_size(), class.objects_per_span());
            let span = class.span_pages() * PAGE_SIZE;
            let tail = span - size * slots;
            let worst = ((size - previous - 1) * slots + tail) as f64 / span as f64;
            writeln!(
                out,
                "{:5} {size:5} {span:5} {slots:6} {tail:5} {:5.2}% {:5}",
                class.index(),
                worst * 100.0,
                class.align()
            )
            .unwrap();
            previous = size;
        }
        out
    }

    #[test]
    fn waste_is_the_known_one() {
        let table = waste_table();
        assert_eq!(table, include_str!("size_class_waste.txt"), "the table is now:\n{table}");
    }
}
