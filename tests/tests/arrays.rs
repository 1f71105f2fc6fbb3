//! Growing arrays: as a `Vec`, but collected. Against a model, under stress and between the steps
//! of a mark phase; what a removed element leads to dies.

mod support;

use std::sync::Arc;
use std::time::Duration;

use heap_api::{Config, Cx, Gc, GcRefCell, GcVec, Heap, Opaque, OutOfMemory, Root, Trace};
use heap_tests::{Counted, Counter, begin_marking, catch, few_under_miri, verify};
use proptest::collection::vec;
use proptest::prelude::*;

type Child<'gc> = Gc<'gc, Opaque<Counted>>;

#[derive(Trace)]
struct Owner<'gc> {
    array: GcVec<'gc, Child<'gc>>,
    rest: GcRefCell<Vec<GcVec<'gc, Child<'gc>>>>,
}

/// Handles in an array of three pieces.
const MANY: usize = few_under_miri(20_000, 9_000);

fn child<'gc>(cx: &'gc Cx, counter: &Arc<Counter>, id: u64) -> Child<'gc> {
    cx.alloc(Opaque(counter.value(id)))
}

/// A slice of no length marks one piece at a time.
fn sliced() -> Config {
    Config::new().mark_slice(Duration::ZERO).min_heap_bytes(256 << 20)
}

fn finish(cx: &mut Cx) {
    while !cx.collect_step() {}
}

type Way = (&'static str, for<'gc> fn(&'gc Cx, &Owner<'gc>) -> Child<'gc>);

/// Ways to take the second of three children out, so that only the caller has it.
const WAYS: [Way; 13] = [
    ("set", |cx, owner| {
        let child = owner.array.get(1).unwrap();
        owner.array.set(cx, 1, owner.array.get(0).unwrap());
        child
    }),
    ("replace", |cx, owner| owner.array.replace(cx, 1, owner.array.get(0).unwrap())),
    ("pop", |cx, owner| {
        let child = owner.array.get(1);
        owner.array.pop(cx);
        owner.array.pop(cx);
        child.unwrap()
    }),
    ("truncate", |cx, owner| {
        let child = owner.array.get(1).unwrap();
        owner.array.truncate(cx, 1);
        child
    }),
    ("clear", |cx, owner| {
        let child = owner.array.get(1).unwrap();
        owner.array.clear(cx);
        child
    }),
    ("remove", |cx, owner| owner.array.remove(cx, 1)),
    ("remove, after others moved", |cx, owner| {
        owner.array.remove(cx, 0);
        owner.array.remove(cx, 0)
    }),
    ("swap_remove", |cx, owner| owner.array.swap_remove(cx, 1)),
    ("swap, into another memory", |cx, owner| {
        owner.array.swap(cx, 0, 1);
        owner.array.try_reserve(cx, 100).unwrap();
        owner.array.replace(cx, 0, owner.array.get(2).unwrap())
    }),
    ("insert, into another memory", |cx, owner| {
        let last = owner.array.last().unwrap();
        (0..10).for_each(|_| owner.array.insert(cx, 1, last));
        let child = owner.array.remove(cx, 11);
        assert_eq!(owner.array.len(), 12);
        child
    }),
    ("shrink_to_fit", |cx, owner| {
        owner.array.shrink_to_fit(cx);
        owner.array.swap_remove(cx, 1)
    }),
    ("open", |cx, owner| {
        let cells = owner.array.open(cx);
        cells[1].replace(cells[0].get())
    }),
    ("the array itself", |cx, owner| {
        let child = owner.array.get(1).unwrap();
        let other = GcVec::with_capacity(cx, 3);
        other.extend(cx, &owner.array);
        owner.array.clear(cx);
        owner.rest.borrow_mut(cx).push(other);
        let other = owner.rest.borrow_mut(cx).pop().unwrap();
        assert!(other.get(1).unwrap().ptr_eq(child));
        child
    }),
];

#[test]
fn what_an_array_held_when_marking_began_is_not_lost() {
    for (name, take) in WAYS {
        println!("{name}");
        let counter = Counter::new();
        let heap = Heap::new(sliced());
        let mut cx = heap.enter();
        let owners: Root<[Owner<'static>]> = {
            let owners = cx.alloc_slice_fn(MANY, |i| {
                let array = GcVec::new();
                (0..3).for_each(|k| array.push(&cx, child(&cx, &counter, (3 * i + k) as u64)));
                Owner { array, rest: GcRefCell::new(Vec::new()) }
            });
            cx.root(owners)
        };
        begin_marking(&mut cx);
        let taken: Root<[Child<'static>]> = {
            let owners = owners.get(&cx);
            cx.root(cx.alloc_slice_fn(MANY, |i| take(&cx, &owners[i])))
        };
        drop(owners);
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
fn what_is_removed_dies_although_its_memory_is_not_overwritten() {
    let counter = Counter::new();
    let heap = Heap::new(Config::new().stress(true));
    let mut cx = heap.enter();
    let array: Root<GcVec<'static, Child<'static>>> = {
        let array = cx.alloc(GcVec::new());
        array.extend(&cx, (0..100).map(|id| child(&cx, &counter, id)));
        cx.root(array)
    };
    cx.collect();
    assert_eq!(counter.dropped(), 0);
    array.get(&cx).pop(&cx);
    cx.collect();
    assert_eq!(counter.dropped(), 1);
    array.get(&cx).truncate(&cx, 50);
    cx.collect();
    assert_eq!(counter.dropped(), 50);
    assert_eq!(array.get(&cx).remove(&cx, 0).0.id(), 0);
    assert_eq!(array.get(&cx).swap_remove(&cx, 0).0.id(), 1);
    cx.collect();
    assert_eq!(counter.dropped(), 52);
    assert_eq!(array.get(&cx).get(0).unwrap().0.id(), 49);
    let before = array.get(&cx).capacity();
    array.get(&cx).shrink_to_fit(&cx);
    assert!(array.get(&cx).capacity() < before);
    array.get(&cx).clear(&cx);
    array.get(&cx).shrink_to_fit(&cx);
    assert_eq!(array.get(&cx).capacity(), 0);
    cx.collect();
    counter.assert_balanced();
}

#[test]
fn memory_grows_with_the_elements_and_is_not_searched_for_handles_of_numbers() {
    let heap = Heap::new(Config::new());
    let cx = heap.enter();
    let before = heap.stats().allocated_bytes;
    let numbers = GcVec::new();
    let n = few_under_miri(1_000_000, 10_000);
    (0..n).for_each(|i| numbers.push(&cx, i as u64));
    // Each memory is twice as large as the one before.
    let allocated = heap.stats().allocated_bytes - before;
    assert!(allocated < 5 * 8 * n as u64, "{allocated}");
    assert!((n..2 * n + 1024).contains(&numbers.capacity()), "{}", numbers.capacity());
    assert_eq!(numbers.iter().sum::<u64>(), (n as u64) * (n as u64 - 1) / 2);
    // All of a slot is used.
    let small = GcVec::<u8>::with_capacity(&cx, 1);
    assert!(small.capacity() > 1);
    // Elements without a size take no memory.
    let nothing = GcVec::new();
    nothing.push(&cx, ());
    nothing.resize(&cx, 1 << 40, ());
    assert_eq!(nothing.len(), 1 << 40);
    assert_eq!(nothing.pop(&cx), Some(()));
    let kinds: Vec<_> = heap.usage().rows.iter().map(|row| row.kind.name()).collect();
    assert!(kinds.iter().all(|name| !name.contains("u64")), "{kinds:?}");
    // Zero bytes are an empty array.
    let zeroed = cx.alloc_slice_zeroed::<GcVec<'_, u64>>(3);
    zeroed[1].push(&cx, 7);
    assert!(zeroed.iter().map(GcVec::len).eq([0, 1, 0]));
}

#[test]
fn an_array_may_be_changed_while_it_is_iterated() {
    let heap = Heap::new(Config::new());
    let cx = heap.enter();
    let array = GcVec::new();
    array.extend_from_slice(&cx, &[0, 1, 2, 3]);
    let mut seen = Vec::new();
    for value in &array {
        seen.push(value);
        match value {
            1 => (10..20).for_each(|more| array.push(&cx, more)),
            3 => array.truncate(&cx, 6),
            10 => _ = array.remove(&cx, 0),
            _ => {}
        }
    }
    assert_eq!(seen, [0, 1, 2, 3, 10]);
    let cells = array.open(&cx);
    array.clear(&cx);
    array.resize(&cx, 1000, 7);
    // The memory that the array has left.
    cells.iter().for_each(|cell| cell.set(9));
    assert!(array.iter().all(|value| value == 7));
    assert_eq!(
        format!("{:?}", {
            array.truncate(&cx, 2);
            &array
        }),
        "[7, 7]"
    );
}

#[test]
fn refused_memory_leaves_an_array_as_it_was() {
    let heap = Heap::new(Config::new().max_heap_bytes(1 << 20));
    let cx = heap.enter();
    let array = GcVec::new();
    let refused = loop {
        if let Err(error) = array.try_push(&cx, array.len() as u64) {
            break error;
        }
    };
    assert_eq!((refused.value, array.len()), (array.len() as u64, array.capacity()));
    let len = array.len();
    assert!(array.try_insert(&cx, 0, 1).is_err());
    assert!(array.try_extend_from_slice(&cx, &[1; 10]).is_err());
    assert!(array.try_resize(&cx, len + 1, 1).is_err());
    assert_eq!(array.try_reserve(&cx, usize::MAX), Err(OutOfMemory::TooLarge));
    assert!(GcVec::<u64>::try_with_capacity(&cx, usize::MAX / 8).is_err());
    assert!(catch(|| array.push(&cx, 1)).unwrap_err().contains("limit"));
    assert!(array.iter().eq(0..len as u64));
    assert_eq!(array.pop(&cx), Some(len as u64 - 1));
    array.push(&cx, 1);
}

#[test]
fn indices_beyond_the_end_are_refused() {
    let heap = Heap::new(Config::new());
    let cx = heap.enter();
    let empty = GcVec::<u8>::default();
    let one = GcVec::new();
    one.push(&cx, 1_u8);
    assert_eq!((empty.get(0), empty.last(), empty.pop(&cx), one.get(1)), (None, None, None, None));
    let says = |body: &dyn Fn()| assert!(catch(body).unwrap_err().starts_with("index "));
    for array in [&empty, &one] {
        says(&|| array.set(&cx, 1, 0));
        says(&|| array.swap(&cx, 0, 1));
        says(&|| _ = array.remove(&cx, 1));
        says(&|| _ = array.swap_remove(&cx, 1));
        says(&|| array.insert(&cx, 2, 0));
    }
    assert_eq!((one.len(), one.last()), (1, Some(1)));
}

#[derive(Clone, Debug)]
enum Step {
    Push(usize),
    Pop(usize),
    Get(usize),
    Set(usize),
    Insert(usize),
    Remove(usize),
    SwapRemove(usize),
    Swap(usize, usize),
    Truncate(usize),
    Extend(usize),
    Resize(usize),
    Reserve(usize),
    Shrink,
    Clear,
    Sort,
    MarkSome,
    Collect,
    Safepoint,
}

fn step() -> impl Strategy<Value = Step> {
    let any = any::<usize>;
    prop_oneof![
        6 => (1_usize..200).prop_map(Step::Push),
        3 => (1_usize..100).prop_map(Step::Pop),
        2 => any().prop_map(Step::Get),
        4 => any().prop_map(Step::Set),
        4 => any().prop_map(Step::Insert),
        4 => any().prop_map(Step::Remove),
        4 => any().prop_map(Step::SwapRemove),
        2 => (any(), any()).prop_map(|(a, b)| Step::Swap(a, b)),
        2 => any().prop_map(Step::Truncate),
        // Elements of several pieces.
        2 => prop_oneof![0_usize..50, 8_000_usize..12_000].prop_map(Step::Extend),
        1 => (0_usize..10_000).prop_map(Step::Resize),
        1 => (0_usize..1000).prop_map(Step::Reserve),
        2 => Just(Step::Shrink),
        1 => Just(Step::Clear),
        1 => Just(Step::Sort),
        8 => Just(Step::MarkSome),
        1 => Just(Step::Collect),
        2 => Just(Step::Safepoint),
    ]
}

fn keep_in<'gc>(
    cx: &'gc Cx,
    array: &GcVec<'gc, Child<'gc>>,
    model: &mut Vec<u64>,
    object: Child<'gc>,
) -> u64 {
    model.push(object.0.id());
    array.push(cx, object);
    object.0.id()
}

/// An array of objects and an array of numbers, and what should be in both.
fn run(config: Config, program: &[Step]) {
    let counter = Counter::new();
    let heap = Heap::new(config);
    let mut cx = heap.enter();
    #[derive(Trace)]
    struct Both<'gc> {
        objects: GcVec<'gc, Child<'gc>>,
        numbers: GcVec<'gc, u64>,
        /// Objects that were in the array once.
        kept: GcVec<'gc, Child<'gc>>,
    }
    // So that there is something to mark in several steps. It comes before the arrays.
    let ballast = {
        let object = cx.alloc(GcRefCell::new(0_u8));
        cx.root(cx.alloc_slice_fn(MANY, |_| object))
    };
    let both: Root<Both<'static>> = cx.root(cx.alloc(Both {
        objects: GcVec::new(),
        numbers: GcVec::new(),
        kept: GcVec::new(),
    }));
    let mut model: Vec<u64> = Vec::new();
    let mut kept: Vec<u64> = Vec::new();
    let mut next = 0;
    for step in program {
        match step {
            Step::MarkSome => _ = cx.collect_step(),
            Step::Collect => cx.collect(),
            Step::Safepoint => cx.safepoint(),
            _ => {}
        }
        let both = both.get(&cx);
        let (objects, numbers) = (&both.objects, &both.numbers);
        let mut keep = |object| keep_in(&cx, &both.kept, &mut kept, object);
        let mut new = || {
            next += 1;
            (child(&cx, &counter, next), next)
        };
        let len = model.len();
        let at = |index: usize| index.checked_rem(len);
        match *step {
            Step::Push(count) => {
                for _ in 0..count {
                    let (object, id) = new();
                    objects.push(&cx, object);
                    numbers.push(&cx, id);
                    model.push(id);
                }
            }
            Step::Pop(count) => {
                for _ in 0..count {
                    let expected = model.pop();
                    assert_eq!(objects.pop(&cx).map(&mut keep), expected);
                    assert_eq!(numbers.pop(&cx), expected);
                }
            }
            Step::Get(index) => {
                let index = index % (len + 1);
                let expected = model.get(index).copied();
                assert_eq!(objects.get(index).map(|object| object.0.id()), expected);
                assert_eq!(numbers.get(index), expected);
            }
            Step::Set(index) => {
                if let Some(index) = at(index) {
                    let (object, id) = new();
                    keep(objects.replace(&cx, index, object));
                    assert_eq!(numbers.replace(&cx, index, id), model[index]);
                    model[index] = id;
                }
            }
            Step::Insert(index) => {
                let index = index % (len + 1);
                let (object, id) = new();
                objects.insert(&cx, index, object);
                numbers.insert(&cx, index, id);
                model.insert(index, id);
            }
            Step::Remove(index) => {
                if let Some(index) = at(index) {
                    let expected = model.remove(index);
                    assert_eq!(keep(objects.remove(&cx, index)), expected);
                    assert_eq!(numbers.remove(&cx, index), expected);
                }
            }
            Step::SwapRemove(index) => {
                if let Some(index) = at(index) {
                    let expected = model.swap_remove(index);
                    assert_eq!(keep(objects.swap_remove(&cx, index)), expected);
                    assert_eq!(numbers.swap_remove(&cx, index), expected);
                }
            }
            Step::Swap(a, b) => {
                if let (Some(a), Some(b)) = (at(a), at(b)) {
                    objects.swap(&cx, a, b);
                    numbers.swap(&cx, a, b);
                    model.swap(a, b);
                }
            }
            Step::Truncate(to) => {
                let to = len - to % (len / 4 + 1);
                objects.truncate(&cx, to);
                numbers.truncate(&cx, to);
                model.truncate(to);
            }
            Step::Extend(count) => {
                let (made, ids): (Vec<_>, Vec<_>) = (0..count).map(|_| new()).unzip();
                objects.extend_from_slice(&cx, &made);
                numbers.extend(&cx, ids.iter().copied());
                model.extend(ids);
            }
            Step::Resize(to) => {
                let (object, id) = new();
                objects.resize(&cx, to, object);
                numbers.resize(&cx, to, id);
                model.resize(to, id);
            }
            Step::Reserve(count) => {
                objects.try_reserve(&cx, count).unwrap();
                numbers.try_reserve(&cx, count).unwrap();
                assert!(objects.capacity() >= len + count && numbers.capacity() >= len + count);
            }
            Step::Shrink => {
                objects.shrink_to_fit(&cx);
                numbers.shrink_to_fit(&cx);
            }
            Step::Clear => {
                objects.clear(&cx);
                numbers.clear(&cx);
                model.clear();
            }
            Step::Sort => {
                let (cells, other) = (objects.open(&cx), numbers.open(&cx));
                for index in 0..len / 2 {
                    cells[index].swap(&cells[len - 1 - index]);
                    other[index].swap(&other[len - 1 - index]);
                }
                model.reverse();
            }
            Step::MarkSome | Step::Collect | Step::Safepoint => {}
        }
        assert_eq!((objects.len(), numbers.len()), (model.len(), model.len()));
    }
    finish(&mut cx);
    verify(&mut cx);
    let ids: Vec<u64> = both.get(&cx).objects.iter().map(|object| object.0.id()).collect();
    assert_eq!(ids, model);
    assert!(both.get(&cx).kept.iter().map(|object| object.0.id()).eq(kept));
    assert!(both.get(&cx).numbers.iter().eq(model));
    drop((both, ballast));
    cx.collect();
    verify(&mut cx);
    counter.assert_balanced();
}

proptest! {
    #![proptest_config(support::programs(100, 1000))]

    #[test]
    fn arrays_do_what_a_vector_does(
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
