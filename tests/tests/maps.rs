//! Hash maps in the heap: as a map that keeps the order of insertion, but collected. Against a
//! model, under stress and between the steps of a mark phase; with keys whose `Hash` and `Eq`
//! do harm.

mod support;

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use heap_api::{ByAddress, Config, Cx, Gc, GcMap, GcVec, Heap, Opaque, Root, Trace};
use heap_tests::{Counted, Counter, begin_marking, catch, few_under_miri, unwind, verify};
use proptest::collection::vec;
use proptest::prelude::*;

type Child<'gc> = Gc<'gc, Opaque<Counted>>;

/// Handles in an array of three pieces.
const MANY: usize = few_under_miri(20_000, 9_000);

fn child<'gc>(cx: &'gc Cx, counter: &Arc<Counter>, id: u64) -> Child<'gc> {
    cx.alloc(Opaque(counter.value(id)))
}

fn sliced() -> Config {
    Config::new().mark_slice(Duration::ZERO).min_heap_bytes(256 << 20)
}

fn finish(cx: &mut Cx) {
    while !cx.collect_step() {}
}

type Map<'gc> = GcMap<'gc, u64, Child<'gc>>;
type Way = (&'static str, for<'gc> fn(&'gc Cx, &Map<'gc>) -> Child<'gc>);

/// Ways to take the second of three children out, so that only the caller has it.
const WAYS: [Way; 7] = [
    ("insert", |cx, map| map.insert(cx, 1, map.get(&0).unwrap()).unwrap()),
    ("set_at", |cx, map| map.set_at(cx, 1, map.get(&0).unwrap()).unwrap()),
    ("remove", |cx, map| map.remove(cx, &1).unwrap()),
    ("remove_at", |cx, map| map.remove_at(cx, 1).unwrap().1),
    ("clear", |cx, map| {
        let child = map.get(&1).unwrap();
        map.clear(cx);
        child
    }),
    ("retain", |cx, map| {
        let child = map.get(&1).unwrap();
        map.retain(cx, |key, _| *key == 2);
        child
    }),
    ("other memory", |cx, map| {
        let (first, child) = (map.remove(cx, &0).unwrap(), map.get(&1).unwrap());
        (3..40).for_each(|key| _ = map.insert(cx, key, first));
        map.shrink_to_fit(cx);
        map.remove(cx, &1);
        child
    }),
];

#[test]
fn what_a_map_held_when_marking_began_is_not_lost() {
    for (name, take) in WAYS {
        println!("{name}");
        let counter = Counter::new();
        let heap = Heap::new(sliced());
        let mut cx = heap.enter();
        let maps: Root<[Map<'static>]> = {
            let maps = cx.alloc_slice_fn(MANY, |i| {
                let map = GcMap::new();
                for key in 0..3 {
                    map.insert(&cx, key, child(&cx, &counter, 3 * i as u64 + key));
                }
                map
            });
            cx.root(maps)
        };
        begin_marking(&mut cx);
        let taken: Root<[Child<'static>]> = {
            let maps = maps.get(&cx);
            cx.root(cx.alloc_slice_fn(MANY, |i| take(&cx, &maps[i])))
        };
        drop(maps);
        finish(&mut cx);
        verify(&mut cx);
        for (i, child) in taken.get(&cx).iter().enumerate() {
            assert_eq!(child.0.id(), 3 * i as u64 + 1, "{name}");
        }
        assert_eq!(counter.dropped(), 0, "{name}");
        drop(taken);
        cx.collect();
        verify(&mut cx);
        counter.assert_balanced();
    }
}

#[test]
fn removed_entries_die_and_their_memory_is_used_again() {
    let counter = Counter::new();
    let heap = Heap::new(Config::new().stress(true));
    let mut cx = heap.enter();
    let map: Root<GcMap<'static, Child<'static>, Child<'static>, ()>> =
        cx.root(cx.alloc(GcMap::<Child<'_>, Child<'_>, ()>::with_hasher(())));
    // A queue: never more than ten entries.
    for id in 0..1000_u64 {
        let map = map.get(&cx);
        let (key, value) = (child(&cx, &counter, id), child(&cx, &counter, id));
        assert!(map.insert_hashed(&cx, id, key, value, |_| false).is_none());
        if let Some(old) = id.checked_sub(10) {
            let index = map.index_of_hashed(old, |key| key.0.id() == old).unwrap();
            assert_eq!(map.remove_at(&cx, index).unwrap().1.0.id(), old);
        }
    }
    cx.collect();
    assert_eq!(counter.dropped(), 2 * 990);
    assert!(map.get(&cx).capacity() <= 64, "{}", map.get(&cx).capacity());
    assert_eq!(map.get(&cx).len(), 10);
    assert!(map.get(&cx).keys().map(|key| key.0.id()).eq(990..1000));
    // A large map that has become small gives memory back when it is next full.
    for id in 1000..3000_u64 {
        let (key, value) = (child(&cx, &counter, id), child(&cx, &counter, id));
        map.get(&cx).insert_hashed(&cx, id, key, value, |_| false);
    }
    let large = map.get(&cx).capacity();
    map.get(&cx).retain(&cx, |key, _| key.0.id() >= 2990);
    while map.get(&cx).capacity() == large {
        let value = child(&cx, &counter, 0);
        map.get(&cx).insert_hashed(&cx, 0, value, value, |_| false);
        map.get(&cx).remove_at(&cx, map.get(&cx).index_end() - 1);
    }
    assert!(map.get(&cx).capacity() < 64, "{}", map.get(&cx).capacity());
    cx.collect();
    assert_eq!(counter.made() - counter.dropped(), 20);
    map.get(&cx).clear(&cx);
    assert_eq!((map.get(&cx).capacity(), map.get(&cx).len()), (0, 0));
    cx.collect();
    counter.assert_balanced();
}

#[test]
fn a_map_with_capacity_does_not_move() {
    let heap = Heap::new(Config::new());
    let cx = heap.enter();
    for capacity in [0, 1, 8, 9, 1000] {
        let map = GcMap::with_capacity(&cx, capacity);
        let (room, allocated) = (map.capacity(), heap.stats().allocated_bytes);
        assert!(room >= capacity);
        (0..capacity as u64).for_each(|key| _ = map.insert(&cx, key, key));
        assert_eq!((map.capacity(), heap.stats().allocated_bytes), (room, allocated));
        assert!((0..capacity as u64).all(|key| map.get(&key) == Some(key)));
    }
}

#[test]
fn keys_are_found_by_content_or_by_identity() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    #[derive(Trace)]
    struct Both<'gc> {
        content: GcMap<'gc, Gc<'gc, str>, u32>,
        identity: GcMap<'gc, ByAddress<'gc, str>, u32>,
        first: Gc<'gc, str>,
    }
    let both = {
        let both = Both {
            content: GcMap::default(),
            identity: GcMap::default(),
            first: cx.alloc_str("key 0"),
        };
        for i in 0..100 {
            let key = cx.alloc_str(&format!("key {}", i % 50));
            let old = both.content.insert(&cx, key, i);
            assert_eq!(old, i.checked_sub(50));
            assert_eq!(both.identity.insert(&cx, ByAddress(key), i), None);
        }
        both.identity.insert(&cx, ByAddress(both.first), 100);
        cx.root(cx.alloc(both))
    };
    cx.collect();
    let both = both.get(&cx);
    assert_eq!((both.content.len(), both.identity.len()), (50, 101));
    assert_eq!(both.content.get("key 7"), Some(57));
    assert_eq!(both.content.get(&cx.alloc_str("key 7")), Some(57));
    assert_eq!(both.content.remove(&cx, "key 7"), Some(57));
    assert!(!both.content.contains_key("key 7"));
    assert_eq!(both.identity.get(&ByAddress(both.first)), Some(100));
    assert_eq!(both.identity.get(&ByAddress(cx.alloc_str("key 0"))), None);
    for (key, i) in &both.identity {
        assert_eq!(both.identity.get(&key), Some(i));
    }
}

#[test]
fn a_map_may_be_changed_while_it_is_iterated() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    let map = cx.root(cx.alloc(GcMap::<u32, u32>::new()));
    {
        let map = map.get(&cx);
        (0..20).for_each(|key| _ = map.insert(&cx, key, key));
        let mut seen = Vec::new();
        for (key, _) in &*map {
            seen.push(key);
            map.remove(&cx, &(key + 1));
            if key == 10 {
                // Moves, more than once.
                (100..300).for_each(|key| _ = map.insert(&cx, key, key));
            }
        }
        let even: Vec<u32> = (0..=10).step_by(2).collect();
        assert!(seen.starts_with(&even));
        assert!((12..20).step_by(2).all(|key| seen.contains(&key)), "{seen:?}");
        let distinct: HashSet<_> = seen.iter().collect();
        assert_eq!(distinct.len(), seen.len());
        map.clear(&cx);
        (0..20).for_each(|key| _ = map.insert(&cx, key, key));
    }
    // By index, and with collections.
    let numbering = map.get(&cx).numbering();
    let mut seen = 0;
    let mut index = 0;
    while index < map.get(&cx).index_end() {
        if let Some((key, _)) = map.get(&cx).entry_at(index) {
            assert_eq!(key % 3, 0);
            seen += 1;
            map.get(&cx).remove(&cx, &(key + 1));
            map.get(&cx).remove(&cx, &(key + 2));
        }
        cx.collect();
        index += 1;
    }
    assert_eq!((seen, map.get(&cx).len(), map.get(&cx).numbering()), (7, 7, numbering));
    assert_eq!(map.get(&cx).index_of(&18), Some(18));
    map.get(&cx).shrink_to_fit(&cx);
    assert_ne!(map.get(&cx).numbering(), numbering);
    assert_eq!(map.get(&cx).index_of(&18), Some(6));
    assert_eq!(
        format!("{:?}", {
            map.get(&cx).retain(&cx, |key, _| *key < 4);
            map.get(&cx)
        }),
        "{0: 0, 3: 3}"
    );
}

#[test]
fn refused_memory_leaves_a_map_as_it_was() {
    let heap = Heap::new(Config::new().max_heap_bytes(1 << 20));
    let cx = heap.enter();
    let map = GcMap::new();
    let mut count = 0_u64;
    let refused = loop {
        if let Err(error) = map.try_insert(&cx, count, count) {
            break error;
        }
        count += 1;
    };
    assert_eq!((refused.value, map.len() as u64), ((count, count), count));
    assert!(catch(|| map.insert(&cx, count, count)).unwrap_err().contains("limit"));
    assert!(map.try_reserve(&cx, 1).is_err() && map.try_reserve(&cx, usize::MAX).is_err());
    assert!(GcMap::<u64, u64>::try_with_capacity(&cx, 1 << 40).is_err());
    // A key that is there needs no memory.
    assert_eq!(map.insert(&cx, 0, 7), Some(0));
    assert!((1..count).all(|key| map.get(&key) == Some(key)));
    map.shrink_to_fit(&cx);
    assert_eq!(map.remove(&cx, &1), Some(1));
    assert!(map.keys().eq((0..count).filter(|key| *key != 1)));
}

// ---- keys that do harm ------------------------------------------------------------

/// What to do after so many calls.
type Due = Option<(u32, fn())>;

thread_local! {
    static CX: RefCell<Option<Cx>> = const { RefCell::new(None) };
    static MAP: RefCell<Option<Root<GcMap<'static, Hostile, u64>>>> = const { RefCell::new(None) };
    static IN_EQ: Cell<Due> = const { Cell::new(None) };
    static IN_HASH: Cell<Due> = const { Cell::new(None) };
}

/// Calls what is due at this call.
fn count_down(hook: &'static std::thread::LocalKey<Cell<Due>>) {
    match hook.get() {
        Some((0, act)) => {
            hook.set(None);
            act();
        }
        Some((n, act)) => hook.set(Some((n - 1, act))),
        None => {}
    }
}

#[derive(Clone, Copy, Debug, Eq, Trace)]
struct Hostile(u64);

impl PartialEq for Hostile {
    fn eq(&self, other: &Hostile) -> bool {
        count_down(&IN_EQ);
        self.0 == other.0
    }
}

impl Hash for Hostile {
    fn hash<H: Hasher>(&self, state: &mut H) {
        count_down(&IN_HASH);
        // All the same.
        state.write_u8(0);
    }
}

/// The map that is in use, from anywhere.
fn with_map<R>(body: impl for<'gc> FnOnce(&'gc Cx, &GcMap<'gc, Hostile, u64>) -> R) -> R {
    CX.with_borrow(|cx| {
        let cx = cx.as_ref().unwrap();
        MAP.with_borrow(|map| body(cx, &map.as_ref().unwrap().get(cx)))
    })
}

#[test]
fn keys_that_panic_or_change_the_map_do_no_harm() {
    let acts: [(&str, fn()); 8] = [
        ("panics", || unwind()),
        ("grows", || {
            with_map(|cx, map| (500..600).for_each(|i| _ = map.insert(cx, Hostile(i), i)))
        }),
        ("clears", || with_map(|cx, map| map.clear(cx))),
        ("removes", || with_map(|cx, map| _ = map.remove_at(cx, 1))),
        ("shrinks", || with_map(|cx, map| map.shrink_to_fit(cx))),
        ("empties", || with_map(|cx, map| map.retain(cx, |_, _| false))),
        ("inserts the same", || with_map(|cx, map| _ = map.insert(cx, Hostile(3), 333))),
        ("collects never", || with_map(|cx, _| _ = cx.alloc_slice_fn(1000, |i| i))),
    ];
    let uses: [(&str, fn()); 6] = [
        ("get", || with_map(|_, map| _ = map.get(&Hostile(3)))),
        ("get what is not there", || with_map(|_, map| _ = map.get(&Hostile(1000)))),
        ("insert", || with_map(|cx, map| _ = map.insert(cx, Hostile(3), 33))),
        ("insert what is not there", || with_map(|cx, map| _ = map.insert(cx, Hostile(1000), 1))),
        ("remove", || with_map(|cx, map| _ = map.remove(cx, &Hostile(3)))),
        ("retain", || with_map(|cx, map| map.retain(cx, |key, _| *key != Hostile(2)))),
    ];
    let heap = Heap::new(Config::new().stress(true));
    CX.set(Some(heap.enter()));
    let mut panics = 0;
    for (hook, calls) in [(&IN_EQ, 0..3), (&IN_HASH, 0..1)] {
        for size in [4_u64, 40] {
            for (act_name, act) in acts {
                for (use_name, use_it) in uses {
                    for call in calls.clone() {
                        let map = CX.with_borrow(|cx| {
                            let cx = cx.as_ref().unwrap();
                            let map = cx.alloc(GcMap::new());
                            (0..size).for_each(|i| _ = map.insert(cx, Hostile(i), i));
                            cx.root(map)
                        });
                        MAP.set(Some(map));
                        hook.set(Some((call, act)));
                        let result = catch(use_it);
                        panics += u32::from(result.is_err());
                        if let Err(message) = result
                            && act_name != "panics"
                        {
                            assert!(message.contains("changed the map"), "{message}");
                        }
                        hook.set(None);
                        CX.with_borrow_mut(|cx| cx.as_mut().unwrap().collect());
                        // Whatever happened, it is a map.
                        with_map(|cx, map| {
                            let entries: Vec<_> = map.iter().collect();
                            assert_eq!(entries.len(), map.len(), "{act_name} in {use_name}");
                            for (key, value) in entries {
                                assert_eq!(map.get(&key), Some(value), "{act_name} in {use_name}");
                            }
                            assert_eq!(map.insert(cx, Hostile(5000), 1), None);
                            assert_eq!(map.get(&Hostile(5000)), Some(1));
                        });
                    }
                }
            }
        }
    }
    assert!(panics > 100, "{panics}");
    MAP.set(None);
    CX.take().unwrap().verify().unwrap();
}

// ---- a model ------------------------------------------------------------------------

/// Hashes that are the same for many keys.
#[derive(Clone, Copy, Default)]
struct Weak;

impl BuildHasher for Weak {
    type Hasher = WeakHasher;
    fn build_hasher(&self) -> WeakHasher {
        WeakHasher(0)
    }
}

struct WeakHasher(u64);

impl Hasher for WeakHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0 * 3 + u64::from(*byte));
    }
    fn finish(&self) -> u64 {
        self.0 % 16
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u64),
    InsertMany(u64, u64),
    Remove(u64),
    RemoveMany(u64, u64),
    Get(u64),
    SetAt(usize),
    RemoveAt(usize),
    Retain(u64),
    Shrink,
    Reserve(usize),
    Clear,
    MarkSome,
    Collect,
    Safepoint,
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0_u64..400;
    prop_oneof![
        8 => key.clone().prop_map(Step::Insert),
        3 => (key.clone(), 1_u64..200).prop_map(|(key, count)| Step::InsertMany(key, count)),
        8 => key.clone().prop_map(Step::Remove),
        3 => (key.clone(), 1_u64..200).prop_map(|(key, count)| Step::RemoveMany(key, count)),
        4 => key.prop_map(Step::Get),
        3 => any::<usize>().prop_map(Step::SetAt),
        3 => any::<usize>().prop_map(Step::RemoveAt),
        1 => (2_u64..5).prop_map(Step::Retain),
        2 => Just(Step::Shrink),
        1 => (0_usize..300).prop_map(Step::Reserve),
        1 => Just(Step::Clear),
        10 => Just(Step::MarkSome),
        1 => Just(Step::Collect),
        2 => Just(Step::Safepoint),
    ]
}

#[derive(Trace)]
struct Maps<'gc> {
    /// Keys by content.
    objects: GcMap<'gc, Gc<'gc, str>, Child<'gc>>,
    numbers: GcMap<'gc, u64, u64, Weak>,
    /// Objects that were in the map once.
    kept: GcVec<'gc, Child<'gc>>,
}

impl<'gc> Maps<'gc> {
    fn keep(&self, cx: &'gc Cx, child: Option<Child<'gc>>, model: &mut Vec<u64>) -> Option<u64> {
        let child = child?;
        self.kept.push(cx, child);
        model.push(child.0.id());
        Some(child.0.id())
    }
}

fn run(config: Config, program: &[Step]) {
    let counter = Counter::new();
    let heap = Heap::new(config);
    let mut cx = heap.enter();
    // So that there is something to mark in several steps. It comes before the maps.
    let ballast = {
        let object = cx.alloc(Opaque(0_u64));
        cx.root(cx.alloc_slice_fn(MANY, |_| ByAddress(object)))
    };
    let maps: Root<Maps<'static>> = cx.root(cx.alloc(Maps {
        objects: GcMap::new(),
        numbers: GcMap::default(),
        kept: GcVec::new(),
    }));
    let mut model: Vec<(u64, u64)> = Vec::new();
    let mut kept = Vec::new();
    let mut next = 0;
    for step in program {
        match step {
            Step::MarkSome => _ = cx.collect_step(),
            Step::Collect => cx.collect(),
            Step::Safepoint => cx.safepoint(),
            _ => {}
        }
        let maps = maps.get(&cx);
        let (objects, numbers) = (&maps.objects, &maps.numbers);
        let text = |key: u64| format!("key {key}");
        let mut insert = |model: &mut Vec<(u64, u64)>, kept: &mut Vec<u64>, key: u64| {
            next += 1;
            let name = cx.alloc_str(&text(key));
            let old = objects.insert(&cx, name, child(&cx, &counter, next));
            let old = maps.keep(&cx, old, kept);
            assert_eq!(numbers.insert(&cx, key, next), old);
            match model.iter_mut().find(|(other, _)| *other == key) {
                Some((_, value)) => assert_eq!(old, Some(std::mem::replace(value, next))),
                None => {
                    assert_eq!(old, None);
                    model.push((key, next));
                }
            }
        };
        let remove = |model: &mut Vec<(u64, u64)>, kept: &mut Vec<u64>, key: u64| {
            let at = model.iter().position(|(other, _)| *other == key);
            let expected = at.map(|at| model.remove(at).1);
            let removed = objects.remove(&cx, &*text(key));
            assert_eq!(maps.keep(&cx, removed, kept), expected);
            assert_eq!(numbers.remove(&cx, &key), expected);
        };
        match *step {
            Step::Insert(key) => insert(&mut model, &mut kept, key),
            Step::InsertMany(key, count) => {
                (key..key + count).for_each(|key| insert(&mut model, &mut kept, key));
            }
            Step::Remove(key) => remove(&mut model, &mut kept, key),
            Step::RemoveMany(key, count) => {
                (key..key + count).for_each(|key| remove(&mut model, &mut kept, key));
            }
            Step::Get(key) => {
                let expected = model.iter().find(|(other, _)| *other == key).map(|(_, id)| *id);
                assert_eq!(objects.get(&*text(key)).map(|object| object.0.id()), expected);
                assert_eq!(numbers.get(&key), expected);
                assert_eq!(numbers.contains_key(&key), expected.is_some());
            }
            Step::SetAt(index) => {
                let index = index % (numbers.index_end() + 1);
                let entry = numbers.entry_at(index);
                next += 1;
                assert_eq!(numbers.set_at(&cx, index, next), entry.map(|(_, value)| value));
                if let Some((key, id)) = entry {
                    let same = objects.index_of(&*text(key)).unwrap();
                    let old = objects.set_at(&cx, same, child(&cx, &counter, next));
                    assert_eq!(maps.keep(&cx, old, &mut kept), Some(id));
                    model.iter_mut().find(|(other, _)| *other == key).unwrap().1 = next;
                }
            }
            Step::RemoveAt(index) => {
                let index = index % (numbers.index_end() + 1);
                if let Some((key, id)) = numbers.remove_at(&cx, index) {
                    let old = objects.remove(&cx, &*text(key));
                    assert_eq!(maps.keep(&cx, old, &mut kept), Some(id));
                    model.retain(|(other, _)| *other != key);
                }
            }
            Step::Retain(divisor) => {
                numbers.retain(&cx, |_, value| value % divisor != 0);
                objects.retain(&cx, |_, value| value.0.id() % divisor != 0);
                model.retain(|(_, value)| value % divisor != 0);
            }
            Step::Shrink => {
                numbers.shrink_to_fit(&cx);
                objects.shrink_to_fit(&cx);
            }
            Step::Reserve(count) => {
                numbers.try_reserve(&cx, count).unwrap();
                objects.try_reserve(&cx, count).unwrap();
                assert!(objects.capacity() >= objects.index_end() + count);
            }
            Step::Clear => {
                numbers.clear(&cx);
                objects.clear(&cx);
                model.clear();
            }
            Step::MarkSome | Step::Collect | Step::Safepoint => {}
        }
        assert_eq!((objects.len(), numbers.len()), (model.len(), model.len()));
    }
    finish(&mut cx);
    verify(&mut cx);
    {
        let maps = maps.get(&cx);
        assert!(maps.numbers.iter().eq(model.iter().copied()));
        for ((key, object), (number, id)) in maps.objects.iter().zip(&model) {
            assert_eq!((&*key, object.0.id()), (&*format!("key {number}"), *id));
        }
        for (index, (key, id)) in (0..maps.numbers.index_end())
            .filter_map(|index| Some((index, maps.numbers.entry_at(index)?)))
        {
            assert_eq!(maps.numbers.index_of(&key), Some(index));
            assert_eq!(maps.numbers.get(&key), Some(id));
        }
        assert!(maps.kept.iter().map(|object| object.0.id()).eq(kept));
    }
    drop((maps, ballast));
    cx.collect();
    verify(&mut cx);
    counter.assert_balanced();
}

proptest! {
    #![proptest_config(support::programs(100, 1000))]

    #[test]
    fn maps_do_what_a_map_does_in_order(
        stress in any::<bool>(),
        slice in prop_oneof![1 => Just(None), 3 => Just(Some(0)), 1 => (0_u64..50).prop_map(Some)],
        program in vec(step(), 1..80),
    ) {
        let config = Config::new().stress(stress).huge_pages(false).min_heap_bytes(1 << 20);
        let config = match slice {
            Some(microseconds) => config.mark_slice(Duration::from_micros(microseconds)),
            None => config,
        };
        run(config, &program);
    }
}
