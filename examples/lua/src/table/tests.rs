//! Tables against a model: whatever happens to the parts, a table is a map.

use std::collections::HashMap;

use super::{SetError, Table};
use crate::state::Ctx;
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
        let found = integer(table.get(key.value(ctx)));
        assert_eq!(found, Some(*value), "seed {seed}: key {key:?}");
    }
    let mut seen = 0;
    let mut key = Value::Nil;
    while let Some((next, _)) = table.next(key).expect("the key is in the table") {
        seen += 1;
        key = next;
    }
    assert_eq!(seen, model.len(), "seed {seed}: a traversal meets every key once");
    let length = table.length();
    assert!(length >= 0);
    if length > 0 {
        assert!(model.contains_key(&ModelKey::Int(length)), "seed {seed}: border {length}");
    }
    assert!(!model.contains_key(&ModelKey::Int(length + 1)), "seed {seed}: border {length}");
}

#[test]
fn a_table_is_a_map() {
    in_region(|ctx| {
        for seed in 1..60 {
            let mut random = Random(seed * 0x9E37_79B9);
            let table = Table::new(ctx).expect("memory").as_ref();
            let mut model = HashMap::new();
            for step in 0..400 {
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
            assert_eq!(table.length(), i);
        }
        assert_eq!(table.array_part().len(), 1024, "lists live in the array part");
        for i in (1..=1000).rev() {
            table.set_int(ctx, i, Value::Nil).expect("memory");
            assert_eq!(table.length(), i - 1);
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

#[test]
fn whole_floats_are_integer_keys_and_some_keys_are_refused() {
    in_region(|ctx| {
        let table = Table::new(ctx).expect("memory");
        table.set(ctx, Value::float(3.0), Value::True).expect("memory");
        assert!(matches!(table.get_int(3), Value::True));
        assert!(matches!(table.get(Value::float(3.0)), Value::True));
        assert_eq!(table.set(ctx, Value::Nil, Value::True), Err(SetError::NilKey));
        assert_eq!(table.set(ctx, Value::float(f64::NAN), Value::True), Err(SetError::NanKey));
        assert!(table.get(Value::float(f64::NAN)).is_nil());
        assert!(table.next(Value::Int(7)).is_err());
    });
}
