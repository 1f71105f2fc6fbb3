//! Weak handles, ephemerons and finalizers: what each does by itself, in one stop and in steps.

use std::time::Duration;

use heap_api::{
    Config, Cx, Ephemeron, Finalizers, Gc, GcCell, Heap, InternSet, Root, Trace, Weak, WeakMap,
    WeakRoot, WeakValueMap,
};

#[derive(Trace)]
struct Node<'gc> {
    id: u64,
    next: GcCell<Option<Gc<'gc, Node<'gc>>>>,
    weak: GcCell<Option<Weak<'gc, Node<'gc>>>>,
}

/// A list that leads to an ephemeron.
#[derive(Trace)]
struct Links<'gc> {
    pair: Option<Gc<'gc, Ephemeron<'gc, Node<'gc>, Gc<'gc, Node<'gc>>>>>,
    next: Option<Gc<'gc, Links<'gc>>>,
}

fn node<'gc>(cx: &'gc Cx, id: u64, next: Option<Gc<'gc, Node<'gc>>>) -> Gc<'gc, Node<'gc>> {
    cx.alloc(Node { id, next: GcCell::new(next), weak: GcCell::new(None) })
}

/// How a test collects.
#[derive(Clone, Copy, Debug)]
enum How {
    Whole,
    Steps,
}

fn heaps() -> impl Iterator<Item = (Heap, How)> {
    let plain = Config::new();
    let sliced = Config::new().mark_slice(Duration::ZERO).min_heap_bytes(256 << 20);
    [(plain, How::Whole), (sliced, How::Steps)].into_iter().flat_map(|(config, how)| {
        [0, 2].map(|threads| (Heap::new(config.clone().mark_threads(threads)), how))
    })
}

fn collect(cx: &mut Cx, how: How) {
    match how {
        How::Whole => cx.collect(),
        How::Steps => while !cx.collect_step() {},
    }
    cx.verify().expect("a sound heap");
}

#[test]
fn weak_handles_are_cleared_with_their_objects() {
    for (heap, how) in heaps() {
        let mut cx = heap.enter();
        let (kept, weak_kept, weak_dead, holder) = {
            let (kept, dead) = (node(&cx, 1, None), node(&cx, 2, None));
            let holder = node(&cx, 3, None);
            holder.weak.set(&cx, Some(dead.downgrade(&cx)));
            assert!(dead.downgrade(&cx).ptr_eq(holder.weak.get().expect("set")));
            assert_ne!(dead.downgrade(&cx), kept.downgrade(&cx));
            (cx.root(kept), cx.weak_root(kept), cx.weak_root(dead), cx.root(holder))
        };
        collect(&mut cx, how);
        assert_eq!(weak_kept.upgrade(&cx).map(|node| node.id), Some(1));
        assert!(weak_dead.upgrade(&cx).is_none());
        let weak = holder.get(&cx).weak.get().expect("set");
        assert!(weak.upgrade(&cx).is_none());
        assert!(weak == weak_dead.get(&cx), "equal after death");
        assert!(weak != kept.get(&cx).downgrade(&cx));
        drop(kept);
        collect(&mut cx, how);
        assert!(weak_kept.upgrade(&cx).is_none());
    }
}

/// A cell that no handle leads to lives as long as its object, so that the next handle is the same.
#[test]
fn the_cell_of_a_live_object_stays() {
    for (heap, how) in heaps() {
        let mut cx = heap.enter();
        let object = {
            let object = node(&cx, 1, None);
            let _ = object.downgrade(&cx);
            cx.root(object)
        };
        collect(&mut cx, how);
        let weak = cx.weak_root(object.get(&cx));
        collect(&mut cx, how);
        assert!(weak.get(&cx) == object.get(&cx).downgrade(&cx));
    }
}

#[test]
fn the_value_of_an_ephemeron_lives_as_long_as_its_key() {
    for (heap, how) in heaps() {
        let mut cx = heap.enter();
        let (key, holder, value) = {
            let (key, value) = (node(&cx, 1, None), node(&cx, 2, None));
            // The value leads to its key.
            value.next.set(&cx, Some(key));
            let pair = cx.alloc_ephemeron(key, value);
            (cx.root(key), cx.root(pair), cx.weak_root(value))
        };
        collect(&mut cx, how);
        assert_eq!(holder.get(&cx).value_of(key.get(&cx)).map(|value| value.id), Some(2));
        assert!(value.upgrade(&cx).is_some());
        drop(key);
        collect(&mut cx, how);
        assert!(holder.get(&cx).get(&cx).is_none());
        assert!(value.upgrade(&cx).is_none());
        collect(&mut cx, how);
    }
}

/// A chain of ephemerons, each value leading to the next key, in both orders of the table.
#[test]
fn chains_of_ephemerons_live_and_die_together() {
    const LINKS: usize = 3000;
    for (heap, how) in heaps() {
        for reversed in [false, true] {
            let mut cx = heap.enter();
            let (first, table) = {
                let table = cx.alloc_ephemerons::<Node<'_>, Gc<'_, Node<'_>>>(LINKS);
                let first = node(&cx, 0, None);
                let mut key = first;
                for link in 0..LINKS {
                    let next = node(&cx, link as u64 + 1, None);
                    let value = node(&cx, 0, Some(next));
                    let at = if reversed { LINKS - 1 - link } else { link };
                    table[at].set(&cx, key, value);
                    key = next;
                }
                (cx.root(first), cx.root(table))
            };
            let count =
                |cx: &Cx| table.get(cx).iter().filter(|pair| pair.get(cx).is_some()).count();
            collect(&mut cx, how);
            assert_eq!(count(&cx), LINKS);
            drop(first);
            collect(&mut cx, how);
            assert_eq!(count(&cx), 0);
        }
    }
}

#[test]
fn a_weak_map_forgets_dead_keys() {
    for (heap, how) in heaps() {
        let mut cx = heap.enter();
        let (map, keys) = {
            let map = cx.alloc(WeakMap::new());
            let keys: Vec<Root<Node<'static>>> = (0..500)
                .map(|id| {
                    let key = node(&cx, id, None);
                    assert!(map.insert(&cx, key, id).is_none());
                    assert_eq!(map.insert(&cx, key, id + 1), Some(id));
                    cx.root(key)
                })
                .collect();
            (cx.root(map), keys)
        };
        collect(&mut cx, how);
        let kept: Vec<_> = keys.into_iter().step_by(3).collect();
        collect(&mut cx, how);
        {
            let map = map.get(&cx);
            assert_eq!(map.len(&cx), kept.len());
            for key in &kept {
                let key = key.get(&cx);
                assert_eq!(map.get(key), Some(key.id + 1));
            }
            // The table is made anew, without the dead.
            map.shrink_to_fit(&cx).expect("memory");
            assert_eq!(map.len(&cx), kept.len());
            assert!(kept.iter().all(|key| map.contains_key(key.get(&cx))));
            assert_eq!(map.remove(&cx, kept[0].get(&cx)), Some(kept[0].get(&cx).id + 1));
            assert!(!map.contains_key(kept[0].get(&cx)));
        }
        collect(&mut cx, how);
        assert_eq!(map.get(&cx).iter(&cx).count(), kept.len() - 1);
    }
}

#[test]
fn finalizers_revive_all_and_come_out_newest_first() {
    for (heap, how) in heaps() {
        let mut cx = heap.enter();
        let finalizers = Finalizers::<Node<'static>>::new(&heap);
        let weak = {
            // A cycle, and an object that only a finalizable one leads to.
            let (a, b) = (node(&cx, 1, None), node(&cx, 2, None));
            let inner = node(&cx, 3, Some(a));
            a.next.set(&cx, Some(b));
            b.next.set(&cx, Some(inner));
            finalizers.register(&cx, a);
            finalizers.register(&cx, b);
            finalizers.register(&cx, a);
            [cx.weak_root(a), cx.weak_root(b), cx.weak_root(inner)]
        };
        assert_eq!((finalizers.registered_len(), finalizers.queue_len()), (3, 0));
        collect(&mut cx, how);
        assert!(cx.has_finalizable());
        // What waits in the queue is alive, in later collections too.
        collect(&mut cx, how);
        assert!(weak.iter().all(|weak| weak.upgrade(&cx).is_none()), "cleared before");
        let order: Vec<u64> = std::iter::from_fn(|| finalizers.next(&cx)).map(|n| n.id).collect();
        assert_eq!(order, [1, 2, 1]);
        assert!(!cx.has_finalizable());
        // Registered again, and forgotten.
        let again = {
            let a = node(&cx, 7, None);
            finalizers.register(&cx, a);
            cx.root(a)
        };
        collect(&mut cx, how);
        assert!(finalizers.next(&cx).is_none());
        finalizers.enqueue_all(&cx);
        assert_eq!(finalizers.next(&cx).map(|node| node.id), Some(7));
        drop(again);
        let before = heap.usage().total().live_objects();
        collect(&mut cx, how);
        collect(&mut cx, how);
        assert!(heap.usage().total().live_objects() < before);
    }
}

/// Weak handles are cleared before finalizers see an object, keys of ephemerons and interned objects
/// after it was decided what is revived.
#[test]
fn what_a_finalizer_revives_stays_in_tables() {
    for (heap, how) in heaps() {
        let mut cx = heap.enter();
        let finalizers = Finalizers::<Node<'static>>::new(&heap);
        let mut interned = InternSet::<str>::new(&heap);
        let names = Finalizers::<str>::new(&heap);
        let map = {
            let map = cx.alloc(WeakMap::<Node<'_>, u64>::new());
            let key = node(&cx, 1, None);
            let leaf = node(&cx, 2, None);
            key.next.set(&cx, Some(leaf));
            map.insert(&cx, key, 10);
            map.insert(&cx, leaf, 20);
            finalizers.register(&cx, key);
            let name = cx.alloc_str("a name that has a slot of its own");
            interned.insert(&cx, 1, name);
            names.register(&cx, name);
            cx.root(map)
        };
        collect(&mut cx, how);
        assert_eq!(map.get(&cx).len(&cx), 2);
        let found = interned.find(&cx, 1, |_| true).expect("still interned");
        assert!(found.ptr_eq(names.next(&cx).expect("queued")));
        let key = finalizers.next(&cx).expect("queued");
        assert_eq!(map.get(&cx).get(key), Some(10));
        assert_eq!(map.get(&cx).get(key.next.get().expect("revived")), Some(20));
        collect(&mut cx, how);
        collect(&mut cx, how);
        assert_eq!(map.get(&cx).len(&cx), 0);
        assert_eq!(interned.len(&cx), 0);
    }
}

/// Everything that a mutator can do between two steps with something weak.
#[test]
fn mutators_use_weak_things_between_steps() {
    // Long enough for what the program adds between two steps.
    let config = Config::new().mark_slice(Duration::from_micros(50)).min_heap_bytes(256 << 20);
    let heap = Heap::new(config);
    let mut cx = heap.enter();
    let finalizers = Finalizers::<Node<'static>>::new(&heap);
    let map = {
        let map = cx.alloc(WeakMap::<Node<'_>, Gc<'_, Node<'_>>>::new());
        cx.root(map)
    };
    let mut weak = Vec::new();
    let mut strong = Vec::new();
    let mut pairs = Vec::new();
    for round in 0..60 {
        let mut is_over = false;
        while !is_over {
            is_over = cx.collect_step();
            for id in 0..3 {
                let key = node(&cx, id, None);
                let value = node(&cx, id + 100, Some(key));
                map.get(&cx).insert(&cx, key, value);
                finalizers.register(&cx, value);
                weak.push((id, cx.weak_root(key)));
                let pair: Gc<'_, Ephemeron<'_, Node<'_>, Gc<'_, Node<'_>>>> =
                    cx.alloc_ephemeron(key, value);
                pairs.push(cx.root(pair));
                if id == 0 {
                    strong.push(cx.root(key));
                }
            }
            // Takes some from weak things, and lets others go.
            if let Some((id, weak)) = weak.get(round * 7 % weak.len().max(1))
                && let Some(node) = weak.upgrade(&cx)
            {
                assert_eq!(node.id, *id);
                strong.push(cx.root(node));
            }
            for (key, value) in map.get(&cx).iter(&cx).take(5) {
                assert_eq!(value.id, key.id + 100);
                assert!(value.next.get().expect("set").ptr_eq(key));
            }
            if let Some(pair) = pairs.get(round * 11 % pairs.len())
                && let Some((key, value)) = pair.get(&cx).get(&cx)
            {
                assert_eq!(value.id, key.id + 100);
                strong.push(cx.root(value));
                pair.get(&cx).clear(&cx);
            }
            while let Some(value) = finalizers.next(&cx) {
                assert_eq!(value.id, value.next.get().expect("revived").id + 100);
            }
            if strong.len() > 30 {
                strong.drain(..strong.len() - 10);
            }
            if weak.len() > 300 {
                weak.drain(..100);
                pairs.drain(..100);
            }
        }
        cx.verify().expect("a sound heap");
    }
}

#[test]
fn a_map_with_weak_values_forgets_the_dead() {
    for (heap, how) in heaps() {
        let mut cx = heap.enter();
        let (map, mut kept) = {
            let map = cx.alloc(WeakValueMap::<u64, Node<'_>>::new());
            let nodes = (0..100).map(|id| {
                let node = node(&cx, id, None);
                assert!(map.insert(&cx, id, node).is_none());
                cx.root(node)
            });
            (cx.root(map), nodes.collect::<Vec<_>>())
        };
        collect(&mut cx, how);
        kept.truncate(30);
        collect(&mut cx, how);
        {
            let map = map.get(&cx);
            assert_eq!(map.len(&cx), 30);
            let ids: Vec<u64> = map.iter(&cx).map(|(id, node)| node.id.min(id)).collect();
            assert_eq!(ids, (0..30).collect::<Vec<_>>(), "in the order of insertion");
            assert!(map.get(&cx, &30).is_none() && map.get(&cx, &29).is_some());
            let new = node(&cx, 5, None);
            assert!(map.insert(&cx, 5, new).is_some_and(|before| before.ptr_eq(kept[5].get(&cx))));
            assert!(map.remove(&cx, &5).is_some_and(|removed| removed.ptr_eq(new)));
            map.purge(&cx);
            assert_eq!(map.len(&cx), 29);
        }
        kept.clear();
        collect(&mut cx, how);
        assert!(map.get(&cx).is_empty(&cx));
    }
}

/// Everything is put into the queue at each moment of a collection in steps.
#[test]
fn all_may_be_queued_at_any_step() {
    const OBJECTS: u64 = 9;
    for steps in 0..80 {
        let config = Config::new().mark_slice(Duration::ZERO).min_heap_bytes(256 << 20);
        let heap = Heap::new(config);
        let mut cx = heap.enter();
        let finalizers = Finalizers::<Node<'static>>::new(&heap);
        {
            for id in 0..OBJECTS {
                let leaf = node(&cx, id + 100, None);
                let object = node(&cx, id, Some(leaf));
                finalizers.register(&cx, object);
            }
        }
        let mut is_over = false;
        for _ in 0..steps {
            is_over = is_over || cx.collect_step();
        }
        finalizers.enqueue_all(&cx);
        assert_eq!((finalizers.registered_len(), finalizers.queue_len()), (0, OBJECTS as usize));
        while !cx.collect_step() {}
        cx.verify().expect("a sound heap");
        let mut ids = Vec::new();
        while let Some(object) = finalizers.next(&cx) {
            assert_eq!(object.next.get().expect("kept").id, object.id + 100);
            ids.push(object.id);
        }
        ids.sort_unstable();
        assert_eq!(ids, (0..OBJECTS).collect::<Vec<_>>(), "after {steps} steps");
    }
}

/// Runs `act` after each number of steps of a collection that clears handles in several stops.
fn between_stops(act: impl Fn(&mut Cx, &InternSet<Node<'static>>, [WeakRoot<Node<'static>>; 2])) {
    for steps in 0.. {
        let config = Config::new().mark_slice(Duration::ZERO).min_heap_bytes(256 << 20);
        let heap = Heap::new(config);
        let mut cx = heap.enter();
        let mut interned = InternSet::<Node<'static>>::new(&heap);
        // An object that an intern set has, with a child. Their handles are cleared last.
        let weak = {
            let child = node(&cx, 2, None);
            let object = node(&cx, 1, Some(child));
            interned.insert(&cx, 1, object);
            [cx.weak_root(object), cx.weak_root(child)]
        };
        let others: Vec<_> = (1..9)
            .map(|size| {
                let text = cx.alloc_str(&"x".repeat(size * 100));
                (cx.root(text), cx.weak_root(text))
            })
            .collect();
        if (0..steps).any(|_| cx.collect_step()) {
            return;
        }
        act(&mut cx, &interned, weak);
        cx.verify().expect("a sound heap");
        assert!(others.iter().all(|(_, weak)| weak.upgrade(&cx).is_some()));
    }
}

/// What an intern set shows when the collector has found it dead does not come back to weak handles.
#[test]
fn a_handle_that_was_found_cleared_stays_so() {
    between_stops(|cx, interned, weak| {
        let [is_dead, child_is_dead] = [0, 1].map(|at| weak[at].upgrade(cx).is_none());
        let Some(object) = interned.find(cx, 1, |node| node.id == 1) else { return };
        // The write barrier marks the child.
        let child = object.next.get().expect("alive");
        object.next.set(cx, None);
        object.next.set(cx, Some(child));
        assert!(!is_dead || weak[0].upgrade(cx).is_none(), "it came back");
        assert!(!child_is_dead || weak[1].upgrade(cx).is_none(), "the child came back");
        let object = cx.root(object);
        while !cx.collect_step() {}
        assert!(!is_dead || weak[0].upgrade(cx).is_none(), "it came back later");
        assert_eq!(object.get(cx).next.get().map(|child| child.id), Some(2));
    });
}

/// So does making a table anew, which keeps its keys.
#[test]
fn a_table_that_is_made_anew_brings_no_handle_back() {
    between_stops(|cx, interned, weak| {
        let map = {
            let map = cx.alloc(WeakMap::<Node<'_>, u64>::new());
            let Some(object) = interned.find(cx, 1, |node| node.id == 1) else { return };
            map.insert(cx, object.next.get().expect("alive"), 2);
            cx.root(map)
        };
        let is_dead = weak[1].upgrade(cx).is_none();
        map.get(cx).shrink_to_fit(cx).expect("memory");
        assert!(!is_dead || weak[1].upgrade(cx).is_none(), "it came back");
        assert_eq!(map.get(cx).len(cx), 1);
    });
}

/// A handle that is made of an object in hand leads to it as long as it is held.
#[test]
fn a_handle_that_is_made_late_is_not_cleared() {
    between_stops(|cx, interned, weak| {
        let (object, late) = {
            let Some(object) = interned.find(cx, 1, |node| node.id == 1) else { return };
            let child = object.next.get().expect("alive");
            (cx.root(object), [cx.weak_root(object), cx.weak_root(child)])
        };
        assert!(late.iter().all(|late| late.upgrade(cx).is_some()));
        while !cx.collect_step() {}
        assert!(late.iter().all(|late| late.upgrade(cx).is_some()));
        for (old, late) in weak.iter().zip(&late) {
            assert_eq!(old.get(cx) == late.get(cx), old.upgrade(cx).is_some());
        }
        drop(object);
        cx.collect();
        assert!(late.iter().all(|late| late.upgrade(cx).is_none()));
    });
}

/// What an ephemeron ceases to hold while marking is under way is kept, whoever has it then.
#[test]
fn what_an_ephemeron_held_is_kept() {
    for is_set in [false, true] {
        for steps in 0.. {
            let config = Config::new().mark_slice(Duration::ZERO).min_heap_bytes(256 << 20);
            let heap = Heap::new(config);
            let mut cx = heap.enter();
            let (key, pair) = {
                let key = node(&cx, 1, None);
                let pair = cx.alloc_ephemeron(key, node(&cx, 2, Some(node(&cx, 3, None))));
                // It is not traced at once.
                let mut list = cx.alloc(Links { pair: Some(pair), next: None });
                for _ in 0..100 {
                    list = cx.alloc(Links { pair: None, next: Some(list) });
                }
                (cx.root(key), cx.root(list))
            };
            if (0..steps).any(|_| cx.collect_step()) {
                break;
            }
            let value = {
                let mut list = pair.get(&cx);
                while let Some(next) = list.next {
                    list = next;
                }
                let (pair, key) = (list.pair.expect("the last one"), key.get(&cx));
                let value = pair.value_of(key).expect("set");
                match is_set {
                    true => pair.set(&cx, key, key),
                    false => pair.clear(&cx),
                }
                cx.root(value)
            };
            while !cx.collect_step() {}
            cx.verify().expect("a sound heap");
            // What would have been freed is used again.
            for id in 100..200 {
                let _ = node(&cx, id, None);
            }
            let value = value.get(&cx);
            assert_eq!((value.id, value.next.get().expect("set").id), (2, 3));
        }
    }
}

/// Marks of live objects that take some stops to look at, when marking is done.
fn delay(cx: &Cx, heap: &Heap) -> (Finalizers<[u64]>, Vec<Root<[u64]>>) {
    let registry = Finalizers::new(heap);
    let objects = (0..12).map(|_| {
        // A span for each: handles are cleared by spans.
        let object = cx.alloc_slice_fill(5000, 1_u64);
        let _ = object.downgrade(cx);
        registry.register(cx, object);
        cx.root(object)
    });
    let objects = objects.collect();
    (registry, objects)
}

type Notes<'gc> = WeakMap<'gc, str, Gc<'gc, Node<'gc>>>;

/// Adds keys without handles, and values that nothing else leads to.
fn add_notes<'gc>(cx: &'gc Cx, notes: &Notes<'gc>, ids: std::ops::Range<u64>) {
    for id in ids {
        let key = cx.alloc_str(&format!("a key that has a slot of its own {id}"));
        notes.insert(cx, key, node(cx, id, None));
    }
}

fn check_notes<'gc>(cx: &'gc Cx, notes: &Notes<'gc>) {
    for (key, value) in notes.iter(cx) {
        assert!(key.ends_with(&format!(" {}", value.id)), "{} of {key}", value.id);
    }
}

/// A key that needs no tracing is marked by a mutator when marking was done, at each step: its
/// value is kept. The mutator makes the table anew, or an intern set shows the key.
#[test]
fn keys_may_be_marked_when_marking_was_done() {
    for (steps, shown) in (0..60).flat_map(|steps| [(steps, false), (steps, true)]) {
        let config = Config::new().mark_slice(Duration::ZERO).min_heap_bytes(256 << 20);
        let heap = Heap::new(config);
        let mut cx = heap.enter();
        let mut interned = InternSet::<str>::new(&heap);
        let notes: Root<Notes<'static>> = {
            let notes = cx.alloc(WeakMap::new());
            // So few that they are all looked at in one step, and settled then.
            add_notes(&cx, &notes, 0..2);
            for (key, _) in notes.iter(&cx) {
                interned.insert(&cx, 1, key);
            }
            cx.root(notes)
        };
        let _delay = delay(&cx, &heap);
        let is_over = (0..steps).any(|_| cx.collect_step());
        let mut key = None;
        if shown {
            key = interned.find(&cx, 1, |key| key.ends_with('1')).map(|key| cx.root(key));
        } else {
            add_notes(&cx, &notes.get(&cx), 2..9);
        }
        while !is_over && !cx.collect_step() {}
        cx.verify().unwrap_or_else(|error| panic!("after {steps} steps: {error}"));
        check_notes(&cx, &notes.get(&cx));
        if let Some(key) = key {
            let value = notes.get(&cx).get(key.get(&cx));
            assert_eq!(value.map(|value| value.id), Some(1), "after {steps} steps");
        }
    }
}

/// An object at hand has a weak handle that leads to it, whatever was found out about the one that
/// leads to it.
#[test]
fn a_handle_to_what_is_at_hand_leads_to_it() {
    for steps in 0..60 {
        let config = Config::new().mark_slice(Duration::ZERO).min_heap_bytes(256 << 20);
        let heap = Heap::new(config);
        let mut cx = heap.enter();
        let mut interned = InternSet::<Node<'static>>::new(&heap);
        {
            let child = node(&cx, 1, None);
            let _ = child.downgrade(&cx);
            interned.insert(&cx, 1, node(&cx, 0, Some(child)));
        }
        let _delay = delay(&cx, &heap);
        let is_over = (0..steps).any(|_| cx.collect_step());
        let found = interned.find(&cx, 1, |_| true).map(|parent| {
            let child = parent.next.get().expect("set");
            let weak = child.downgrade(&cx);
            assert!(weak.upgrade(&cx).is_some_and(|same| same.ptr_eq(child)), "{steps} steps");
            (cx.root(parent), cx.weak_root(child))
        });
        while !is_over && !cx.collect_step() {}
        cx.verify().expect("a sound heap");
        if let Some((parent, child)) = found {
            let child = child.upgrade(&cx).expect("its parent is rooted");
            assert!(parent.get(&cx).next.get().is_some_and(|same| same.ptr_eq(child)));
        }
    }
}
