//! Stacks: raw blocks and traced stacks of values, against models, with collections,
//! limits, threads, and everything that user code can do at the wrong moment.

use std::cell::RefCell;
use std::mem;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use heap_api::os::SimOs;
use heap_api::{
    Config, Cx, Gc, GcCell, GcRefCell, GcStack, Heap, Opaque, OutOfMemory, Root, StackBlock, Trace,
};
use heap_tests::{Counted, Counter, begin_marking, catch, few_under_miri, verify};
use proptest::prelude::*;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

#[derive(Clone, Copy, Trace)]
enum Value<'gc> {
    Number(u64),
    Object(Gc<'gc, Counted>),
}

impl Value<'_> {
    fn id(self) -> u64 {
        match self {
            Value::Number(id) => id,
            Value::Object(object) => object.id(),
        }
    }
}

#[derive(Trace)]
struct Coroutine<'gc> {
    stack: GcStack<Value<'gc>>,
    /// Another way to own one.
    locked: GcRefCell<Vec<GcStack<Value<'gc>>>>,
}

impl Coroutine<'_> {
    fn new() -> Self {
        Coroutine { stack: GcStack::new(), locked: GcRefCell::default() }
    }
}

// ---- against a model -----------------------------------------------------------

#[derive(Clone, Debug)]
enum Op {
    /// Objects if the flag is set.
    Push(usize, u64, bool),
    Pop(usize, u64),
    Truncate(usize, u64),
    Resize(usize, u64),
    Reserve(usize, u64),
    Set(usize, u64),
    /// From that height on, if the stack is so high.
    Window(usize, usize),
    Shrink(usize),
    /// Moves a stack into the vector of another owner, and back.
    Move(usize, usize),
    /// Drops the stack, whatever is on it.
    Replace(usize),
    Collect,
    Verify,
}

const OWNERS: usize = 3;

fn op() -> impl Strategy<Value = Op> {
    let owner = || 0..OWNERS;
    prop_oneof![
        8 => (owner(), 1..400_u64, any::<bool>()).prop_map(|(o, n, b)| Op::Push(o, n, b)),
        4 => (owner(), 1..400_u64).prop_map(|(o, n)| Op::Pop(o, n)),
        2 => (owner(), 0..900_u64).prop_map(|(o, n)| Op::Truncate(o, n)),
        2 => (owner(), 0..9000_u64).prop_map(|(o, n)| Op::Resize(o, n)),
        1 => (owner(), 0..9000_u64).prop_map(|(o, n)| Op::Reserve(o, n)),
        2 => (owner(), any::<u64>()).prop_map(|(o, n)| Op::Set(o, n)),
        2 => (owner(), prop_oneof![Just(0), 0..40_usize]).prop_map(|(a, b)| Op::Window(a, b)),
        2 => owner().prop_map(Op::Shrink),
        1 => (owner(), owner()).prop_map(|(a, b)| Op::Move(a, b)),
        1 => owner().prop_map(Op::Replace),
        3 => Just(Op::Collect),
        1 => Just(Op::Verify),
    ]
}

/// One operation on real stack and model. `false` if memory was refused.
fn apply(
    cx: &Cx,
    owners: &[Root<Coroutine<'static>>],
    models: &mut [Vec<u64>],
    counter: &std::sync::Arc<Counter>,
    op: &Op,
) -> bool {
    let owner = |index: usize| owners[index].get(cx).as_ref();
    match *op {
        Op::Push(index, count, objects) => {
            for _ in 0..count {
                let id = counter.made();
                let value = if !objects {
                    Value::Number(id)
                } else if let Ok(object) = cx.try_alloc(counter.value(id)) {
                    Value::Object(object)
                } else {
                    return false;
                };
                if let Err(error) = owner(index).stack.try_push(cx, value) {
                    assert_eq!(error.value.id(), id);
                    return false;
                }
                models[index].push(id);
            }
        }
        Op::Pop(index, count) => {
            for _ in 0..count {
                assert_eq!(owner(index).stack.last().map(Value::id), models[index].last().copied());
                assert_eq!(owner(index).stack.pop(cx).map(Value::id), models[index].pop());
            }
        }
        Op::Truncate(index, height) => {
            owner(index).stack.truncate(cx, height as usize);
            models[index].truncate(height as usize);
        }
        Op::Resize(index, height) => {
            let Ok(object) = cx.try_alloc(counter.value(height)) else { return false };
            if owner(index).stack.try_resize(cx, height as usize, Value::Object(object)).is_err() {
                return false;
            }
            models[index].resize(height as usize, height);
        }
        Op::Reserve(index, more) => {
            let stack = &owner(index).stack;
            if stack.try_reserve(cx, more as usize).is_err() {
                return false;
            }
            assert!(stack.capacity() >= stack.len() + more as usize);
        }
        Op::Set(index, at) => {
            let model = &mut models[index];
            if let Some(at) = (at as usize).checked_rem(model.len()) {
                owner(index).stack.set(cx, at, Value::Number(at as u64));
                model[at] = at as u64;
            }
        }
        Op::Window(index, from) => {
            let stack = &owner(index).stack;
            let from = from.min(stack.len());
            let window = if from == 0 { stack.window(cx) } else { stack.window_from(cx, from) };
            let model = &mut models[index][from..];
            assert_eq!(window.len(), model.len());
            for (cell, id) in window.iter().zip(model) {
                assert_eq!(cell.get().id(), *id);
                cell.set(Value::Number(*id ^ 1));
                *id ^= 1;
            }
            // Within the capacity the stack may be used meanwhile.
            if stack.len() < stack.capacity() {
                stack.push(cx, Value::Number(5));
                assert_eq!(stack.pop(cx).map(Value::id), Some(5));
            }
        }
        Op::Shrink(index) => {
            let stack = &owner(index).stack;
            if stack.shrink(cx).is_ok() {
                let least = (stack.len() * 2).max(KIB / size_of::<Value<'_>>());
                assert!(stack.capacity() <= least, "{} of {}", stack.len(), stack.capacity());
                assert!(!stack.is_empty() || stack.capacity() == 0);
            }
        }
        Op::Move(from, to) => {
            let mut list = owner(to).locked.borrow_mut(cx);
            if let Some(moved) = list.pop() {
                drop(list);
                assert!(moved.is_empty() && moved.capacity() == 0);
            } else {
                list.push(GcStack::new());
                // A stack without an owner for a moment.
                let local = GcStack::new();
                let pushed = local.try_push(cx, Value::Number(from as u64));
                list.push(local);
                let local = list.pop().unwrap();
                assert_eq!(local.pop(cx).map(Value::id), pushed.is_ok().then_some(from as u64));
                return pushed.is_ok();
            }
        }
        Op::Replace(_) | Op::Collect | Op::Verify => unreachable!("needs `&mut Cx`"),
    }
    true
}

fn run(config: Config, ops: &[Op], limited: bool) {
    let heap = Heap::new(config);
    let counter = Counter::new();
    let mut cx = heap.enter();
    let make = |cx: &Cx| cx.try_alloc(Coroutine::new()).map(|owner| cx.root(owner)).ok();
    let owners: Option<Vec<_>> = (0..OWNERS).map(|_| make(&cx)).collect();
    let Some(mut owners) = owners else { return };
    let mut models = vec![Vec::new(); OWNERS];
    for op in ops {
        match *op {
            Op::Collect => cx.collect(),
            Op::Verify => cx.verify().unwrap(),
            Op::Replace(index) => {
                if let Some(owner) = make(&cx) {
                    owners[index] = owner;
                    models[index].clear();
                }
            }
            _ => {
                let done = apply(&cx, &owners, &mut models, &counter, op);
                assert!(done || limited, "memory was refused without a limit");
            }
        }
        for (owner, model) in owners.iter().zip(&models) {
            let stack = &owner.get(&cx).as_ref().stack;
            assert_eq!(stack.len(), model.len());
            assert_eq!(stack.get(model.len()).map(Value::id), None);
            let step = (model.len() / 50).max(1);
            for at in (0..model.len()).step_by(step) {
                assert_eq!(stack.get(at).map(Value::id), Some(model[at]), "at {at}");
            }
        }
        let stats = heap.stats();
        assert!(stats.stack_bytes <= stats.heap_bytes);
    }
    // What is alive is what the stacks hold up to their height, and nothing else.
    cx.collect();
    cx.verify().unwrap();
    let held: std::collections::HashSet<usize> = owners
        .iter()
        .flat_map(|owner| {
            let stack = &owner.get(&cx).as_ref().stack;
            (0..stack.len()).filter_map(|at| match stack.get(at) {
                Some(Value::Object(object)) => Some(object.addr()),
                _ => None,
            })
        })
        .collect();
    assert_eq!(counter.made() - counter.dropped(), held.len() as u64);
    drop(owners);
    cx.collect();
    cx.verify().unwrap();
    cx.collect();
    assert_eq!(heap.stats().stack_bytes, 0, "nobody has a stack any more");
    drop(cx);
    drop(heap);
    counter.assert_balanced();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn stacks_do_as_the_model_says(
        ops in proptest::collection::vec(op(), 1..50),
        stress in any::<bool>(),
        slices in any::<bool>(),
        limit in proptest::option::weighted(0.5, 0..2 * MIB),
    ) {
        let config = Config::new().stress(stress);
        let config = if slices { config.mark_slice(Duration::ZERO) } else { config };
        let config = match limit {
            Some(bytes) => config.max_heap_bytes(bytes),
            None => config,
        };
        run(config, &ops, limit.is_some());
    }
}

// ---- the rules of a stack --------------------------------------------------------

#[test]
fn a_stack_does_not_move_under_a_window() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    let root = cx.root(cx.alloc(Coroutine::new()));
    {
        let stack = &root.get(&cx).as_ref().stack;
        (0..10).for_each(|i| stack.push(&cx, Value::Number(i)));
        let window = stack.window(&cx);
        let second = stack.window(&cx);
        let fill = || {
            (0..few_under_miri(10_000, 200) as u64).for_each(|i| stack.push(&cx, Value::Number(i)))
        };
        assert!(catch(fill).unwrap_err().contains("a window"));
        assert_eq!(stack.len(), stack.capacity());
        drop(window);
        assert!(catch(|| stack.try_reserve(&cx, 1)).unwrap_err().contains("a window"));
        stack.truncate(&cx, 1);
        assert!(catch(|| stack.shrink(&cx)).unwrap_err().contains("a window"));
        // What was cut off is still there to look at.
        assert!(matches!(second[9].get(), Value::Number(9)));
        second[0].set(Value::Number(77));
        drop(second);
        assert!(matches!(stack.get(0), Some(Value::Number(77))));
        stack.shrink(&cx).unwrap();
        stack.try_reserve(&cx, 10_000).unwrap();
        // A leaked window: the stack never moves again.
        mem::forget(stack.window(&cx));
        let object = cx.alloc(Counter::new().value(1));
        stack.push(&cx, Value::Object(object));
    }
    cx.collect();
    verify(&mut cx);
    let stack = &root.get(&cx).as_ref().stack;
    assert_eq!(stack.last().map(Value::id), Some(1));
    assert!(catch(|| stack.try_reserve(&cx, 1 << 20)).is_err());
}

/// High enough to be traced in pieces.
const PIECES: usize = 10;
const HIGH: usize = PIECES * 64 * KIB / size_of::<Value<'static>>();

/// A coroutine whose stack holds objects, and another in its cell, in an incremental mark phase that has
/// found both stacks and traced no piece, or few.
fn in_a_mark_phase(cx: &mut Cx, counter: &Arc<Counter>) -> Root<Coroutine<'static>> {
    let root = cx.root(cx.alloc(Coroutine::new()));
    {
        let coroutine = root.get(cx);
        let locked = GcStack::new();
        for i in 0..HIGH as u64 {
            coroutine.stack.push(cx, Value::Object(cx.alloc(counter.value(i))));
            locked.push(cx, Value::Object(cx.alloc(counter.value(i))));
        }
        coroutine.locked.borrow_mut(cx).push(locked);
    }
    begin_marking(cx);
    for _ in 0..4 {
        assert!(!cx.collect_step(), "there is more to do");
    }
    root
}

fn sliced() -> Heap {
    Heap::new(Config::new().mark_slice(Duration::ZERO).min_heap_bytes(1 << 30).mark_threads(0))
}

/// No step traces more than a piece, and no operation of the mutator reports more than it removes.
#[test]
fn a_high_stack_is_traced_in_pieces() {
    let heap = sliced();
    let counter = Counter::new();
    let mut cx = heap.enter();
    let root = in_a_mark_phase(&mut cx, &counter);
    let mut steps = 0;
    while !cx.collect_step() {
        steps += 1;
        let stack = &root.get(&cx).as_ref().stack;
        // Both are in the collector's pieces, or were.
        let last = stack.pop(&cx).expect("it is high");
        // Where the pieces come last.
        stack.set(&cx, stack.len() - 1, last);
    }
    // Five were before, of which one may have traced a piece beside something else.
    assert!(steps + 6 >= 2 * PIECES, "{steps} steps");
    verify(&mut cx);
    // Popped and replaced values were there when marking began, so they live on; and not longer.
    assert_eq!(counter.dropped(), 0);
    cx.collect();
    let left = root.get(&cx).as_ref().stack.len();
    assert_eq!(counter.dropped(), steps as u64, "{left} are left");
}

/// What a high stack loses before the collector has found it was there when marking began.
#[test]
fn what_a_stack_removes_is_reported() {
    const VALUES: usize = 1000;
    let remove: [fn(&Cx, &GcStack<Value<'_>>); 5] = [
        |cx, stack| while stack.pop(cx).is_some() {},
        |cx, stack| stack.truncate(cx, 10),
        |cx, stack| (0..VALUES).for_each(|i| stack.set(cx, i, Value::Number(0))),
        |cx, stack| stack.try_resize(cx, 500, Value::Number(0)).expect("memory"),
        |cx, stack| {
            let window = stack.window_from(cx, 100);
            window.iter().for_each(|cell| cell.set(Value::Number(0)));
        },
    ];
    for remove in remove {
        let heap = sliced();
        let counter = Counter::new();
        let mut cx = heap.enter();
        let cells = {
            let coroutine = cx.alloc(Coroutine::new());
            let value = |i| Value::Object(cx.alloc(counter.value(i)));
            (0..VALUES as u64).for_each(|i| coroutine.stack.push(&cx, value(i)));
            // Traced in pieces, of which the last has the coroutine.
            let cells = cx.alloc_slice_fn(50_000, |_| GcCell::new(None));
            cells[49_999].set(&cx, Some(coroutine));
            cx.root(cells)
        };
        begin_marking(&mut cx);
        {
            let coroutine = cells.get(&cx)[49_999].get();
            remove(&cx, &coroutine.expect("it is there").stack);
        }
        while !cx.collect_step() {}
        verify(&mut cx);
        assert_eq!(counter.dropped(), 0);
        cx.collect();
        verify(&mut cx);
        assert!(counter.dropped() >= 500);
    }
}

/// Pieces of a stack whose owner drops it, moves it or lets it grow.
#[test]
fn pieces_of_a_stack_outlive_it() {
    let heap = sliced();
    let counter = Counter::new();
    let mut cx = heap.enter();
    let root = in_a_mark_phase(&mut cx, &counter);
    let before = heap.stats().stack_bytes;
    {
        let coroutine = root.get(&cx);
        // The one in the cell goes, and others want its memory.
        coroutine.locked.borrow_mut(&cx).clear();
        let others: Vec<_> = (0..4)
            .map(|_| {
                let mut block = cx.try_stack_block(HIGH * size_of::<Value<'static>>()).unwrap();
                block.slots_mut::<usize>().iter_mut().for_each(|slot| _ = slot.write(1));
                block
            })
            .collect();
        drop(others);
        // And this one leaves its block, twice.
        coroutine.stack.try_reserve(&cx, HIGH).unwrap();
        coroutine.stack.truncate(&cx, HIGH / 4);
        coroutine.stack.shrink(&cx).unwrap();
    }
    assert!(heap.stats().stack_bytes > before, "blocks are held");
    while !cx.collect_step() {}
    verify(&mut cx);
    assert_eq!(counter.dropped(), 0);
    assert!(heap.stats().stack_bytes < before, "no more");
    cx.collect();
    verify(&mut cx);
    let stack = &root.get(&cx).as_ref().stack;
    assert!((0..HIGH / 4).all(|i| stack.get(i).map(Value::id) == Some(i as u64)));
    assert_eq!(counter.dropped(), (2 * HIGH - HIGH / 4) as u64);
    drop(root);
    drop(cx);
    drop(heap);
    counter.assert_balanced();
}

/// Blocks that no piece names are used again at once, also while a collection is in its mark phase: a
/// program that has one at a time needs the memory of one.
#[test]
fn blocks_that_come_and_go_in_a_mark_phase_are_not_held() {
    let heap = Heap::new(
        Config::new().mark_slice(Duration::ZERO).min_heap_bytes(1 << 30).max_heap_bytes(64 * MIB),
    );
    let counter = Counter::new();
    let mut cx = heap.enter();
    let root = in_a_mark_phase(&mut cx, &counter);
    let before = heap.stats().stack_bytes;
    for _ in 0..few_under_miri(400, 20) {
        cx.try_stack_block(MIB).unwrap().release(&cx);
        let stack = GcStack::new();
        stack.try_resize(&cx, HIGH, Value::Number(1)).unwrap();
        drop(stack);
        assert_eq!(heap.stats().stack_bytes, before);
    }
    // What pieces were deferred of is held, however it goes.
    root.get(&cx).as_ref().locked.borrow_mut(&cx).clear();
    assert_eq!(heap.stats().stack_bytes, before, "held");
    while !cx.collect_step() {}
    assert!(heap.stats().stack_bytes < before);
    verify(&mut cx);
}

/// A heap that ends while it holds blocks gives them back.
#[test]
fn a_heap_may_end_while_it_holds_blocks() {
    let os = SimOs::new();
    let config = Config::new().mark_slice(Duration::ZERO).min_heap_bytes(1 << 30).mark_threads(0);
    let heap = Heap::with_os(config, Box::new(os.clone()));
    let counter = Counter::new();
    let mut cx = heap.enter();
    let root = in_a_mark_phase(&mut cx, &counter);
    root.get(&cx).as_ref().locked.borrow_mut(&cx).clear();
    drop(root);
    drop(cx);
    drop(heap);
    counter.assert_balanced();
    assert_eq!(os.reserved(), 0, "the memory is back");
}

#[test]
fn values_above_the_height_keep_nothing_alive() {
    let heap = Heap::new(Config::new().stress(true));
    let counter = Counter::new();
    let mut cx = heap.enter();
    let root = cx.root(cx.alloc(Coroutine::new()));
    {
        let stack = &root.get(&cx).as_ref().stack;
        (0..100).for_each(|i| stack.push(&cx, Value::Object(cx.alloc(counter.value(i)))));
        stack.truncate(&cx, 30);
    }
    cx.collect();
    verify(&mut cx);
    assert_eq!(counter.dropped(), 70);
    let stack = &root.get(&cx).as_ref().stack;
    assert!((0..30).all(|i| stack.get(i as usize).map(Value::id) == Some(i)));
    // Filling up does not bring back what was there.
    stack.try_resize(&cx, 100, Value::Number(0)).unwrap();
    assert_eq!(stack.get(99).map(Value::id), Some(0));
}

#[test]
fn a_stack_of_plain_values_may_be_local_and_outlive_safepoints_and_the_heap() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    let stack = GcStack::<(u64, f32)>::default();
    (0..5000).for_each(|i| stack.push(&cx, (i, 0.5)));
    cx.collect();
    assert_eq!(stack.get(4999), Some((4999, 0.5)));
    assert!(heap.stats().stack_bytes as usize >= 5000 * size_of::<(u64, f32)>());
    assert_eq!(
        format!("{:?}", {
            stack.truncate(&cx, 2);
            &stack
        }),
        "[(0, 0.5), (1, 0.5)]"
    );
    // Another heap may serve it from now on.
    let other = Heap::new(Config::new());
    cx.park(|| {
        let cx = other.enter();
        stack.try_reserve(&cx, 100_000).unwrap();
        stack.push(&cx, (9, 0.0));
    });
    drop(cx);
    drop((heap, other));
    assert_eq!((stack.last(), stack.get(1), stack.len()), (Some((9, 0.0)), Some((1, 0.5)), 3));
}

#[test]
fn a_refused_stack_is_as_it_was() {
    for limit in [0, 8 * KIB, 32 * KIB, 100 * KIB, MIB] {
        let heap = Heap::new(Config::new().max_heap_bytes(limit));
        let mut cx = heap.enter();
        let stack = GcStack::new();
        let mut height = 0;
        let error = loop {
            match stack.try_push(&cx, height) {
                Ok(()) => height += 1,
                Err(error) => break error,
            }
        };
        assert_eq!((error.value, error.reason), (height, OutOfMemory::Limit));
        assert_eq!(stack.len(), height);
        assert_eq!(stack.try_resize(&cx, usize::MAX, 0), Err(OutOfMemory::TooLarge));
        assert_eq!(stack.try_resize(&cx, 1 << 27, 0), Err(OutOfMemory::Limit));
        assert_eq!(stack.try_reserve(&cx, usize::MAX), Err(OutOfMemory::TooLarge));
        assert!(catch(|| stack.push(&cx, 0)).unwrap_err().contains("memory limit"));
        assert!((0..height).all(|i| stack.get(i) == Some(i)));
        assert!(heap.stats().heap_bytes <= limit as u64);
        cx.verify().unwrap();
        stack.truncate(&cx, 0);
        stack.shrink(&cx).unwrap();
        let regained = limit >= 32 * KIB;
        assert_eq!(stack.try_push(&cx, 1).is_ok(), regained);
    }
}

#[test]
fn stacks_that_come_and_go_are_no_reason_to_collect() {
    for (height, rounds) in [(100, 20_000), (3000, 2000), (1 << 17, 100)] {
        let heap = Heap::new(Config::new());
        let mut cx = heap.enter();
        for _ in 0..rounds {
            let stack = GcStack::new();
            stack.try_resize(&cx, height, 0_u64).unwrap();
            drop(stack);
            cx.safepoint();
        }
        assert_eq!(heap.stats().collections, 0, "{height}: there is no garbage");
        // Those of dead owners are.
        for _ in 0..rounds {
            let owner = cx.alloc(Coroutine::new());
            owner.as_ref().stack.try_resize(&cx, height, Value::Number(0)).unwrap();
            cx.safepoint();
        }
        let stats = heap.stats();
        assert!(stats.collections > 2, "{height}");
        assert!(stats.stack_bytes < 16 << 20, "{height}: {}", stats.stack_bytes);
        cx.verify().unwrap();
    }
}

// ---- user code at the wrong moment -------------------------------------------------

/// A context and a stack that several can name.
type Pair<T> = Rc<(Cx, GcStack<T>)>;

/// Grows the stack it is printed from.
#[derive(Clone, Copy, Trace)]
struct Growing(u64);

thread_local!(static PRINTED: RefCell<Option<Pair<Growing>>> = const { RefCell::new(None) });

impl std::fmt::Debug for Growing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let pair = PRINTED.with_borrow(Clone::clone).unwrap();
        let (cx, stack) = &*pair;
        if stack.len() < few_under_miri(2000, 200) {
            let fill = Growing(self.0 + 1);
            let _ = catch(|| stack.try_resize(cx, stack.len() + 100, fill));
        }
        write!(f, "{}", self.0)
    }
}

#[test]
fn printing_a_value_may_change_its_stack() {
    let heap = Heap::new(Config::new().stress(true));
    let pair = Rc::new((heap.enter(), GcStack::new()));
    PRINTED.set(Some(pair.clone()));
    (0..3).for_each(|i| pair.1.push(&pair.0, Growing(i)));
    let printed = format!("{:?}", pair.1);
    assert!(printed.starts_with("[0, 1, 2, 1, 1, 1"), "{printed}");
    // With a window open the stack stays where it is.
    pair.1.truncate(&pair.0, 100);
    let window = pair.1.window(&pair.0);
    assert!(format!("{window:?}").len() > 100);
    drop(window);
    PRINTED.take();
}

// ---- blocks --------------------------------------------------------------------

#[test]
fn blocks_are_what_they_say() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    assert_eq!(heap.stats().stack_bytes, 0);
    let mut blocks = Vec::new();
    for (asked, got) in [
        (0, KIB),
        (1, KIB),
        (KIB + 1, 2 * KIB),
        (20 * KIB, 32 * KIB),
        (32 * KIB, 32 * KIB),
        (33 * KIB, 40 * KIB),
        (3 * MIB + 1, 3 * MIB + 8 * KIB),
        (100 * MIB, 100 * MIB),
    ] {
        let mut block = cx.try_stack_block(asked).unwrap();
        assert_eq!(block.len(), got);
        assert!(block.as_ptr().addr().is_multiple_of(got.min(8 * KIB)));
        assert_eq!(block.slots_mut::<u128>().len(), got / 16);
        assert_eq!(block.slots_mut::<[u8; 24]>().len(), got / 24);
        block.fill(mem::MaybeUninit::new(0xAA));
        blocks.push(block);
    }
    let bytes: usize = blocks.iter().map(|block| block.len()).sum();
    let stats = heap.stats();
    assert!(stats.stack_bytes as usize >= bytes && stats.stack_bytes <= stats.heap_bytes);
    let pages = stats.heap_bytes + stats.idle_bytes + stats.released_bytes;
    assert!(pages < stats.reserved_bytes && stats.reserved_bytes < pages + stats.metadata_bytes);
    assert_eq!(cx.try_stack_block(usize::MAX).unwrap_err(), OutOfMemory::TooLarge);
    cx.verify().unwrap();
    // Dropped, released, here, elsewhere, and inside another heap.
    blocks.pop().unwrap().release(&cx);
    blocks.pop().unwrap().release(&cx);
    let sent = blocks.split_off(3);
    std::thread::spawn(move || drop(sent)).join().unwrap();
    let other = Heap::new(Config::new());
    let last = blocks.pop().unwrap();
    cx.park(|| last.release(&other.enter()));
    blocks.into_iter().for_each(|block| block.release(&cx));
    cx.verify().unwrap();
    cx.collect();
    assert_eq!(heap.stats().stack_bytes, 0, "caches are flushed by a collection");
}

#[test]
fn objects_may_own_stacks_of_their_own_heap() {
    for left_over in [false, true] {
        let heap = Heap::new(Config::new());
        let counter = Counter::new();
        let cx = heap.enter();
        for i in 0..few_under_miri(300, 12) {
            let block = cx.try_stack_block(i * 100).unwrap();
            let _ = cx.alloc((Opaque(block), counter.value(i as u64)));
            let owner = cx.alloc(Coroutine::new());
            owner.stack.push(&cx, Value::Object(cx.alloc(counter.value(1))));
        }
        let kept = left_over.then(|| (cx.try_stack_block(3000).unwrap(), GcStack::<u8>::new()));
        if let Some((_, stack)) = &kept {
            (0..200).for_each(|i| stack.push(&cx, i));
        }
        drop(cx);
        drop(heap);
        // The heap is gone although its objects had its memory.
        counter.assert_balanced();
        if let Some((mut block, stack)) = kept {
            block.fill(mem::MaybeUninit::new(1));
            assert_eq!((0..200).find(|i| stack.get(*i as usize) != Some(*i)), None);
        }
    }
}

#[test]
fn dead_owners_of_stacks_are_collected_in_time() {
    // A small object and a large stack: what counts for the pacer is both.
    for bytes in [16 * KIB, 100 * KIB] {
        let heap = Heap::new(Config::new());
        let mut cx = heap.enter();
        let rounds = 200 * MIB / bytes;
        for i in 0..rounds {
            if i % 2 == 0 {
                let block = cx.try_stack_block(bytes).unwrap();
                let _ = cx.alloc((Opaque(block), GcCell::new(1_u8)));
            } else {
                let owner = cx.alloc(Coroutine::new());
                let height = bytes / size_of::<Value<'_>>();
                owner.stack.try_resize(&cx, height, Value::Number(0)).unwrap();
            }
            cx.safepoint();
        }
        let stats = heap.stats();
        assert!(stats.collections > 10, "{}", stats.collections);
        assert!(stats.heap_bytes_max < 20 << 20, "{}", stats.heap_bytes_max);
    }
}

#[test]
fn stacks_near_the_limit_leave_the_collector_in_peace() {
    // Seven eighths of the limit are stacks that stay. The collector has no reason to
    // come more often than for a heap of the other eighth.
    let run = |limit, stacks| {
        let heap = Heap::new(Config::new().max_heap_bytes(limit));
        let mut cx = heap.enter();
        let blocks: Vec<StackBlock> =
            (0..stacks).map(|_| cx.try_stack_block(MIB).unwrap()).collect();
        cx.collect();
        let before = heap.stats().collections;
        let mut refused = 0;
        for i in 0..2_000_000_u64 {
            while cx.try_alloc([i; 4]).is_err() {
                refused += 1;
                cx.collect();
            }
            cx.safepoint();
        }
        drop(blocks);
        (heap.stats().collections - before, refused)
    };
    let (alone, beside) = (run(4 * MIB, 0), run(32 * MIB, 28));
    assert_eq!((alone.1, beside.1), (0, 0), "refused before a collection was wanted");
    assert!(alone.0 > 5 && beside.0 <= alone.0 + 2, "{beside:?} instead of {alone:?}");
}

#[test]
fn mutators_share_the_pool_while_others_return_blocks_and_collect() {
    let heap = Heap::new(Config::new().background_sweep(true).max_heap_bytes(64 * MIB));
    let counter = Counter::new();
    let (send, receive) = mpsc::channel::<StackBlock>();
    std::thread::scope(|scope| {
        for thread in 0..3_usize {
            let (heap, counter, send) = (&heap, &counter, send.clone());
            scope.spawn(move || {
                let mut cx = heap.enter();
                let root = cx.root(cx.alloc(Coroutine::new()));
                for i in 0..3000_usize {
                    let size = 1 << ((i + thread) % 17);
                    if let Ok(mut block) = cx.try_stack_block(size) {
                        block.fill(mem::MaybeUninit::new(thread as u8));
                        match i % 4 {
                            0 => send.send(block).unwrap(),
                            1 => block.release(&cx),
                            2 => drop(cx.try_alloc((Opaque(block), counter.value(1)))),
                            _ => drop(block),
                        }
                    }
                    let stack = &root.get(&cx).as_ref().stack;
                    let pushed = cx
                        .try_alloc(counter.value(i as u64))
                        .ok()
                        .and_then(|object| stack.try_push(&cx, Value::Object(object)).ok());
                    if pushed.is_none() || stack.len() > 500 {
                        stack.truncate(&cx, 3);
                        stack.shrink(&cx).ok();
                    }
                    assert!((0..stack.len()).all(|at| stack.get(at).unwrap().id() <= i as u64));
                    if i % 500 == 0 {
                        cx.collect();
                    }
                    cx.safepoint();
                }
            });
        }
        drop(send);
        // Outside of all heaps.
        scope.spawn(move || receive.into_iter().for_each(drop));
        scope.spawn(|| (0..20).for_each(|_| heap.verify().unwrap()));
    });
    heap.verify().unwrap();
    let mut cx = heap.enter();
    cx.collect();
    cx.verify().unwrap();
    assert_eq!(heap.stats().stack_bytes, 0);
    drop(cx);
    drop(heap);
    counter.assert_balanced();
}
