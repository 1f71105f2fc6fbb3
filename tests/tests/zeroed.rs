//! Objects that read as zero, in new and in dirty memory.

use std::cell::Cell;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

use heap_api::{
    AtomicGcCell, Config, Cx, Gc, GcCell, Heap, Opaque, OutOfMemory, Root, Trace, Zeroable,
};
use heap_tests::catch;

const MIB: usize = 1 << 20;

/// Fills memory with something else than zero, and lets it die.
fn dirty(cx: &mut Cx) {
    for bytes in [1, 8, 16, 24, 100, 1000, 4000, 30_000, 50_000, MIB] {
        let count = if bytes > 1000 { 20 } else { 3000 };
        for _ in 0..count {
            cx.alloc_slice_copy(&vec![0xFF_u8; bytes]);
        }
    }
    for _ in 0..3000 {
        let _ = (cx.alloc(u8::MAX), cx.alloc(u64::MAX), cx.alloc([u64::MAX; 2]));
    }
    cx.collect();
    cx.collect();
}

#[derive(Trace)]
struct Cells {
    flag: Cell<bool>,
    count: AtomicU64,
    sparse: [Option<NonZeroU64>; 300],
}

#[allow(unsafe_code, reason = "the trait is the promise")]
// SAFETY: zero is a value of each field.
unsafe impl Zeroable for Cells {}

fn check(cx: &Cx) {
    macro_rules! sized {
        ($($t:ty),*) => {$(
            (0..200).for_each(|_| assert_eq!(*cx.alloc_zeroed::<$t>().as_ref(), <$t>::zeroed()));
        )*};
    }
    sized!(u8, u32, f64, (), [u8; 3], [u64; 2], [u64; 3], [u8; 100], [u32; 400]);
    for _ in 0..40 {
        assert!(cx.alloc_zeroed::<[u64; 200]>().iter().all(|word| *word == 0));
        assert!(cx.alloc_zeroed::<[u8; 20_000]>().iter().all(|byte| *byte == 0));
        let cells = cx.alloc_zeroed::<Cells>();
        assert!(!cells.flag.get() && cells.count.load(Ordering::Relaxed) == 0);
        assert!(cells.sparse.iter().all(Option::is_none));
        for len in [0, 1, 7, 8, 9, 100, 1016, 1017, 5000, 32_760, 32_761, 300_000] {
            let bytes = cx.alloc_slice_zeroed::<u8>(len);
            assert_eq!(bytes.len(), len);
            assert!(bytes.iter().all(|byte| *byte == 0), "{len}");
            let header_slice = cx.alloc_header_slice_zeroed::<u64, u16>(!0, len);
            assert_eq!((header_slice.header, header_slice.tail.len()), (!0, len));
            assert!(header_slice.tail.iter().all(|word| *word == 0), "{len}");
        }
    }
}

#[test]
fn new_and_dirty_memory_reads_as_zero() {
    for stress in [false, true] {
        let heap = Heap::new(Config::new().stress(stress).huge_pages(false));
        let mut cx = heap.enter();
        check(&cx);
        for _ in 0..3 {
            dirty(&mut cx);
            check(&cx);
            cx.verify().unwrap();
        }
        if stress {
            assert!(heap.stats().freed_objects > 10_000, "there was dirty memory");
        }
    }
}

/// A system that claims to have taken memory, and has not, fails this.
#[test]
fn memory_that_went_back_reads_as_zero() {
    let heap = Heap::new(Config::new().huge_pages(false));
    let mut cx = heap.enter();
    // An arena with objects in it stays mapped: its idle pages go back, not the whole of it.
    let mut kept = Vec::new();
    for round in 0..3 {
        kept.push(cx.root(cx.alloc(round)));
        dirty(&mut cx);
        let released = heap.release_idle();
        assert!(released > MIB || !cfg!(target_os = "linux"), "{released}");
        check(&cx);
        cx.verify().unwrap();
    }
    assert!(kept.iter().map(|number| *number.get(&cx)).eq(0..3));
}

#[test]
fn slots_of_no_handles_can_be_filled() {
    type Names<'gc> = [GcCell<Option<Gc<'gc, str>>>];
    let heap = Heap::new(Config::new().stress(true));
    let mut cx = heap.enter();
    dirty(&mut cx);
    let names: Root<Names<'static>> = {
        let names = cx.alloc_slice_zeroed::<GcCell<Option<Gc<'_, str>>>>(10_000);
        cx.root(names)
    };
    for i in [0, 1, 5000, 9999] {
        names.get(&cx)[i].set(&cx, Some(cx.alloc_str(&i.to_string())));
    }
    cx.collect();
    let found: Vec<_> = (names.get(&cx).iter().enumerate())
        .filter_map(|(i, name)| Some((i, name.get()?.to_string())))
        .collect();
    assert_eq!(found, [0, 1, 5000, 9999].map(|i| (i, i.to_string())));
    let shared = cx.alloc_slice_zeroed::<AtomicGcCell<'_, u64>>(100);
    assert!(shared.iter().all(|slot| slot.get().is_none()));
    shared[3].set(&cx, Some(cx.alloc(3)));
    assert_eq!(*shared[3].get().unwrap(), 3);
    assert!(cx.alloc_zeroed::<Option<Gc<'_, [u8]>>>().is_none());
    assert_eq!(cx.alloc_zeroed::<Opaque<u16>>().0, 0);
    assert_eq!(size_of::<Option<Gc<'_, str>>>(), size_of::<usize>());
}

#[test]
fn absurd_lengths_are_refused() {
    let heap = Heap::new(Config::new().max_heap_bytes(64 * MIB));
    let mut cx = heap.enter();
    for len in [usize::MAX, usize::MAX / 8, usize::MAX / 8 + 1, usize::MAX / 2] {
        let Err(error) = cx.try_alloc_slice_zeroed::<u64>(len) else { panic!("{len} words") };
        assert!(matches!(error.reason, OutOfMemory::TooLarge), "{len}: {error}");
        let error = cx.try_alloc_header_slice_zeroed::<_, u64>(Opaque(5_u8), len).err().unwrap();
        assert_eq!(error.value.0, 5, "the header comes back");
    }
    for len in [usize::MAX, usize::MAX - 7, usize::MAX - 8, isize::MAX as usize] {
        let reason = cx.try_alloc_slice_zeroed::<u8>(len).err().unwrap().reason;
        assert!(matches!(reason, OutOfMemory::TooLarge), "{len}: {reason}");
    }
    for len in [isize::MAX as usize - 8, isize::MAX as usize / 16, 65 * MIB] {
        assert!(cx.try_alloc_slice_zeroed::<u8>(len).is_err(), "{len}");
    }
    assert!(cx.try_alloc_zeroed::<[u8; 65 * MIB]>().is_err());
    assert!(catch(|| cx.alloc_slice_zeroed::<u8>(usize::MAX).len()).is_err());
    assert_eq!(cx.alloc_slice_zeroed::<()>(usize::MAX).len(), usize::MAX, "of no size each");
    assert_eq!(cx.alloc_slice_zeroed::<u8>(32 * MIB).len(), 32 * MIB);
    cx.verify().unwrap();
}
