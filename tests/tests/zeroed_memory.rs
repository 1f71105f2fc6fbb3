//! Zeroed objects in memory that never held anything are not written to: measured
//! by the process's resident size.
//!
//! One test, because the resident size is the whole process's.
#![cfg(target_os = "linux")]

use heap_api::{Config, Gc, GcCell, Heap};

const MIB: usize = 1 << 20;

/// Bytes of this process that are in memory.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("a proc file system");
    let pages: usize = statm.split(' ').nth(1).expect("a second field").parse().expect("a number");
    pages * 4096
}

#[track_caller]
fn grows_by_less_than<R>(bytes: usize, what: &str, work: impl FnOnce() -> R) -> R {
    let before = resident();
    let result = work();
    let grown = resident().saturating_sub(before);
    assert!(grown < bytes, "{what}: {} KiB more", grown >> 10);
    result
}

#[test]
fn zeroed_memory_costs_what_is_written_to_it() {
    for huge_pages in [false, true] {
        // Large zeroed objects get small pages in any case.
        let (little, touch) = (2 * MIB, MIB);
        let heap = Heap::new(Config::new().huge_pages(huge_pages));
        let mut cx = heap.enter();
        {
            let huge = grows_by_less_than(little, "256 MiB", || {
                cx.alloc_slice_zeroed::<GcCell<u64>>(32 * MIB)
            });
            grows_by_less_than(touch, "a write in the middle", || huge[20 * MIB].set(&cx, 7));
            assert_eq!((huge[20 * MIB].get(), huge.len()), (7, 32 * MIB));
        }
        grows_by_less_than(little, "40 MiB within an arena", || {
            cx.alloc_zeroed::<[u64; 5 * MIB]>();
        });
        // Each is written to in one place, its length.
        let pages = |count: usize| count * 4096 + little;
        grows_by_less_than(pages(50), "50 of a megabyte", || {
            for _ in 0..50 {
                cx.alloc_slice_zeroed::<u8>(MIB);
            }
        });
        grows_by_less_than(pages(1000), "1000 of 40 KB", || {
            for _ in 0..1000 {
                cx.alloc_slice_zeroed::<u8>(40_000);
            }
        });
        grows_by_less_than(pages(1000), "1000 of 30 KB, of a size class", || {
            for _ in 0..1000 {
                cx.alloc_slice_zeroed::<u8>(30_000);
            }
        });
        // Marking an array of no handles reads it; that costs no memory of its own
        // where the system shares one page of zeros.
        let names: heap_api::Root<[GcCell<Option<Gc<'static, str>>>]> =
            cx.root(cx.alloc_slice_zeroed::<GcCell<Option<Gc<'_, str>>>>(2 * MIB));
        cx.collect();
        assert!(names.get(&cx).iter().all(|name| name.get().is_none()));
        cx.verify().unwrap();
    }
}
