//! Tables against a model: with any split into parts, a table is a map.

use std::collections::{HashMap, VecDeque};

use heap_api::Gc;

use super::sizes::SHORT_ARRAY;
use super::{SetError, Table};
use crate::state::{Ctx, Event};
use crate::value::Value;
use crate::vm::Runner;
use crate::{Config, Interpreter};

/// Runs `body` in a region of a new interpreter.
fn in_region(body: impl for<'gc> FnOnce(Ctx<'gc>)) {
    let mut interpreter = Interpreter::new(Config::new()).expect("memory for the libraries");
    interpreter.with(|runner: &mut Runner<'_>| body(runner.ctx()));
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}

/// A key that the model can hold.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum ModelKey {
    Int(i64),
    Float(u64),
    Text(String),
    Bool(bool),
}

impl ModelKey {
    fn random(random: &mut Random) -> ModelKey {
        match random.below(10) {
            0..=4 => ModelKey::Int(random.below(40) as i64 - 2),
            5 => ModelKey::Int(1 << random.below(62)),
            6 => ModelKey::Float((random.below(20) as f64 + 0.5).to_bits()),
            7 => ModelKey::Text(format!("key {}", random.below(30))),
            8 => ModelKey::Text(format!("{:>60}", random.below(10))),
            _ => ModelKey::Bool(random.below(2) == 0),
        }
    }

    fn value<'gc>(&self, ctx: Ctx<'gc>) -> Value<'gc> {
        match self {
            ModelKey::Int(i) => Value::Int(*i),
            ModelKey::Float(bits) => Value::float(f64::from_bits(*bits)),
            ModelKey::Text(text) => Value::Str(ctx.str(text).expect("memory")),
            ModelKey::Bool(b) => Value::from(*b),
        }
    }
}

fn integer(value: Value<'_>) -> Option<i64> {
    match value {
        Value::Int(i) => Some(i),
        _ => None,
    }
}

fn check<'gc>(ctx: Ctx<'gc>, table: &Table<'gc>, model: &HashMap<ModelKey, i64>, seed: u64) {
    for (key, value) in model {
        let found = integer(table.get(ctx, key.value(ctx)));
        assert_eq!(found, Some(*value), "seed {seed}: key {key:?}");
    }
    let mut seen = 0;
    let mut key = Value::Nil;
    while let Some((next, _)) = table.next(ctx, key).expect("the key is in the table") {
        seen += 1;
        key = next;
    }
    assert_eq!(seen, model.len(), "seed {seed}: a traversal meets every key once");
    let length = table.length(ctx);
    assert!(length >= 0);
    if length > 0 {
        assert!(model.contains_key(&ModelKey::Int(length)), "seed {seed}: border {length}");
    }
    assert!(!model.contains_key(&ModelKey::Int(length + 1)), "seed {seed}: border {length}");
}

fn metatable_with_mode<'gc>(ctx: Ctx<'gc>, mode: &str) -> Gc<'gc, Table<'gc>> {
    let metatable = Table::new(ctx).expect("memory");
    let key = ctx.state.event_key(Event::Mode);
    metatable.set_str(ctx, key, Value::Str(ctx.str(mode).expect("memory"))).expect("memory");
    metatable
}

#[test]
fn a_table_is_a_map() {
    in_region(|ctx| {
        for seed in 1..60 {
            let mut random = Random(seed * 0x9E37_79B9);
            let table = Table::new(ctx).expect("memory").as_ref();
            let mut model = HashMap::new();
            // An ordinary table, one that is weak from the beginning, one whose mode changes.
            let modes = ["", "k", "v", "kv"].map(|mode| metatable_with_mode(ctx, mode));
            table.set_metatable(ctx, Some(modes[seed as usize % 4])).expect("memory");
            for step in 0..400 {
                if seed % 3 == 0 && step % 50 == 49 {
                    let mode = modes[random.below(4) as usize];
                    table.set_metatable(ctx, Some(mode)).expect("memory");
                }
                let key = ModelKey::random(&mut random);
                if random.below(3) == 0 {
                    model.remove(&key);
                    table.set(ctx, key.value(ctx), Value::Nil).expect("a removal");
                } else {
                    model.insert(key.clone(), step);
                    table.set(ctx, key.value(ctx), Value::Int(step)).expect("an assignment");
                }
                if step % 16 == 0 {
                    check(ctx, table, &model, seed);
                }
            }
            check(ctx, table, &model, seed);
        }
    });
}

#[test]
fn a_list_that_grows_and_shrinks_has_the_right_length() {
    in_region(|ctx| {
        let table = Table::new(ctx).expect("memory");
        for i in 1..=1000 {
            table.set_int(ctx, i, Value::Int(i)).expect("memory");
            assert_eq!(table.length(ctx), i);
        }
        assert_eq!(table.array_part().len(), 1024, "lists live in the array part");
        for i in (1..=1000).rev() {
            table.set_int(ctx, i, Value::Nil).expect("memory");
            assert_eq!(table.length(ctx), i - 1);
        }
    });
}

#[test]
fn a_queue_does_not_grow_without_bound() {
    in_region(|ctx| {
        let table = Table::new(ctx).expect("memory");
        for i in 1..=10_000 {
            table.set_int(ctx, i + 8, Value::Int(i)).expect("memory");
            table.set_int(ctx, i, Value::Nil).expect("memory");
        }
        assert!(table.array_part().len() <= 64);
        assert!(table.nodes.get().tail.len() <= 64);
    });
}

/// LT9. Programs for real Lua may rely on that, such as those with lists that begin at 0.
#[test]
fn small_integers_are_traversed_in_their_order_whatever_the_seed() {
    for seed in 0..50 {
        let mut interpreter = Interpreter::new(Config::new().hash_seed(seed)).expect("memory");
        interpreter.with(|runner: &mut Runner<'_>| {
            let ctx = runner.ctx();
            for (first, count) in [(0, 24), (0, 3), (0, 1000), (2, 6), (5, 11), (600, 400)] {
                let table = Table::with_capacity(ctx, 0, (first + count) as usize).expect("memory");
                for key in (first..first + count).rev() {
                    table.set_int(ctx, key, Value::True).expect("memory");
                }
                let (mut key, mut seen) = (Value::Nil, Vec::new());
                while let Ok(Some((next, _))) = table.next(ctx, key) {
                    seen.extend(integer(next));
                    key = next;
                }
                assert!(seen.is_sorted(), "seed {seed}: {seen:?}");
                assert_eq!(seen.len(), count as usize, "seed {seed}");
            }
        });
    }
}

#[test]
fn whole_floats_are_integer_keys_and_some_keys_are_refused() {
    in_region(|ctx| {
        let table = Table::new(ctx).expect("memory");
        table.set(ctx, Value::float(3.0), Value::True).expect("memory");
        assert!(matches!(table.get_int(ctx, 3), Value::True));
        assert!(matches!(table.get(ctx, Value::float(3.0)), Value::True));
        assert_eq!(table.set(ctx, Value::Nil, Value::True), Err(SetError::NilKey));
        assert_eq!(table.set(ctx, Value::float(f64::NAN), Value::True), Err(SetError::NanKey));
        assert!(table.get(ctx, Value::float(f64::NAN)).is_nil());
        assert!(table.next(ctx, Value::Int(7)).is_err());
    });
}

/// What resizing looks at or makes for an operation may be at most this many slots and nodes (LT7).
const WORK_PER_OPERATION: u64 = 40;

/// Operations on a table, counted.
struct Counted<'gc> {
    ctx: Ctx<'gc>,
    table: &'gc Table<'gc>,
    operations: u64,
}

impl<'gc> Counted<'gc> {
    fn new(ctx: Ctx<'gc>) -> Counted<'gc> {
        ctx.host.table_work.set(0);
        let table = Table::new(ctx).expect("memory").as_ref();
        Counted { ctx, table, operations: 0 }
    }

    fn set(&mut self, key: Value<'gc>, value: Value<'gc>) {
        self.operations += 1;
        self.table.set(self.ctx, key, value).expect("a key and memory");
    }

    fn set_int(&mut self, key: i64, value: Value<'gc>) {
        self.set(Value::Int(key), value);
    }

    /// A key that is neither an integer nor ever used again.
    fn fresh(&self) -> Value<'gc> {
        Value::float(self.operations as f64 + 0.5)
    }

    #[track_caller]
    fn check(&self, what: &str) {
        let (work, operations) = (self.ctx.host.table_work.get(), self.operations);
        assert!(
            work <= WORK_PER_OPERATION * operations,
            "{what}: {work} slots and nodes in {operations} operations"
        );
    }
}

#[test]
fn a_sliding_window_is_cheap_whatever_its_width() {
    in_region(|ctx| {
        for width in [1, 2, 3, 7, 8, 15, 16, 17, 255, 256, 1000, 4090, 4095, 4096, 4097, 6000] {
            let mut queue = Counted::new(ctx);
            for i in 1..=width {
                queue.set_int(i, Value::True);
            }
            for head in 1..=20_000 {
                queue.set_int(head, Value::Nil);
                queue.set_int(head + width, Value::True);
            }
            queue.check(&format!("integers, {width} at a time"));
            let width = width as u64;
            let nodes = queue.table.nodes.get().tail.len() + queue.table.array_part().len();
            assert!(nodes as u64 <= 4 * width + 2 * SHORT_ARRAY as u64, "{width}: {nodes}");

            let mut cache = Counted::new(ctx);
            let mut keys = VecDeque::new();
            for i in 0..width + 20_000 {
                if i >= width {
                    cache.set(keys.pop_front().expect("there are some"), Value::Nil);
                }
                keys.push_back(cache.fresh());
                cache.set(cache.fresh(), Value::True);
            }
            cache.check(&format!("floats, {width} at a time"));
            assert!(cache.table.nodes.get().tail.len() as u64 <= 4 * width.max(2), "{width}");
        }
    });
}

#[test]
fn keys_that_come_and_go_beside_a_long_array_are_cheap() {
    in_region(|ctx| {
        for (len, hole) in [(4096, None), (4096, Some(17)), (5000, Some(4999)), (70_000, None)] {
            for kind in 0..4 {
                let mut list = Counted::new(ctx);
                for i in 1..=len {
                    list.set_int(i, Value::True);
                }
                if let Some(hole) = hole {
                    list.set_int(hole, Value::Nil);
                }
                for i in 0..10_000 {
                    let key = match kind {
                        0 => list.fresh(),
                        // At the end, and not far beyond it.
                        1 => Value::Int(len + 1),
                        2 => Value::Int(len + 1 + i % 3),
                        _ => Value::Int(len + 1 + i),
                    };
                    list.set(key, Value::True);
                    list.set(list.fresh(), Value::True);
                    list.set(key, Value::Nil);
                    list.set(Value::float(list.operations as f64 - 0.5 - 1.0), Value::Nil);
                }
                list.check(&format!("array of {len}, hole {hole:?}, keys of kind {kind}"));
            }
        }
    });
}

#[test]
fn an_array_part_that_is_empty_goes_after_a_while() {
    in_region(|ctx| {
        let mut table = Counted::new(ctx);
        for i in 1..=10_000 {
            table.set_int(i, Value::True);
        }
        assert_eq!(table.table.array_part().len(), 16_384);
        for i in 1..=10_000 {
            table.set_int(i, Value::Nil);
        }
        let mut keys = VecDeque::new();
        for i in 0..10_000 {
            keys.push_back(table.fresh());
            table.set(table.fresh(), Value::True);
            if i > 10 {
                table.set(keys.pop_front().expect("some"), Value::Nil);
            }
        }
        assert_eq!(table.table.array_part().len(), 0);
        table.check("an empty array part");
    });
}

/// Phases of appending, removing, sliding, toggling and strings, in random order and of random length.
#[test]
fn no_mixture_of_patterns_makes_resizing_expensive() {
    in_region(|ctx| {
        for seed in 1..40 {
            let mut random = Random(seed * 0x9E37_79B9);
            let mut table = Counted::new(ctx);
            let (mut head, mut tail) = (1, 0);
            let mut fresh = VecDeque::new();
            for _ in 0..60 {
                let pattern = random.below(9);
                let length = 1 << random.below(12);
                for _ in 0..length {
                    match pattern {
                        0 | 1 => {
                            tail += 1;
                            table.set_int(tail, Value::True);
                        }
                        2 if tail > head => {
                            table.set_int(tail, Value::Nil);
                            tail -= 1;
                        }
                        3 if tail > head => {
                            table.set_int(head, Value::Nil);
                            head += 1;
                        }
                        4 => {
                            table.set_int(head, Value::Nil);
                            head += 1;
                            tail = tail.max(head) + 1;
                            table.set_int(tail, Value::True);
                        }
                        5 => {
                            table.set_int(tail + 1, Value::True);
                            table.set_int(tail + 1, Value::Nil);
                        }
                        6 => {
                            fresh.push_back(table.fresh());
                            table.set(table.fresh(), Value::True);
                        }
                        7 => {
                            fresh.push_back(table.fresh());
                            table.set(table.fresh(), Value::True);
                            let oldest = fresh.pop_front().expect("one at least");
                            table.set(oldest, Value::Nil);
                        }
                        _ => {
                            let key = 1 + random.below(tail.max(1) as u64) as i64;
                            let value = if random.below(2) == 0 { Value::Nil } else { Value::True };
                            table.set_int(key, value);
                        }
                    }
                }
                table.check(&format!("seed {seed}, pattern {pattern}"));
            }
        }
    });
}

#[test]
fn a_constructor_of_any_length_makes_its_array_once() {
    for count in [1, 49, 50, 51, 65_534, 65_535, 65_536, 65_600, 200_000] {
        let mut interpreter = Interpreter::new(Config::new()).expect("memory for the libraries");
        let source = format!("t = {{{}}}  u = {{{}...}}", "1,".repeat(count), "1,".repeat(count));
        interpreter.run_source(&source, "=test", &[]).expect("it compiles and runs");
        interpreter.with(|runner: &mut Runner<'_>| {
            let ctx = runner.ctx();
            let name = ctx.str("t").expect("memory");
            let Value::Table(table) = ctx.state.globals.get_str(ctx, name) else {
                panic!("a table")
            };
            assert_eq!(table.array_part().len(), count);
            let work = ctx.host.table_work.get();
            assert!(work < 4 * count as u64 + 2000, "{count} items: {work}");
            // A field beside them is no reason to make it longer.
            table.set_str(ctx, name, Value::True).expect("memory");
            assert!(count <= SHORT_ARRAY || table.array_part().len() == count, "{count} items");
        });
    }
}
