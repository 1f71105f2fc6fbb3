//! Odd sizes, alignments and lengths.

use heap_api::{Config, Gc, GcCell, HeaderSlice, Heap, Opaque, OutOfMemory, Trace};
use heap_tests::Counter;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! aligned {
    ($($name:ident $align:literal),+) => {$(
        #[derive(Trace)]
        #[repr(align($align))]
        struct $name<'gc>(Gc<'gc, u64>, u8);
    )+};
}
aligned!(A16 16, A32 32, A64 64, A128 128, A256 256, A512 512, A1024 1024, A2048 2048, A4096 4096, A8192 8192);

#[derive(Trace)]
#[repr(align(4096))]
struct Nothing;

#[test]
fn objects_are_aligned_as_they_ask_and_traced_where_they_lie() {
    let heap = Heap::new(Config::new().stress(true));
    let mut cx = heap.enter();
    macro_rules! check {
        ($($name:ident),+) => {$({
            let roots: Vec<_> = (0..40_u64).map(|i| cx.root(cx.alloc($name(cx.alloc(i), i as u8)))).collect();
            cx.collect();
            for i in 0..1000_u64 {
                let _ = cx.alloc(!i);
            }
            for (i, root) in (0_u64..).zip(&roots) {
                let object = root.get(&cx);
                assert_eq!(object.addr() % align_of::<$name<'_>>(), 0, stringify!($name));
                assert_eq!(object.as_ref() as *const _ as usize, object.addr());
                assert_eq!((*object.0, object.1), (i, i as u8), stringify!($name));
            }
            cx.verify().unwrap();
        })+};
    }
    check!(A16, A32, A64, A128, A256, A512, A1024, A2048, A4096, A8192);
    let nothing = cx.alloc(Nothing);
    assert_eq!(nothing.addr() % 4096, 0);
    let other = cx.alloc(Nothing);
    assert!(!nothing.ptr_eq(other), "objects without a size still are objects");
}

static EMPTY_DROPPED: AtomicU64 = AtomicU64::new(0);

#[derive(Trace)]
#[trace(leaf)]
struct Empty;

impl Drop for Empty {
    fn drop(&mut self) {
        EMPTY_DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn values_without_size_are_made_and_dropped() {
    let heap = Heap::new(Config::new().stress(true));
    let mut cx = heap.enter();
    for _ in 0..1000 {
        let _ = cx.alloc(Empty);
    }
    let _ = cx.alloc_slice_fn(1000, |_| Empty);
    let _ = cx.try_alloc_header_slice_fn(Empty, 1000, |_| Empty).unwrap();
    let units = cx.alloc_slice_copy(&[(); 100]);
    assert_eq!(units.len(), 100);
    // Handles in no elements, and no handles in many.
    let none: Gc<'_, [[Gc<'_, u8>; 0]]> = cx.alloc_slice_fn(1 << 20, |_| []);
    assert_eq!(none.len(), 1 << 20);
    let root = cx.root(none);
    cx.collect();
    cx.verify().unwrap();
    assert_eq!(root.get(&cx).len(), 1 << 20);
    assert_eq!(EMPTY_DROPPED.load(Ordering::Relaxed), 1000 + 1000 + 1001);
}

#[test]
fn slices_of_every_length_hold_what_was_put_in() {
    let heap = Heap::new(Config::new().stress(true));
    let mut cx = heap.enter();
    let lengths = [0, 1, 2, 3, 4, 7, 8, 9, 127, 128, 4094, 4095, 4096, 9000, 70_000];
    let roots: Vec<_> = lengths
        .iter()
        .map(|&len| {
            let bytes = cx.alloc_slice_fn(len, |i| i as u8);
            let text = cx.alloc_str(&"é".repeat(len));
            let handles = cx.alloc_slice_fn(len, |i| GcCell::new(Some(cx.alloc(i))));
            let header_slice = cx.alloc_header_slice_copy(handles, &vec![len as u128; len]);
            cx.root(cx.alloc((bytes, text, handles, header_slice)))
        })
        .collect();
    for _ in 0..2 {
        cx.collect();
        for i in 0..3000_usize {
            let _ = cx.alloc(!i);
        }
    }
    cx.verify().unwrap();
    for (&len, root) in lengths.iter().zip(&roots) {
        let (bytes, text, handles, header_slice) = *root.get(&cx).as_ref();
        assert!(bytes.len() == len && (0..len).all(|i| bytes[i] == i as u8));
        assert!(text.chars().count() == len && text.chars().all(|c| c == 'é'));
        assert!(handles.len() == len && (0..len).all(|i| *handles[i].get().unwrap() == i));
        assert!(header_slice.header.ptr_eq_slice(handles) && header_slice.tail.len() == len);
        assert!(header_slice.tail.iter().all(|x| *x == len as u128));
    }
}

/// Identity of slices of slots, which are not `PartialEq`.
trait PtrEqSlice {
    fn ptr_eq_slice(self, other: Self) -> bool;
}
impl<T> PtrEqSlice for Gc<'_, [T]> {
    fn ptr_eq_slice(self, other: Self) -> bool {
        self.ptr_eq(other)
    }
}

#[test]
fn headers_and_tails_do_not_overlap() {
    let heap = Heap::new(Config::new().stress(true));
    let cx = heap.enter();
    macro_rules! check {
        ($($h:ty, $t:ty);+) => {$(
            for len in 0..40 {
                let tail: Vec<$t> = (0..len).map(|i| !(i as $t)).collect();
                let object: Gc<'_, HeaderSlice<$h, $t>> = cx.alloc_header_slice_copy(len as $h, &tail);
                assert_eq!((object.header, &object.tail), (len as $h, &tail[..]));
                let size = size_of_val(object.as_ref());
                assert!(size >= size_of::<usize>() + size_of::<$h>() + len * size_of::<$t>());
            }
        )+};
    }
    check!(u8, u8; u8, u16; u16, u64; u32, u8; u64, u8; u128, u8; u8, u128; u64, u128; u128, u128);
}

#[test]
fn lengths_beyond_any_memory_are_refused() {
    let limited = Heap::new(Config::new().max_heap_bytes(1 << 20));
    let heap = Heap::new(Config::new());
    for heap in [&limited, &heap] {
        let mut cx = heap.enter();
        let never = |_| -> u64 { unreachable!("there is no memory") };
        for len in [usize::MAX, usize::MAX / 8, usize::MAX / 8 - 1, isize::MAX as usize / 8] {
            let error = cx.try_alloc_slice_fn(len, never).unwrap_err();
            assert_ne!(error.reason, OutOfMemory::Limit, "{len}");
        }
        // Sizes that a 64-bit system refuses, not arithmetic.
        for shift in [45, 47, 52, 57] {
            let Some(len) = 1_usize.checked_shl(shift) else { continue };
            let error = cx.try_alloc_slice_fn(len, never).unwrap_err();
            assert!(!matches!(error.reason, OutOfMemory::TooLarge), "{shift}");
        }
        let header = Counter::new();
        let error =
            cx.try_alloc_header_slice_fn(Opaque(header.value(1)), usize::MAX, never).unwrap_err();
        assert_eq!((error.reason, error.value.0.id()), (OutOfMemory::TooLarge, 1));
        cx.collect();
        cx.verify().unwrap();
        assert_eq!(*cx.alloc(1_u8), 1);
    }
    let cx = limited.enter();
    let error = cx.try_alloc_slice_fn(1 << 20, |i| i).unwrap_err();
    assert_eq!(error.reason, OutOfMemory::Limit);
    let error = cx.try_alloc(Box::new([1_u64; 4])).map(|value| value[0]).map_err(|e| e.value);
    assert_eq!(error, Ok(1));
}
