//! Heaps that are made and dropped leave nothing behind. A test program of its own:
//! the resident size is the whole process's.
#![cfg(target_os = "linux")]

use heap_api::{Config, Heap};

/// The process's resident memory in bytes.
fn resident() -> isize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: isize = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// A hundred thousand heaps, in turn: never used, entered, and used.
#[test]
fn the_resident_size_stays_flat() {
    let make = |i: usize| {
        let heap = Heap::new(Config::new());
        match i % 100 {
            0..50 => {}
            50..99 => drop(heap.enter()),
            _ => {
                let mut cx = heap.enter();
                let root = cx.root(cx.alloc_slice_fn(100, |i| i));
                cx.collect();
                // Half of these are dropped with a live root.
                if i % 200 == 99 {
                    drop(root);
                }
            }
        }
    };
    (0..2000).for_each(make);
    let before = resident();
    (0..100_000).for_each(make);
    let grown = resident() - before;
    assert!(grown.abs() < 1 << 20, "{} KiB", grown >> 10);
}
