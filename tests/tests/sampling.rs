//! Allocation sampling: what is sampled, what is known of it when objects die, and what the hook
//! may do.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use heap_api::{
    AllocationProfile, Config, Cx, Finalizers, Gc, GcCell, GcVec, Heap, Opaque, Root, Trace,
};

#[derive(Trace)]
struct Node<'gc> {
    id: u64,
    next: GcCell<Option<Gc<'gc, Node<'gc>>>>,
}

fn node<'gc>(cx: &'gc Cx, id: u64, next: Option<Gc<'gc, Node<'gc>>>) -> Gc<'gc, Node<'gc>> {
    cx.alloc(Node { id, next: GcCell::new(next) })
}

/// Type name and slot size, objects and bytes.
type Rows = BTreeMap<(String, u64), (u64, u64)>;

fn live_rows(profile: &AllocationProfile) -> Rows {
    let mut rows = Rows::new();
    for site in profile.sites.iter().filter(|site| site.live.objects > 0) {
        let row = rows.entry((site.type_name.to_string(), site.slot_bytes)).or_default();
        row.0 += site.live.objects;
        row.1 += site.live.bytes;
    }
    rows
}

fn histogram(heap: &Heap) -> Rows {
    let mut rows = Rows::new();
    for row in heap.class_histogram().expect("no context was leaked") {
        if let Some(bytes) = row.bytes.checked_div(row.objects) {
            // Large objects have no slot size in common.
            let large = bytes > 32 << 10;
            let row_key = (row.kind.to_owned(), if large { 0 } else { bytes as u64 });
            let entry = rows.entry(row_key).or_default();
            entry.0 += row.objects as u64;
            entry.1 += row.bytes as u64;
        }
    }
    rows
}

/// With all sizes of large objects in one row, as the histogram has them.
fn with_large_merged(rows: Rows) -> Rows {
    let mut merged = Rows::new();
    for ((name, bytes), (objects, all_bytes)) in rows {
        let bytes = if bytes > 32 << 10 { 0 } else { bytes };
        let row = merged.entry((name, bytes)).or_default();
        row.0 += objects;
        row.1 += all_bytes;
    }
    merged
}

/// Allocates a bit of everything; returns roots of some of it.
fn allocate_all_shapes(cx: &Cx, round: u64) -> Vec<Root<Node<'static>>> {
    let mut kept = Vec::new();
    for n in 0..40_u64 {
        let list = node(cx, n, Some(node(cx, n + 1, None)));
        cx.alloc([n as u8; 3]);
        cx.alloc(n as u32);
        cx.alloc_slice_copy(&vec![n; n as usize]);
        cx.alloc_str(&"x".repeat(n as usize * 37));
        cx.alloc(Opaque(Box::new(n)));
        cx.alloc_slice_zeroed::<u64>(n as usize * 11);
        let _ = list.downgrade(cx);
        let vec = GcVec::new();
        (0..n).for_each(|m| vec.push(cx, m));
        cx.alloc_header_slice_copy(n, &[list; 5]);
        if n % 3 == round % 3 {
            kept.push(cx.root(list));
        }
        if n == 13 {
            cx.alloc_slice_zeroed::<u8>(40_000 + n as usize * 8192);
            cx.alloc_slice_fill(100_000, list);
            cx.alloc_slice_zeroed::<u64>(9 << 20);
        }
    }
    kept
}

#[test]
fn with_every_object_sampled_the_profile_is_the_class_histogram() {
    for slice in [None, Some(Duration::ZERO)] {
        let mut config = Config::new().sample_bytes(1).huge_pages(false);
        if let Some(slice) = slice {
            config = config.mark_slice(slice);
        }
        let heap = Heap::new(config);
        let mut kept = Vec::new();
        for round in 0..6 {
            let mut cx = heap.enter();
            kept.extend(allocate_all_shapes(&cx, round));
            match slice {
                None => cx.collect(),
                // Objects that are made while the collection is under way live.
                Some(_) => {
                    while !cx.collect_step() {
                        kept.extend(allocate_all_shapes(&cx, round).pop());
                    }
                }
            }
            kept.drain(..kept.len() / 3);
            cx.verify().unwrap();
            drop(cx);
            let profile = heap.allocation_profile().unwrap();
            assert_eq!(with_large_merged(live_rows(&profile)), histogram(&heap), "round {round}");
            let stats = heap.stats();
            assert_eq!(profile.allocated_bytes(), stats.allocated_bytes);
            assert_eq!(profile.live_bytes(), stats.allocated_bytes - stats.freed_bytes);
            assert_eq!(profile.lost_samples, 0);
        }
        drop(kept);
        heap.enter().collect();
        assert_eq!(heap.allocation_profile().unwrap().live_bytes(), 0);
    }
}

/// The sums of estimates and of their variances, in bytes.
fn estimate(profile: &AllocationProfile) -> (f64, f64) {
    profile.sites.iter().fold((0.0, 0.0), |(bytes, variance), site| {
        let slot = site.slot_bytes as f64;
        let probability = 1.0 - (-slot / profile.sample_bytes as f64).exp();
        // Of the estimate for one object: its bytes over the probability if it is sampled.
        let one = slot * slot * (1.0 - probability) / probability;
        (bytes + site.live.bytes as f64, variance + one * site.live.objects as f64)
    })
}

#[test]
fn estimates_are_within_three_deviations_over_a_hundred_seeds() {
    let (mut sum, mut sum_of_variances, mut beyond) = (0.0, 0.0, 0);
    let mut true_bytes = 0.0;
    for seed in 0..100 {
        let config = Config::new().sample_bytes(4 << 10).sample_seed(seed * 1000);
        let heap = Heap::new(config.huge_pages(false));
        let mut cx = heap.enter();
        let mut kept = Vec::new();
        for n in 0..3000_u64 {
            let list = node(&cx, n, None);
            cx.alloc_slice_zeroed::<u64>(n as usize % 100);
            let values = cx.alloc_slice_fill(n as usize % 57, Some(list));
            if n % 2 == 0 {
                kept.push(cx.root(values));
            }
            if n % 500 == 0 {
                kept.push(cx.root(cx.alloc_slice_fill(5000, Some(list))));
            }
        }
        cx.collect();
        let stats = heap.stats();
        let (bytes, variance) = estimate(&heap.allocation_profile().unwrap());
        true_bytes = stats.marked_bytes as f64;
        sum += bytes;
        sum_of_variances += variance;
        beyond += usize::from((bytes - true_bytes).abs() > 3.0 * variance.sqrt());
    }
    let off = (sum - 100.0 * true_bytes) / sum_of_variances.sqrt();
    assert!(off.abs() < 3.0, "the mean is off by {off:.2} deviations");
    // One in some 370 is expected.
    assert!(beyond <= 2, "{beyond} of 100 estimates are off by three deviations");
}

#[test]
fn the_same_seed_samples_the_same_objects() {
    let profile = |seed| {
        let heap = Heap::new(Config::new().sample_bytes(2000).sample_seed(seed));
        let mut cx = heap.enter();
        let kept = allocate_all_shapes(&cx, 0);
        cx.collect();
        drop(kept);
        heap.allocation_profile().unwrap()
    };
    assert_eq!(profile(1), profile(1));
    assert_ne!(profile(1), profile(2));
}

#[test]
fn a_heap_that_does_not_sample_has_no_profile() {
    let heap = Heap::new(Config::new());
    heap.enter().alloc(1);
    assert_eq!(heap.allocation_profile(), None);
    assert_eq!(Heap::new(Config::new().sample_bytes(0)).allocation_profile(), None);
    let profile = Heap::new(Config::new().sample_allocations()).allocation_profile();
    assert_eq!(profile, Some(AllocationProfile::new(512 << 10)));
}

#[test]
fn live_figures_are_those_of_the_last_completed_collection() {
    let heap = Heap::new(Config::new().sample_bytes(1).mark_slice(Duration::ZERO));
    let mut cx = heap.enter();
    let live = || heap.allocation_profile().unwrap().live_bytes();
    let kept: Vec<_> = (0..1000).map(|n| cx.root(node(&cx, n, None))).collect();
    assert_eq!(live(), 0, "no collection yet");
    cx.collect();
    let all = live();
    assert_eq!(all, heap.stats().allocated_bytes);
    drop(kept);
    let mut steps = 0;
    while !cx.collect_step() {
        assert_eq!(live(), all, "step {steps}");
        steps += 1;
    }
    assert!(steps > 3, "the search is one of the steps");
    assert_eq!(live(), 0);
}

#[test]
fn what_finalizers_revive_is_alive() {
    let heap = Heap::new(Config::new().sample_bytes(1));
    let mut cx = heap.enter();
    let finalizers = Finalizers::<Node<'static>>::new(&heap);
    let first = node(&cx, 1, Some(node(&cx, 2, None)));
    finalizers.register(&cx, first);
    let bytes = heap.allocation_profile().unwrap().allocated_bytes();
    cx.collect();
    cx.verify().unwrap();
    assert_eq!(heap.allocation_profile().unwrap().live_bytes(), bytes);
    assert_eq!(finalizers.next(&cx).unwrap().id, 1);
    cx.collect();
    assert_eq!(heap.allocation_profile().unwrap().live_bytes(), 0);
}

#[test]
fn two_mutators_that_sample_beside_a_collector_in_steps() {
    let config = Config::new().sample_bytes(200).mark_slice(Duration::from_micros(20));
    let heap = Heap::new(config.min_heap_bytes(1 << 16).mark_threads(1).background_sweep(true));
    std::thread::scope(|scope| {
        for thread in 0..2_u64 {
            let heap = &heap;
            scope.spawn(move || {
                let mut cx = heap.enter();
                let name = format!("thread {thread}");
                let calls = Rc::new(Cell::new(0));
                let (count, at) = (Rc::clone(&calls), name.clone());
                cx.set_stack_hook(move |_, frames| {
                    count.set(count.get() + 1);
                    frames.push(&at, "file", 7);
                });
                let mut kept = Vec::new();
                for round in 0..60 {
                    kept.extend(allocate_all_shapes(&cx, round));
                    kept.drain(..kept.len() / 2);
                    cx.safepoint();
                    if round % 20 == thread {
                        cx.verify().unwrap();
                    }
                }
                drop(cx);
                let profile = heap.allocation_profile().unwrap();
                let own = profile.sites.iter().filter(|site| *site.frames[0].function == *name);
                assert_eq!(own.map(|site| site.allocated.samples).sum::<u64>(), calls.get());
            });
        }
    });
    heap.verify().unwrap();
    heap.enter().collect();
    assert_eq!(heap.allocation_profile().unwrap().live_bytes(), 0, "all roots are gone");
}

#[test]
fn a_hook_reads_the_heap_and_may_ask_for_the_profile() {
    let heap = Heap::new(Config::new().sample_bytes(1));
    let cx = heap.enter();
    let current = cx.root(node(&cx, 41, None));
    let (of, seen) = (heap.clone(), Rc::new(RefCell::new(Vec::new())));
    let sites = Rc::clone(&seen);
    cx.set_stack_hook(move |cx, frames| {
        sites.borrow_mut().push(of.allocation_profile().unwrap().sites.len());
        frames.push_function("f", "file", current.get(cx).id as u32, 40);
    });
    cx.alloc([1_u64; 4]);
    cx.alloc([1_u64; 4000]);
    cx.clear_stack_hook();
    cx.alloc([1_u64; 4]);
    assert_eq!(*seen.borrow(), [1, 2], "for small and large ones");
    let profile = heap.allocation_profile().unwrap();
    let frames: Vec<_> = profile.sites.iter().map(|site| site.frames.len()).collect();
    assert_eq!(frames, [0, 1, 1, 0]);
    let frame = &profile.sites[1].frames[0];
    assert_eq!((&*frame.function, frame.line, frame.first_line), ("f", 41, 40));
}

/// What a hook does that it must not.
type Attempt = fn(&Cx);

#[test]
fn a_hook_that_allocates_or_panics_does_no_harm() {
    let heap = Heap::new(Config::new().sample_bytes(1).huge_pages(false));
    let mut cx = heap.enter();
    // What bump regions have room for, when nothing is sampled.
    let kept: Vec<_> = (0..100).map(|n| cx.root(node(&cx, n, None))).collect();
    let attempts: [(&str, Attempt); 7] = [
        ("small", |cx| _ = cx.alloc([1_u64; 4])),
        ("tiny", |cx| _ = cx.alloc(1_u8)),
        ("scanned", |cx| _ = node(cx, 1, None)),
        ("zeroed", |cx| _ = cx.alloc_slice_zeroed::<u64>(3)),
        ("large", |cx| _ = cx.alloc_slice_zeroed::<u64>(10_000)),
        ("vector", |cx| GcVec::new().push(cx, 1)),
        ("panic", |_| panic!("of the hook's own")),
    ];
    for (name, attempt) in attempts {
        let reached = Rc::new(Cell::new(0));
        let count = Rc::clone(&reached);
        cx.set_stack_hook(move |cx, _| {
            count.set(count.get() + 1);
            attempt(cx);
            count.set(-1000);
        });
        let allocated = |heap: &Heap| heap.allocation_profile().unwrap().allocated_bytes();
        let before = allocated(&heap);
        for alloc in [
            (|cx: &Cx| _ = cx.alloc([2_u64; 4])) as fn(&Cx),
            // It leaves room in its slot for one that is smaller.
            |cx| _ = cx.alloc([2_u8; 9]),
            |cx| _ = cx.alloc_slice_zeroed::<u64>(10_000),
        ] {
            let message = catch_unwind(AssertUnwindSafe(|| alloc(&cx))).unwrap_err();
            let message = message.downcast_ref::<&str>().unwrap();
            let own =
                ["a stack hook cannot allocate in the heap that calls it", "of the hook's own"];
            assert_eq!(*message, own[usize::from(name == "panic")], "{name}");
        }
        assert_eq!(reached.get(), 3, "{name}");
        cx.clear_stack_hook();
        cx.verify().unwrap();
        assert_eq!(allocated(&heap), before, "{name}");
        cx.alloc([2_u64; 4]);
        cx.alloc([2_u8; 9]);
        node(&cx, 3, None);
    }
    assert!(kept.iter().zip(0..).all(|(root, n)| root.get(&cx).id == n));
    cx.verify().unwrap();
    cx.collect();
    cx.verify().unwrap();
}

/// A hook that is replaced while it runs is dropped as a part of its run: what it owns may come to
/// the heap with a context of its own.
#[test]
fn a_hook_that_is_dropped_while_it_runs_does_no_harm() {
    struct Owned(Rc<Cx>);
    impl Drop for Owned {
        fn drop(&mut self) {
            // Of another kind, and of the kind that is being allocated.
            self.0.alloc_slice_fn(3, |n| n as u64);
            (0..300).for_each(|n| _ = node(&self.0, n, None));
        }
    }
    for sample_bytes in [1000, 20_000, 1] {
        let heap = Heap::new(Config::new().sample_bytes(sample_bytes).huge_pages(false));
        let cx = Rc::new(heap.enter());
        let mut refused = 0;
        for round in 0..200 {
            let many = || {
                let owned = Owned(Rc::clone(&cx));
                // One that was not called owns something as well.
                cx.set_stack_hook(move |cx, _| {
                    let _ = &owned;
                    cx.clear_stack_hook();
                });
                (0..300).for_each(|n| _ = node(&cx, round + n, None));
            };
            if let Err(message) = catch_unwind(AssertUnwindSafe(many)) {
                let message = message.downcast_ref::<&str>().unwrap();
                assert_eq!(*message, "a stack hook cannot allocate in the heap that calls it");
                refused += 1;
            }
        }
        assert!(refused > 0);
        cx.clear_stack_hook();
        let mut cx = Rc::try_unwrap(cx).ok().unwrap();
        cx.verify().unwrap();
        cx.collect();
        cx.verify().unwrap();
    }
}

#[test]
fn deep_stacks_are_cut_at_the_outer_end() {
    let heap = Heap::new(Config::new().sample_bytes(1));
    let cx = heap.enter();
    cx.set_stack_hook(|_, frames| {
        (0..1000).for_each(|n| frames.push("f", "file", n));
        assert!(frames.is_full() && frames.len() == 128);
    });
    cx.alloc([1_u64; 2]);
    let profile = heap.allocation_profile().unwrap();
    let lines: Vec<_> = profile.sites[0].frames.iter().map(|frame| frame.line).collect();
    assert_eq!(lines, Vec::from_iter(0..128));
}

#[test]
fn a_heap_at_its_limit_samples_what_it_allocates() {
    let heap = Heap::new(Config::new().sample_bytes(1).max_heap_bytes(1 << 20));
    let mut cx = heap.enter();
    let calls = Rc::new(Cell::new(0_u64));
    let count = Rc::clone(&calls);
    cx.set_stack_hook(move |_, _| count.set(count.get() + 1));
    let mut kept = Vec::new();
    while let Ok(object) = cx.try_alloc([1_u64; 32]) {
        kept.push(cx.root(object));
    }
    let large = cx.try_alloc_slice_zeroed::<u64>(100_000);
    assert!(large.is_err());
    let profile = heap.allocation_profile().unwrap();
    let samples: u64 = profile.sites.iter().map(|site| site.allocated.samples).sum();
    assert_eq!(samples, kept.len() as u64);
    assert_eq!(calls.get(), samples + 1, "that of the large object, which was refused");
    cx.verify().unwrap();
}

#[test]
fn records_count_as_memory_of_the_heap() {
    let heap = Heap::new(Config::new().sample_bytes(1));
    let mut cx = heap.enter();
    let before = heap.stats().metadata_bytes;
    let kept: Vec<_> = (0..50_000).map(|n| cx.root(node(&cx, n, None))).collect();
    let with = heap.stats().metadata_bytes;
    assert!(with > before + 50_000 * 16, "{before} {with}");
    drop(kept);
    cx.collect();
    let after = heap.stats().metadata_bytes;
    assert!(after < with - 40_000 * 16, "{with} {after}");
}
