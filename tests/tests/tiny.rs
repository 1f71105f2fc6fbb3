//! Small pointer-free objects share slots: what one of them keeps, what it does not
//! keep, and that nobody notices otherwise.

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use heap_api::{Config, Cx, Gc, Heap, InternSet, Opaque, Root, Trace};
use heap_tests::Counter;
use proptest::collection::vec;
use proptest::prelude::*;

// ---- Random programs against a model ------------------------------------------------

/// A kept object of a type that only the root knows.
trait Kept {
    /// First address and bytes.
    fn place(&self, cx: &Cx) -> (usize, usize);
    fn check(&self, cx: &Cx);
}

struct Held<T> {
    root: Root<T>,
    value: T,
}

impl<T: for<'a> Trace<At<'a> = T> + Copy + PartialEq + std::fmt::Debug + 'static> Kept for Held<T> {
    fn place(&self, cx: &Cx) -> (usize, usize) {
        let object = self.root.get(cx);
        assert_eq!(object.addr() % align_of::<T>(), 0, "{}", std::any::type_name::<T>());
        assert_eq!(std::ptr::from_ref(object.as_ref()).addr(), object.addr());
        (object.addr(), size_of::<T>())
    }

    fn check(&self, cx: &Cx) {
        assert_eq!(*self.root.get(cx).as_ref(), self.value);
    }
}

fn new<E, const N: usize>(cx: &Cx, seed: u8) -> Box<dyn Kept>
where
    E: for<'a> Trace<At<'a> = E> + Copy + PartialEq + std::fmt::Debug + From<u8> + 'static,
{
    let value: [E; N] = std::array::from_fn(|i| E::from(seed.wrapping_add(i as u8) | 1));
    Box::new(Held { root: cx.root(cx.alloc(value)), value })
}

type New = fn(&Cx, u8) -> Box<dyn Kept>;

/// Sizes 0 to 24 with alignments 1 to 16.
#[rustfmt::skip]
const SHAPES: [New; 47] = [
    new::<u8, 0>, new::<u8, 1>, new::<u8, 2>, new::<u8, 3>, new::<u8, 4>, new::<u8, 5>,
    new::<u8, 6>, new::<u8, 7>, new::<u8, 8>, new::<u8, 9>, new::<u8, 10>, new::<u8, 11>,
    new::<u8, 12>, new::<u8, 13>, new::<u8, 14>, new::<u8, 15>, new::<u8, 16>, new::<u8, 17>,
    new::<u8, 18>, new::<u8, 19>, new::<u8, 20>, new::<u8, 21>, new::<u8, 22>, new::<u8, 23>,
    new::<u8, 24>,
    new::<u16, 0>, new::<u16, 1>, new::<u16, 2>, new::<u16, 3>, new::<u16, 4>, new::<u16, 5>,
    new::<u16, 6>, new::<u16, 7>, new::<u16, 8>, new::<u16, 12>,
    new::<u32, 0>, new::<u32, 1>, new::<u32, 2>, new::<u32, 3>, new::<u32, 4>, new::<u32, 6>,
    new::<u64, 0>, new::<u64, 1>, new::<u64, 2>, new::<u64, 3>,
    new::<u128, 0>, new::<u128, 1>,
];

#[derive(Clone, Debug)]
enum Step {
    /// Objects of one shape, kept.
    New {
        shape: usize,
        count: usize,
    },
    /// Objects of changing shapes that nobody keeps, over what is free.
    Garbage {
        shape: usize,
        count: usize,
    },
    /// One in so many of the kept dies.
    Drop {
        first: usize,
        every: usize,
    },
    Safepoint,
    Collect,
    Verify,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..SHAPES.len(), 1_usize..40).prop_map(|(shape, count)| Step::New { shape, count }),
        2 => (0..SHAPES.len(), 1_usize..2000)
            .prop_map(|(shape, count)| Step::Garbage { shape, count }),
        3 => (0_usize..9, 1_usize..9).prop_map(|(first, every)| Step::Drop { first, every }),
        2 => Just(Step::Safepoint),
        2 => Just(Step::Collect),
        1 => Just(Step::Verify),
    ]
}

fn check(cx: &Cx, kept: &[Box<dyn Kept>]) {
    let mut places = BTreeMap::new();
    for object in kept {
        object.check(cx);
        let (address, bytes) = object.place(cx);
        assert!(places.insert(address, bytes).is_none(), "every object has its own address");
    }
    for ((below, bytes), (above, _)) in places.iter().zip(places.iter().skip(1)) {
        assert!(below + bytes <= *above, "objects overlap");
    }
}

fn run(stress: bool, program: &[Step]) {
    let heap = Heap::new(Config::new().stress(stress).min_heap_bytes(1 << 16).huge_pages(false));
    let mut cx = heap.enter();
    let mut kept: Vec<Box<dyn Kept>> = Vec::new();
    let mut seed = 0_u8;
    for step in program {
        seed = seed.wrapping_add(29);
        match *step {
            Step::New { shape, count } => {
                // Now and then of different shapes, so that they meet in slots.
                kept.extend((0..count).map(|i| {
                    let shape = (shape + (i % 3) * (seed as usize)) % SHAPES.len();
                    SHAPES[shape](&cx, seed.wrapping_add(i as u8))
                }));
            }
            Step::Garbage { shape, count } => {
                for i in 0..count {
                    drop(SHAPES[(shape + i) % SHAPES.len()](&cx, !seed));
                }
            }
            Step::Drop { first, every } => {
                let mut index = 0;
                kept.retain(|_| {
                    index += 1;
                    index % every != first % every
                });
            }
            Step::Safepoint => cx.safepoint(),
            Step::Collect => {
                cx.collect();
                check(&cx, &kept);
            }
            Step::Verify => cx.verify().unwrap(),
        }
    }
    cx.collect();
    check(&cx, &kept);
    drop(kept);
    cx.collect();
    cx.verify().unwrap();
    let stats = heap.stats();
    assert_eq!(stats.allocated_objects, stats.freed_objects, "{stats:?}");
    assert_eq!(stats.allocated_bytes, stats.freed_bytes, "{stats:?}");
}

proptest! {
    #![proptest_config(support::programs(200, 2000))]

    #[test]
    fn kept_objects_keep_their_contents(stress in any::<bool>(), program in vec(step(), 1..80)) {
        run(stress, &program);
    }
}

// ---- One property each --------------------------------------------------------------

/// Fills what is free with ones.
fn churn(cx: &mut Cx) {
    for _ in 0..4 {
        for _ in 0..20_000 {
            let _ = (cx.alloc(u64::MAX), cx.alloc([u64::MAX; 2]));
        }
        cx.collect();
    }
}

fn slot(address: usize) -> usize {
    address / 16
}

/// Objects of the type that start in one slot, one after the other.
fn slotful<'gc, T: Trace<At<'gc> = T>>(cx: &'gc Cx, make: impl Fn(usize) -> T) -> Vec<Gc<'gc, T>> {
    let mut objects = vec![cx.alloc(make(0))];
    loop {
        let next = cx.alloc(make(objects.len()));
        if slot(next.addr()) != slot(objects[0].addr()) {
            if objects[0].addr() % 16 == 0 {
                return objects;
            }
            // The slot was begun by others: once more.
            objects.clear();
        }
        objects.push(next);
    }
}

#[test]
fn as_many_as_fit_share_a_slot() {
    let heap = Heap::new(Config::new());
    let cx = heap.enter();
    assert_eq!(slotful(&cx, |i| i as u64).len(), 2);
    assert_eq!(slotful(&cx, |i| i as f64).len(), 2);
    assert_eq!(slotful(&cx, |i| i as u32).len(), 4);
    assert_eq!(slotful(&cx, |i| i as u16).len(), 8);
    assert_eq!(slotful(&cx, |i| i % 2 == 0).len(), 16);
    assert_eq!(slotful(&cx, |_| ()).len(), 16);
    assert_eq!(slotful(&cx, |i| [i as u8; 6]).len(), 2);
    assert_eq!(slotful(&cx, |i| AtomicU8::new(i as u8)).len(), 16);
}

#[test]
fn a_large_tiny_object_leaves_the_rest_of_its_slot_to_others() {
    let heap = Heap::new(Config::new());
    let cx = heap.enter();
    for i in 0..100_u32 {
        let large = cx.alloc([i; 3]);
        let small = cx.alloc(!i);
        assert_eq!(small.addr(), large.addr() + 12);
        assert_eq!((*large, *small), ([i; 3], !i));
    }
}

#[test]
fn what_holds_handles_or_drops_has_a_slot_alone() {
    let counter = Counter::new();
    let heap = Heap::new(Config::new());
    let cx = heap.enter();
    for i in 0..100 {
        assert_eq!(cx.alloc(cx.alloc(i)).addr() % 16, 0, "a handle");
        assert_eq!(cx.alloc(Opaque(Box::new(i))).addr() % 16, 0, "a box");
        assert_eq!(cx.alloc(Opaque(counter.value(i))).addr() % 8, 0);
        assert_eq!(cx.alloc_str("").addr() % 16, 0, "a tail");
        assert_eq!(cx.alloc([i; 2]).addr() % 16, 0, "a whole slot");
    }
}

#[test]
fn each_tiny_object_alone_keeps_the_slot() {
    let heap = Heap::new(Config::new().stress(true));
    let mut cx = heap.enter();
    for survivor in 0..16 {
        let root = {
            let objects = slotful(&cx, |i| i as u8);
            cx.root(objects[survivor])
        };
        cx.collect();
        churn(&mut cx);
        assert_eq!(*root.get(&cx).as_ref(), survivor as u8);
        cx.verify().unwrap();
    }
}

#[test]
fn the_slot_dies_with_its_last_tiny_object() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    let mut roots: Vec<Root<u8>> =
        slotful(&cx, |i| i as u8).into_iter().map(|o| cx.root(o)).collect();
    while !roots.is_empty() {
        cx.collect();
        cx.verify().unwrap();
        let stats = heap.stats();
        assert_eq!(stats.marked_objects, 1, "with {} tiny_objects", roots.len());
        assert_eq!(stats.allocated_bytes - stats.freed_bytes, 16);
        roots.remove(roots.len() / 2);
    }
    cx.collect();
    cx.verify().unwrap();
    let stats = heap.stats();
    assert_eq!((stats.marked_objects, stats.allocated_bytes - stats.freed_bytes), (0, 0));
}

#[test]
fn a_slot_takes_no_tiny_objects_after_a_collection() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    let first = cx.root(cx.alloc(1_u8));
    let before = first.get(&cx).addr();
    cx.collect();
    assert_ne!(slot(cx.alloc(2_u8).addr()), slot(before), "TN3");
    // Without a collection in between they share.
    assert_eq!(slot(cx.alloc(3_u8).addr()), slot(cx.alloc(4_u8).addr()));
}

#[test]
fn tiny_objects_without_size_are_different_objects() {
    let heap = Heap::new(Config::new().stress(true));
    let mut cx = heap.enter();
    let roots: Vec<Root<()>> = (0..100).map(|_| cx.root(cx.alloc(()))).collect();
    cx.collect();
    for (i, one) in roots.iter().enumerate() {
        for other in &roots[..i] {
            assert!(!one.get(&cx).ptr_eq(other.get(&cx)));
        }
        assert!(one.get(&cx).ptr_eq(one.get(&cx)));
    }
}

#[test]
fn bytes_are_those_of_slots() {
    let heap = Heap::new(Config::new());
    let cx = heap.enter();
    for i in 0..1000 {
        cx.alloc(i as f64);
    }
    drop(cx);
    let stats = heap.stats();
    assert_eq!((stats.allocated_objects, stats.allocated_bytes), (500, 8000));
    let class_histogram = heap.class_histogram().unwrap();
    assert_eq!(
        (class_histogram[0].kind, class_histogram[0].objects, class_histogram[0].bytes),
        ("tiny", 500, 8000)
    );
    heap.verify().unwrap();
    let cx = heap.enter();
    for _ in 0..1001 {
        cx.alloc(true);
    }
    drop(cx);
    let stats = heap.stats();
    assert_eq!((stats.allocated_objects, stats.allocated_bytes), (563, 8000 + 63 * 16));
    heap.verify().unwrap();
}

/// A weak entry lives as long as its slot: what it leads to is never reused before.
#[test]
fn weak_entries_of_tiny_objects_go_with_the_slot() {
    let heap = Heap::new(Config::new().stress(true));
    let mut cx = heap.enter();
    let mut set = InternSet::<u64>::new(&heap);
    let neighbour = {
        let pair = slotful(&cx, |i| 70 + i as u64);
        set.insert(&cx, 70, pair[0]);
        cx.root(pair[1])
    };
    cx.collect();
    churn(&mut cx);
    if let Some(found) = set.find(&cx, 70, |value| *value == 70) {
        assert_eq!(slot(found.addr()), slot(neighbour.get(&cx).addr()));
    }
    cx.verify().unwrap();
    drop(neighbour);
    cx.collect();
    assert_eq!(set.len(&cx), 0);
}

#[test]
fn mutators_do_not_meet_in_a_slot_until_they_hand_objects_over() {
    const THREADS: usize = 4;
    let heap =
        Heap::new(Config::new().min_heap_bytes(1 << 18).mark_threads(1).background_sweep(true));
    let total = AtomicU32::new(0);
    let roots: Vec<Vec<Root<AtomicU8>>> = std::thread::scope(|scope| {
        let run = |thread: usize| {
            let (heap, total) = (heap.clone(), &total);
            move || {
                let mut cx = heap.enter();
                let mut roots = Vec::new();
                for i in 0..50_000 {
                    let byte = cx.alloc(AtomicU8::new(thread as u8));
                    if i % 13 == thread {
                        roots.push(cx.root(byte));
                    }
                    cx.safepoint();
                }
                for root in &roots {
                    assert_eq!(root.get(&cx).fetch_add(16, Ordering::Relaxed), thread as u8);
                    total.fetch_add(1, Ordering::Relaxed);
                }
                roots
            }
        };
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(run(thread))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut cx = heap.enter();
    cx.collect();
    let mut slots = BTreeMap::new();
    for (thread, roots) in roots.iter().enumerate() {
        for root in roots {
            let byte = root.get(&cx);
            assert_eq!(byte.load(Ordering::Relaxed), 16 + thread as u8);
            let owner = *slots.entry(slot(byte.addr())).or_insert(thread);
            assert_eq!(owner, thread, "a slot has one mutator's tiny_objects");
        }
    }
    assert_eq!(total.into_inner() as usize, roots.iter().map(Vec::len).sum::<usize>());
    cx.verify().unwrap();
}

#[test]
fn a_full_heap_gives_the_value_back() {
    let heap = Heap::new(Config::new().max_heap_bytes(1 << 18));
    let mut cx = heap.enter();
    let mut roots: Vec<Root<u32>> = Vec::new();
    let refused = loop {
        match cx.try_alloc(roots.len() as u32) {
            Ok(object) => roots.push(cx.root(object)),
            Err(error) => break error.value,
        }
    };
    assert_eq!(refused as usize, roots.len());
    assert_eq!(roots.len(), (1 << 18) / 4, "four in a slot");
    let mut index = 0;
    roots.retain(|_| {
        index += 1;
        index % 4 == 2
    });
    cx.collect();
    assert!(cx.try_alloc(7_u32).is_err(), "one layout of each slot is alive");
    roots.truncate(roots.len() / 2);
    cx.collect();
    for _ in 0..1000 {
        assert_eq!(*cx.try_alloc(7_u32).unwrap(), 7);
    }
    for (i, root) in roots.iter().enumerate() {
        assert_eq!(*root.get(&cx).as_ref(), 4 * i as u32 + 1);
    }
    cx.verify().unwrap();
}
