//! Memory goes back to the system: measured by the process's resident size.
//!
//! One test, because the resident size is the whole process's.
#![cfg(all(target_os = "linux", not(heap_loom)))]

mod support;

use heap_core::geometry::PAGE_SIZE;
use heap_core::mheap::{CoreConfig, HugePages, MHeap};
use heap_core::os::SystemOs;
use support::{Toy, alloc_zeroed, config, resident, touch};

const MIB: usize = 1 << 20;

#[track_caller]
fn assert_about(what: &str, measured: isize, expected: isize, slack: isize) {
    assert!(
        (measured - expected).abs() <= slack,
        "{what}: {} KiB, expected {} KiB",
        measured >> 10,
        expected >> 10
    );
}

fn with_config(config: CoreConfig) -> Toy {
    Toy::new(config, Box::new(SystemOs), 1)
}

#[cfg_attr(heap_asan, ignore = "the sanitizer's own memory is resident too")]
#[test]
fn memory_goes_back_to_the_system() {
    empty_heaps_leave_nothing_behind();
    small_heaps_leave_nothing_behind();
    for huge_pages in [HugePages::Never, HugePages::Objects, HugePages::ObjectsAndMarks] {
        idle_memory_is_released_on_request(huge_pages);
        a_heap_that_shrank_is_trimmed_after_two_collections(huge_pages);
    }
    a_steady_heap_is_not_trimmed();
    a_huge_object_goes_back_when_it_is_swept();
}

fn empty_heaps_leave_nothing_behind() {
    let count = if cfg!(debug_assertions) { 10_000 } else { 100_000 };
    let make = || drop(MHeap::new(config(), Box::new(SystemOs)));
    (0..100).for_each(|_| make());
    let before = resident();
    (0..count).for_each(|_| make());
    assert_about("empty heaps", resident() as isize - before as isize, 0, 1 << 20);
}

fn small_heaps_leave_nothing_behind() {
    let make = || {
        let mut toy = Toy::plain();
        for i in 0..50 {
            toy.alloc(0, i % 2, 16 + i * 8).expect("memory");
        }
        toy.alloc(0, 0, 100_000).expect("memory");
        toy.collect_fully();
        toy.finish();
    };
    (0..10).for_each(|_| make());
    let before = resident();
    (0..500).for_each(|_| make());
    assert_about("small heaps", resident() as isize - before as isize, 0, 1 << 20);
}

fn idle_memory_is_released_on_request(huge_pages: HugePages) {
    let mut toy = with_config(CoreConfig { huge_pages, ..config() });
    let before = resident() as isize;
    let mut first = Vec::new();
    for i in 0..200 * MIB / 8192 {
        let object = toy.alloc(0, 0, 8192).expect("memory");
        touch(object, 8192);
        if i % 1000 == 0 {
            first.push(object.addr().get());
        }
    }
    assert_about("filled", resident() as isize - before, 200 * MIB as isize, 40 * MIB as isize);
    let keep: std::collections::HashSet<usize> = first.into_iter().collect();
    let doomed: Vec<usize> =
        toy.live.keys().copied().filter(|address| !keep.contains(address)).collect();
    doomed.into_iter().for_each(|address| toy.kill(address));
    toy.collect_fully();
    let memory = toy.heap.memory();
    assert!(memory.adds_up() && memory.idle > 190 * MIB, "{memory:?}");
    assert_eq!(memory.in_use, keep.len() * PAGE_SIZE);

    let released = toy.heap.release_idle();
    let memory = toy.heap.memory();
    assert!(memory.adds_up() && memory.idle == 0, "{memory:?}");
    assert!(released > 190 * MIB, "{released}");
    // What is left: the objects, the heads of arenas, this test's own tables.
    assert_about("released", resident() as isize - before, 0, 24 * MIB as isize);
    toy.check_contents();
    toy.verify_flushed();

    // Nothing lives: everything goes, arenas included.
    toy.kill_every(1);
    toy.collect_fully();
    toy.heap.release_idle();
    let memory = toy.heap.memory();
    assert_eq!((memory.mapped, memory.regions), (0, 0));
    // What stays: the span records, 256 bytes for each page there ever was.
    assert_about("unmapped", resident() as isize - before, 0, 10 * MIB as isize);
    toy.alloc(0, 0, 8192).expect("a heap without arenas can grow again");
    toy.verify_flushed();
}

fn a_heap_that_shrank_is_trimmed_after_two_collections(huge_pages: HugePages) {
    let mut toy = with_config(CoreConfig { huge_pages, ..config() });
    let fill = |toy: &mut Toy, bytes: usize| {
        for _ in 0..bytes / 8192 {
            let object = toy.alloc(0, 0, 8192).expect("memory");
            touch(object, 8192);
        }
    };
    fill(&mut toy, 100 * MIB);
    toy.kill_every(1);
    toy.collect_fully();
    assert_eq!(toy.heap.trim(usize::MAX), 0, "what was in use may be retained");
    assert!(toy.heap.memory().idle >= 100 * MIB);
    // The program has become smaller.
    fill(&mut toy, 10 * MIB);
    let before = resident();
    toy.collect_fully();
    let released = toy.heap.trim(usize::MAX);
    let memory = toy.heap.memory();
    assert!(memory.in_use + memory.idle <= 11 * MIB + 512 * PAGE_SIZE, "{memory:?}");
    assert!(released >= 88 * MIB, "{released}");
    let fell = before as isize - resident() as isize;
    assert_about("trimmed", fell, 89 * MIB as isize, 8 * MIB as isize);
    toy.verify_flushed();
}

fn a_steady_heap_is_not_trimmed() {
    let mut toy = Toy::plain();
    for round in 0..6 {
        for _ in 0..20 * MIB / 1024 {
            toy.alloc(0, 1, 1024).expect("memory");
        }
        toy.kill_every(1);
        toy.collect_fully();
        assert_eq!(toy.heap.trim(usize::MAX), 0, "round {round}");
    }
    assert_eq!(toy.heap.stats.returned_bytes.get(), 0);
}

fn a_huge_object_goes_back_when_it_is_swept() {
    let mut toy = Toy::plain();
    let before = resident() as isize;
    let object = toy.alloc(0, 0, 150 * MIB).expect("memory");
    touch(object, 150 * MIB);
    assert_about("huge", resident() as isize - before, 150 * MIB as isize, 4 * MIB as isize);
    toy.kill(object.addr().get());
    toy.collect_fully();
    assert_about("huge, swept", resident() as isize - before, 0, 4 * MIB as isize);
    // Fresh memory reads as zero without being touched.
    alloc_zeroed(&mut toy, 150 * MIB);
    assert_about("zeroed", resident() as isize - before, 0, 8 * MIB as isize);
    toy.collect_fully();
    assert_eq!(toy.heap.memory().mapped, 0);
}
