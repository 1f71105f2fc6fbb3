//! Each family of the API once, on heaps small enough for Miri (`scripts/miri.sh`); ordinary
//! tests otherwise.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use heap_api::{
    AtomicGcCell, BarrierStamp, Config, Cx, Finalizers, Gc, GcCell, GcMap, GcRefCell, GcStack,
    GcVec, Heap, InternSet, Root, Share, Trace, WeakMap,
};
use heap_tests::verify;

#[derive(Trace)]
struct Node<'gc> {
    value: u64,
    next: GcCell<Option<Gc<'gc, Node<'gc>>>>,
}

fn small() -> Config {
    Config::new().huge_pages(false).min_heap_bytes(64 << 10)
}

/// A list of the numbers from 1 to `len`, the last first, and garbage between.
fn list(cx: &Cx, len: u64) -> Root<Node<'static>> {
    let mut list = None;
    for value in 1..=len {
        list = Some(cx.alloc(Node { value, next: GcCell::new(list) }));
        let _ = cx.alloc_str("garbage");
    }
    cx.root(list.expect("a node"))
}

fn check(cx: &Cx, list: &Root<Node<'static>>, len: u64) {
    let nodes = std::iter::successors(Some(list.get(cx)), |node| node.next.get());
    assert!(nodes.map(|node| node.value).eq((1..=len).rev()));
}

#[test]
fn a_list_is_collected() {
    let heap = Heap::new(small());
    let mut cx = heap.enter();
    let kept = list(&cx, 20);
    for _ in 0..2 {
        cx.collect();
        check(&cx, &kept, 20);
    }
    assert_eq!(heap.stats().marked_objects, 20);
    drop(kept);
    cx.collect();
    verify(&mut cx);
    assert_eq!(heap.stats().marked_objects, 0);
}

#[test]
fn a_list_changes_while_it_is_marked_incrementally() {
    let heap = Heap::new(small().mark_slice(Duration::ZERO));
    let mut cx = heap.enter();
    let kept = list(&cx, 20);
    let taken = {
        let done = cx.collect_step();
        let node = kept.get(&cx);
        let rest = node.next.replace(&cx, None).expect("a list");
        assert!(!done || heap.stats().collections == 1);
        cx.root(rest)
    };
    while !cx.collect_step() {}
    check(&cx, &taken, 19);
    cx.collect();
    verify(&mut cx);
}

#[test]
fn values_of_every_shape() {
    let heap = Heap::new(small());
    let mut cx = heap.enter();
    let set = &mut InternSet::<str>::new(&heap);
    let text = cx.root(set.find_or_insert(&cx, 7, |_| false, || cx.alloc_str("interned")));
    let names = cx.root(cx.alloc(GcRefCell::new(vec![text.get(&cx)])));
    let registers = cx.root(
        cx.try_alloc_header_slice_fn(BarrierStamp::new(), 5, |_| GcCell::new(None::<Gc<'_, str>>))
            .unwrap(),
    );
    let zeroed = cx.root(cx.alloc_slice_zeroed::<u64>(100));
    let large = cx.root(cx.alloc_slice_fn(100, |i| i as u64));
    let tiny = cx.root(cx.alloc(3_u8));
    let dropped = cx.root(cx.alloc((String::from("owned"), Box::new(5_u32))));
    let stack = cx.root(cx.alloc(GcStack::<Option<Gc<'_, str>>>::new()));
    for round in 0..2 {
        {
            names.get(&cx).borrow_mut(&cx).push(cx.alloc_str("pushed"));
            registers.get(&cx).as_ref().open(&cx)[round].set(Some(cx.alloc_str("register")));
            stack.get(&cx).push(&cx, Some(cx.alloc_str("on the stack")));
            stack.get(&cx).window(&cx)[0].set(Some(text.get(&cx)));
            let mut block = cx.try_stack_block(100).unwrap();
            block.slots_mut::<u64>()[0].write(1);
            block.release(&cx);
        }
        cx.scope(|scope| {
            let local = scope.keep(scope.alloc_str("local"));
            scope.collect();
            assert_eq!(&*local.get(scope), "local");
        });
        cx.safepoint();
        cx.park(|| heap.release_idle());
    }
    assert_eq!(names.get(&cx).borrow().iter().map(|name| name.len()).sum::<usize>(), 8 + 2 * 6);
    assert_eq!(registers.get(&cx).tail.iter().filter(|r| r.get().is_some()).count(), 2);
    assert_eq!(stack.get(&cx).get(0).flatten().as_deref(), Some("interned"));
    assert_eq!((zeroed.get(&cx)[99], large.get(&cx)[99], *tiny.get(&cx)), (0, 99, 3));
    assert_eq!((&*dropped.get(&cx).0, *dropped.get(&cx).1), ("owned", 5));
    assert_eq!(set.len(&cx), 1);
    verify(&mut cx);
}

#[test]
fn a_stack_is_used_while_windows_on_it_are_open() {
    let heap = Heap::new(small());
    let mut cx = heap.enter();
    let stack = cx.root(cx.alloc(GcStack::<Option<Gc<'_, u64>>>::new()));
    {
        let stack = stack.get(&cx);
        (0..5).for_each(|i| stack.push(&cx, Some(cx.alloc(i))));
        let (one, two) = (stack.window(&cx), stack.window(&cx));
        for i in 0..5 {
            one[i].swap(&two[4 - i]);
            stack.set(&cx, i, one[i].get());
            two[i].set(stack.get(i).flatten());
            stack.push(&cx, one[i].get());
            assert_eq!(stack.pop(&cx).flatten().map(|value| *value), two[i].get().map(|v| *v));
        }
    }
    cx.collect();
    let values: Vec<_> = (0..5).map(|i| *stack.get(&cx).get(i).flatten().unwrap()).collect();
    assert_eq!(values.iter().sum::<u64>(), 10, "{values:?}");
    verify(&mut cx);
}

#[derive(Trace, Share)]
struct Shared<'gc> {
    value: u64,
    next: AtomicGcCell<'gc, Shared<'gc>>,
}

#[test]
fn mutators_share_a_heap_with_mark_threads_and_a_sweeper() {
    let config = small().mark_threads(1).background_sweep(true);
    let heap = Heap::new(config);
    let mut cx = heap.enter();
    let top = cx.root(cx.alloc(Shared { value: 0, next: AtomicGcCell::new(None) }));
    // Nothing but the cells orders what they do then.
    let inside = AtomicU32::new(0);
    cx.park(|| {
        std::thread::scope(|scope| {
            for thread in 1..=2 {
                let (heap, top, inside) = (&heap, &top, &inside);
                scope.spawn(move || {
                    let mut cx = heap.enter();
                    inside.fetch_add(1, Ordering::Relaxed);
                    while inside.load(Ordering::Relaxed) < 2 {
                        cx.safepoint();
                        std::thread::yield_now();
                    }
                    for i in 0..9 {
                        let shared = top.get(&cx);
                        // Perhaps the other thread's, and just made.
                        assert!(shared.next.get().is_none_or(|node| node.value % 10 < 9));
                        let node = cx.alloc(Shared {
                            value: thread * 10 + i,
                            next: AtomicGcCell::new(shared.next.get()),
                        });
                        shared.next.set(&cx, Some(node));
                        cx.safepoint();
                    }
                    cx.collect();
                });
            }
        });
    });
    cx.collect();
    let last = top.get(&cx).next.get().expect("a node");
    assert!(last.value % 10 < 9);
    verify(&mut cx);
}

#[test]
fn arrays_and_maps_change_while_they_are_marked_incrementally() {
    #[derive(Trace)]
    struct Both<'gc> {
        array: GcVec<'gc, Gc<'gc, u64>>,
        map: GcMap<'gc, u64, Gc<'gc, u64>>,
    }
    let heap = Heap::new(small().mark_slice(Duration::ZERO).stress(true));
    let mut cx = heap.enter();
    let both: Root<Both<'static>> =
        cx.root(cx.alloc(Both { array: GcVec::new(), map: GcMap::new() }));
    for round in 0..6 {
        {
            let both = both.get(&cx);
            for i in 0..20 {
                both.array.push(&cx, cx.alloc(i));
                both.map.insert(&cx, i, cx.alloc(i));
            }
            let taken = both.array.remove(&cx, 3);
            both.array.insert(&cx, 3, taken);
            let cells = both.array.open(&cx);
            cells[0].swap(&cells[1]);
            both.array.swap(&cx, 0, 1);
            both.array.truncate(&cx, 15);
            both.map.remove(&cx, &round);
            both.map.remove(&cx, &19);
            if round % 2 == 1 {
                both.array.shrink_to_fit(&cx);
                both.map.shrink_to_fit(&cx);
            }
        }
        cx.collect_step();
        {
            let both = both.get(&cx);
            assert!(both.array.iter().map(|number| *number).eq(0..15));
            assert!(both.map.iter().all(|(key, value)| key == *value));
            assert_eq!(both.map.len(), 18);
            both.array.clear(&cx);
            if round == 3 {
                both.map.clear(&cx);
            }
        }
    }
    while !cx.collect_step() {}
    verify(&mut cx);
}

#[test]
fn weak_things_are_used_while_they_are_marked_incrementally() {
    let heap = Heap::new(small().mark_slice(Duration::ZERO));
    let mut cx = heap.enter();
    let finalizers = Finalizers::<Node<'static>>::new(&heap);
    let kept = list(&cx, 3);
    let (map, weak) = {
        let map = cx.alloc(WeakMap::<Node<'_>, Gc<'_, Node<'_>>>::new());
        let key = kept.get(&cx);
        // A value that leads to its key, and an entry that goes.
        let value = cx.alloc(Node { value: 10, next: GcCell::new(Some(key)) });
        let dead = cx.alloc(Node { value: 20, next: GcCell::new(None) });
        map.insert(&cx, key, value);
        map.insert(&cx, dead, dead);
        finalizers.register(&cx, dead);
        (cx.root(map), [key, value, dead].map(|node| cx.weak_root(node)))
    };
    let mut steps = 0;
    while !cx.collect_step() {
        steps += 1;
        if steps % 3 == 0 {
            let value = map.get(&cx).get(kept.get(&cx)).expect("its key is held");
            assert_eq!(value.value, 10);
            let other = cx.alloc(Node { value: 30, next: GcCell::new(None) });
            map.get(&cx).insert(&cx, other, value);
            let _ = other.downgrade(&cx);
        }
    }
    assert!(steps > 3);
    assert_eq!(weak.each_ref().map(|weak| weak.upgrade(&cx).is_some()), [true, true, false]);
    {
        let revived = finalizers.next(&cx).expect("it was unreachable");
        assert!(map.get(&cx).get(revived).is_some_and(|value| value.ptr_eq(revived)));
    }
    cx.collect();
    cx.collect();
    assert_eq!(map.get(&cx).len(&cx), 1);
    verify(&mut cx);
}

#[test]
fn samples_are_taken_while_the_heap_is_marked_incrementally() {
    let heap = Heap::new(small().mark_slice(Duration::ZERO).sample_bytes(20));
    let mut cx = heap.enter();
    let kept = list(&cx, 3);
    let of_hook = kept.clone();
    cx.set_stack_hook(move |cx, frames| {
        frames.push("make", "file", of_hook.get(cx).value as u32);
        frames.push("main", "file", 1);
    });
    let make = |cx: &Cx| {
        for n in 0..10_u64 {
            cx.alloc(n as u8);
            cx.alloc(Node { value: n, next: GcCell::new(None) });
        }
        cx.alloc_slice_zeroed::<u64>(5000);
    };
    make(&cx);
    while !cx.collect_step() {
        make(&cx);
    }
    verify(&mut cx);
    // A hook that must not do what it does.
    cx.set_stack_hook(|cx, _| _ = cx.alloc(1_u8));
    let refused = catch_unwind(AssertUnwindSafe(|| (0..100).for_each(|_| make(&cx))));
    assert!(refused.is_err());
    cx.clear_stack_hook();
    make(&cx);
    verify(&mut cx);
    let profile = heap.allocation_profile().expect("it samples");
    assert!(profile.sites.iter().any(|site| site.frames.len() == 2 && site.live.samples > 0));
    check(&cx, &kept, 3);
}
