//! The interpreter loop.
//!
//! [`run`] executes the running thread's last frame, and those it calls and returns to, until there
//! is a reason to leave the region ([`Exit`]). The fast paths of instructions are here; what needs a
//! metamethod, a string conversion or an error goes through a function in [`slow`], which says what
//! to do next. What the loop knows about the frame is in [`Running`].
//!
//! The steps that arms have in common are macros, because they assign the loop's local variables
//! `running` and `pc`:
//!
//! | macro | what it does |
//! |---|---|
//! | `reg!`, `set!` | read and write a register |
//! | `save!` | puts `pc` into the frame |
//! | `load!` | takes up the frame that is the last now |
//! | `jump!` | `pc += offset` |
//! | `poll!` | leaves the loop if the heap wants a safepoint |
//! | `act!` | carries out an [`Action`], then begins the next instruction |
//! | `go_on!` | the same for an instruction that has been carried out elsewhere, see [`Step`] |
//! | `attempt!` | the value of a result; on an error as `act!` |
//! | `arith!`, `float_arith!`, `bitwise!`, `slow_arith!` | operators: of integers or floats, of floats only, of integers only, the rest |
//! | `order!`, `equal!` | comparisons that jump |
//! | `get_field!`, `set_field!`, `get_int!`, `set_int!`, `set_index!` | access to tables by a constant string, an integer, any value |
//! | `slow_index!`, `slow_assign!` | the rest of that |
//! | `call!`, `ret!` | calls and returns |
//!
//! * `frame.pc` is saved before anything that can fail, call, or look at the frame.
//! * EX2: after anything that may have switched frames or replaced the stack, [`Running`] is loaded
//!   again.
//! * a safepoint is offered after instructions that allocate, at calls, and at back edges; never
//!   before an instruction has run, so that every entry makes progress.

mod running;
mod slow;

use crate::bytecode::{Count, Op, Reg};
use crate::native::{Body, Call, Done};
use crate::number;
use crate::state::{Ctx, Event};
use crate::string::Str;
use crate::table::Table;
use crate::thread::OnReturn;
use crate::value::Value;

use super::arith::{Arith, power};
use super::call::{
    enter, instruction_failed, native_failed, perform, store_results, tail_call, varargs,
    wait_for_driver,
};
use super::concat::concat;
use super::describe::Origin;
use super::forloop::{self, Loop};
use super::{Action, Exit};
use running::Running;
use slow::{
    Slow, Step, Test, close_block, enter_for, inherited, make_closure, mark_to_close,
    return_closing, set_list, slow_arith, slow_assign, slow_equal, slow_index, slow_len,
    slow_order,
};

/// Runs until there is a reason to stop.
#[expect(clippy::too_many_lines, reason = "one match over all instructions")]
#[expect(clippy::cognitive_complexity, reason = "one match over all instructions")]
pub(super) fn run(ctx: Ctx<'_>) -> Exit {
    let cx = ctx.cx;
    let mut running = Running::load(ctx);
    let mut pc = running.frame.pc.get() as usize;

    macro_rules! reg {
        ($r:expr) => {
            running.registers[Reg::from($r).index()].get()
        };
    }
    macro_rules! set {
        ($r:expr, $value:expr) => {
            running.registers[Reg::from($r).index()].set($value)
        };
    }
    macro_rules! save {
        () => {
            running.frame.pc.set(pc as u32)
        };
    }
    macro_rules! load {
        () => {{
            running = Running::load(ctx);
            pc = running.frame.pc.get() as usize;
        }};
    }
    macro_rules! jump {
        ($offset:expr) => {
            pc = pc.wrapping_add_signed($offset.0 as isize)
        };
    }
    macro_rules! poll {
        () => {
            if cx.should_yield() {
                save!();
                return Exit::Safepoint;
            }
        };
    }
    // After `save!`: carries out an action, then goes on with the frame that is the last now.
    macro_rules! act {
        ($action:expr) => {{
            if let Some(exit) = perform(ctx, $action) {
                return exit;
            }
            load!();
            poll!();
            continue;
        }};
    }
    // After `save!`: the value of a result, or the error's way.
    macro_rules! attempt {
        ($result:expr) => {
            match $result {
                Ok(value) => value,
                Err(failure) => {
                    if let Some(exit) = instruction_failed(ctx, failure.into()) {
                        return exit;
                    }
                    load!();
                    continue;
                }
            }
        };
    }
    // After `save!`: goes on as a step says.
    macro_rules! go_on {
        ($step:expr) => {
            match $step {
                Step::Next => poll!(),
                Step::Load => {
                    load!();
                    poll!();
                    continue;
                }
                Step::Leave(exit) => return exit,
            }
        };
    }
    macro_rules! slow_arith {
        ($op:expr, $dst:expr, $lhs:expr, $rhs:expr) => {{
            save!();
            match attempt!(slow_arith(ctx, $op, $lhs, $rhs, running.scratch())) {
                Slow::Value(value) => set!($dst, value),
                Slow::Act(action) => act!(action),
            }
        }};
    }
    // `$int` gives an `Option<i64>`: `None` leaves the case to the slow path.
    macro_rules! arith {
        ($op:ident, $dst:expr, $lhs:expr, $rhs:expr, $int:expr, $float:expr) => {{
            let (lhs, rhs): (Value<'_>, Value<'_>) = ($lhs, $rhs);
            match (lhs, rhs) {
                (Value::Int(a), Value::Int(b)) => match $int(a, b) {
                    Some(value) => set!($dst, Value::Int(value)),
                    None => slow_arith!(Arith::$op, $dst, lhs, rhs),
                },
                (Value::Float(a), Value::Float(b)) => {
                    set!($dst, Value::float($float(a.get(), b.get())))
                }
                (Value::Int(a), Value::Float(b)) => {
                    set!($dst, Value::float($float(a as f64, b.get())))
                }
                (Value::Float(a), Value::Int(b)) => {
                    set!($dst, Value::float($float(a.get(), b as f64)))
                }
                _ => slow_arith!(Arith::$op, $dst, lhs, rhs),
            }
        }};
    }
    macro_rules! float_arith {
        ($op:ident, $dst:expr, $lhs:expr, $rhs:expr, $float:expr) => {{
            let (lhs, rhs): (Value<'_>, Value<'_>) = ($lhs, $rhs);
            match (lhs, rhs) {
                (Value::Float(a), Value::Float(b)) => {
                    set!($dst, Value::float($float(a.get(), b.get())))
                }
                (Value::Int(a), Value::Int(b)) => {
                    set!($dst, Value::float($float(a as f64, b as f64)))
                }
                (Value::Int(a), Value::Float(b)) => {
                    set!($dst, Value::float($float(a as f64, b.get())))
                }
                (Value::Float(a), Value::Int(b)) => {
                    set!($dst, Value::float($float(a.get(), b as f64)))
                }
                _ => slow_arith!(Arith::$op, $dst, lhs, rhs),
            }
        }};
    }
    macro_rules! bitwise {
        ($op:ident, $dst:expr, $lhs:expr, $rhs:expr, $int:expr) => {{
            let (lhs, rhs): (Value<'_>, Value<'_>) = ($lhs, $rhs);
            match (lhs, rhs) {
                (Value::Int(a), Value::Int(b)) => set!($dst, Value::Int($int(a, b))),
                _ => slow_arith!(Arith::$op, $dst, lhs, rhs),
            }
        }};
    }
    macro_rules! order {
        ($event:ident, $when:expr, $offset:expr, $lhs:expr, $rhs:expr, $op:tt) => {{
            let (lhs, rhs): (Value<'_>, Value<'_>) = ($lhs, $rhs);
            let holds = match (lhs, rhs) {
                (Value::Int(a), Value::Int(b)) => a $op b,
                (Value::Float(a), Value::Float(b)) => a.get() $op b.get(),
                _ => {
                    save!();
                    match attempt!(slow_order(ctx, Event::$event, lhs, rhs, running.scratch())) {
                        Test::Known(holds) => holds,
                        Test::Act(action) => act!(action),
                    }
                }
            };
            if holds == $when {
                jump!($offset);
            }
        }};
    }
    macro_rules! equal {
        ($when:expr, $offset:expr, $lhs:expr, $rhs:expr) => {{
            let (lhs, rhs): (Value<'_>, Value<'_>) = ($lhs, $rhs);
            let holds = match (lhs, rhs) {
                (Value::Int(a), Value::Int(b)) => a == b,
                _ => match slow_equal(ctx, lhs, rhs, running.scratch()) {
                    Test::Known(holds) => holds,
                    Test::Act(action) => {
                        save!();
                        act!(action)
                    }
                },
            };
            if holds == $when {
                jump!($offset);
            }
        }};
    }
    macro_rules! slow_index {
        ($dst:expr, $object:expr, $key:expr, $origin:expr) => {{
            save!();
            match attempt!(slow_index(ctx, $object, $key, $origin, running.scratch())) {
                Slow::Value(value) => set!($dst, value),
                Slow::Act(action) => act!(action),
            }
        }};
    }
    macro_rules! slow_assign {
        ($object:expr, $key:expr, $value:expr, $origin:expr) => {{
            save!();
            let scratch = running.scratch();
            go_on!(slow_assign(ctx, $object, $key, $value, $origin, scratch))
        }};
    }
    macro_rules! get_field {
        ($dst:expr, $object:expr, $key:expr, $origin:expr) => {{
            let (object, key): (Value<'_>, Str<'_>) = ($object, running.string($key));
            match object {
                Value::Table(table) => {
                    let value = table.ordinary_str(key);
                    if !value.is_nil() || table.metatable().is_none() {
                        set!($dst, value);
                    } else if let Some(value) = inherited(ctx, table, key) {
                        set!($dst, value);
                    } else {
                        slow_index!($dst, object, Value::Str(key), $origin)
                    }
                }
                _ => slow_index!($dst, object, Value::Str(key), $origin),
            }
        }};
    }
    macro_rules! set_field {
        ($object:expr, $key:expr, $value:expr, $origin:expr) => {{
            let (object, key, value): (Value<'_>, Str<'_>, Value<'_>) =
                ($object, running.string($key), $value);
            match object {
                Value::Table(table) => match table.live_str_slot(key) {
                    Some(slot) => slot.set(cx, value),
                    None => slow_assign!(object, Value::Str(key), value, $origin),
                },
                _ => slow_assign!(object, Value::Str(key), value, $origin),
            }
        }};
    }
    macro_rules! get_int {
        ($dst:expr, $object:expr, $key:expr, $origin:expr) => {{
            let (object, key): (Value<'_>, i64) = ($object, $key);
            match object {
                Value::Table(table) => {
                    let value = table.ordinary_int(key);
                    if !value.is_nil() || table.metatable().is_none() {
                        set!($dst, value);
                    } else {
                        slow_index!($dst, object, Value::Int(key), $origin)
                    }
                }
                _ => slow_index!($dst, object, Value::Int(key), $origin),
            }
        }};
    }
    macro_rules! set_int {
        ($object:expr, $key:expr, $value:expr, $origin:expr) => {{
            let (object, key, value): (Value<'_>, i64, Value<'_>) = ($object, $key, $value);
            match object {
                Value::Table(table) => match table.array_slot(key) {
                    Some(slot) if table.metatable().is_none() || !slot.get().is_nil() => {
                        slot.set(cx, value);
                    }
                    _ => slow_assign!(object, Value::Int(key), value, $origin),
                },
                _ => slow_assign!(object, Value::Int(key), value, $origin),
            }
        }};
    }
    macro_rules! set_index {
        ($table:expr, $key:expr, $value:expr) => {{
            let (object, key, value): (Value<'_>, Value<'_>, Value<'_>) =
                (reg!($table), reg!($key), $value);
            let slot = match (object, key) {
                (Value::Table(table), Value::Int(key)) => table
                    .array_slot(key)
                    .filter(|slot| table.metatable().is_none() || !slot.get().is_nil()),
                (Value::Table(table), Value::Str(key)) => table.live_str_slot(key),
                _ => None,
            };
            match slot {
                Some(slot) => slot.set(cx, value),
                None => slow_assign!(object, key, value, Origin::Register($table)),
            }
        }};
    }
    // Calls `$callee`, which is at `$func` in the stack, with `$count` arguments.
    macro_rules! call {
        ($callee:expr, $func:expr, $count:expr, $wanted:expr) => {{
            let (func, count, wanted): (usize, usize, Count) = ($func, $count, $wanted);
            let on_return = OnReturn::Store(wanted);
            save!();
            match $callee {
                Value::Function(callee) => {
                    let entered = enter(ctx, running.thread, callee, func, count, on_return);
                    let frame = attempt!(entered);
                    let base = frame.base.get() as usize;
                    running = Running::of(ctx, running.thread, frame, callee, base);
                    pc = 0;
                    poll!();
                }
                Value::Native(native) => match native.header.def.0.body {
                    Body::Fast(body) | Body::Either(body, _) => {
                        let thread = running.thread;
                        let action = match body(&Call::new(ctx, thread, func, count)) {
                            Ok(Done::Results(results)) => {
                                store_results(ctx, thread, (func, results), func, wanted);
                                running.registers = thread.window(ctx, running.base);
                                poll!();
                                continue;
                            }
                            Ok(Done::Slow) => wait_for_driver(ctx, thread, func, count, on_return),
                            Err(failure) => {
                                native_failed(ctx, thread, failure, func, count, on_return)
                            }
                        };
                        act!(attempt!(action))
                    }
                    _ => act!(Action::Call { func, count, on_return }),
                },
                _ => act!(Action::Call { func, count, on_return }),
            }
        }};
    }
    // Returns `$count` values from stack index `$from` on.
    macro_rules! ret {
        ($from:expr, $count:expr) => {{
            let (from, count): (usize, usize) = ($from, $count);
            let (thread, frame) = (running.thread, running.frame);
            let func = frame.func.get() as usize;
            let on_return = frame.on_return.get();
            match (on_return, thread.pop_frame()) {
                (OnReturn::Store(wanted), Some(caller)) if caller.kind.get().is_lua() => {
                    store_results(ctx, thread, (from, count), func, wanted);
                    running = Running::resume(ctx, thread, caller);
                    pc = caller.pc.get() as usize;
                }
                _ => act!(Action::Return { from, count, func, on_return }),
            }
        }};
    }

    loop {
        // The match reads from the code, it does not copy the instruction first: then each arm loads
        // just the operands it has.
        let op = &running.code[pc];
        pc += 1;
        match *op {
            // ---- loads and moves ----
            Op::Move { dst, src } => set!(dst, reg!(src)),
            Op::LoadI { dst, value } => set!(dst, Value::Int(i64::from(value))),
            Op::LoadK { dst, k } => set!(dst, running.constant(k)),
            Op::LoadNil { first, count } => {
                for i in 0..count {
                    set!(first + i, Value::Nil);
                }
            }
            Op::LoadFalse { dst } => set!(dst, Value::False),
            Op::LoadTrue { dst } => set!(dst, Value::True),
            Op::LoadFalseSkip { dst } => {
                set!(dst, Value::False);
                pc += 1;
            }

            // ---- upvalues and globals ----
            Op::GetUpval { dst, upval } => {
                set!(dst, running.upvalues[upval.0 as usize].get().get())
            }
            Op::SetUpval { upval, src } => {
                running.upvalues[upval.0 as usize].get().set(ctx, reg!(src))
            }
            Op::GetTabUp { dst, upval, key } => {
                let object = running.upvalues[upval.0 as usize].get().get();
                get_field!(dst, object, key, Origin::Upvalue(upval));
            }
            Op::SetTabUp { upval, value, key } => {
                let object = running.upvalues[upval.0 as usize].get().get();
                set_field!(object, key, reg!(value), Origin::Upvalue(upval));
            }

            // ---- tables ----
            Op::GetIndex { dst, table, key } => match reg!(key) {
                Value::Int(key) => get_int!(dst, reg!(table), key, Origin::Register(table)),
                key => {
                    let object = reg!(table);
                    match object {
                        Value::Table(t) => {
                            let value = t.ordinary(key);
                            if !value.is_nil() || t.metatable().is_none() {
                                set!(dst, value);
                            } else {
                                slow_index!(dst, object, key, Origin::Register(table))
                            }
                        }
                        _ => slow_index!(dst, object, key, Origin::Register(table)),
                    }
                }
            },
            Op::GetInt { dst, table, index } => {
                get_int!(dst, reg!(table), i64::from(index), Origin::Register(table));
            }
            Op::GetField { dst, table, key } => {
                get_field!(dst, reg!(table), key, Origin::Register(table));
            }
            Op::SetIndex { table, key, value } => set_index!(table, key, reg!(value)),
            Op::SetIndexK { table, key, value } => {
                set_index!(table, key, running.constant(value));
            }
            Op::SetInt { table, value, index } => {
                set_int!(reg!(table), i64::from(index), reg!(value), Origin::Register(table));
            }
            Op::SetField { table, value, key } => {
                set_field!(reg!(table), key, reg!(value), Origin::Register(table));
            }
            Op::SetFieldK { table, key, value } => {
                let value = running.constant(value);
                set_field!(reg!(table), key, value, Origin::Register(table));
            }
            Op::SelfField { dst, object, key } => {
                let receiver = reg!(object);
                set!(Reg::from(dst) + 1, receiver);
                get_field!(dst, receiver, key, Origin::Register(object));
            }
            Op::NewTable { dst, array, hash } => {
                save!();
                let table = if array == 0 && hash == 0 {
                    attempt!(Table::new(ctx))
                } else {
                    attempt!(Table::with_capacity(ctx, array as usize, hash as usize))
                };
                set!(dst, Value::Table(table));
                poll!();
            }
            Op::SetList { table, count, first } => {
                save!();
                let start = running.base + table.index() + 1;
                let count = running.list_len(start, count);
                attempt!(set_list(ctx, running.thread, reg!(table), start, count, first));
                poll!();
            }

            // ---- arithmetic on registers ----
            Op::Add { dst, lhs, rhs } => arith!(Add, dst, reg!(lhs), reg!(rhs), add, |a, b| a + b),
            Op::Sub { dst, lhs, rhs } => arith!(Sub, dst, reg!(lhs), reg!(rhs), sub, |a, b| a - b),
            Op::Mul { dst, lhs, rhs } => arith!(Mul, dst, reg!(lhs), reg!(rhs), mul, |a, b| a * b),
            Op::Div { dst, lhs, rhs } => {
                float_arith!(Div, dst, reg!(lhs), reg!(rhs), |a, b| a / b);
            }
            Op::IDiv { dst, lhs, rhs } => arith!(
                IDiv,
                dst,
                reg!(lhs),
                reg!(rhs),
                number::integer_floor_div,
                number::float_floor_div
            ),
            Op::Mod { dst, lhs, rhs } => {
                arith!(Mod, dst, reg!(lhs), reg!(rhs), number::integer_modulo, number::float_modulo)
            }
            Op::Pow { dst, lhs, rhs } => float_arith!(Pow, dst, reg!(lhs), reg!(rhs), power),
            Op::BAnd { dst, lhs, rhs } => {
                bitwise!(BAnd, dst, reg!(lhs), reg!(rhs), |a, b| a & b);
            }
            Op::BOr { dst, lhs, rhs } => bitwise!(BOr, dst, reg!(lhs), reg!(rhs), |a, b| a | b),
            Op::BXor { dst, lhs, rhs } => {
                bitwise!(BXor, dst, reg!(lhs), reg!(rhs), |a, b| a ^ b);
            }
            Op::Shl { dst, lhs, rhs } => {
                bitwise!(Shl, dst, reg!(lhs), reg!(rhs), number::shift_left);
            }
            Op::Shr { dst, lhs, rhs } => {
                bitwise!(Shr, dst, reg!(lhs), reg!(rhs), number::shift_right);
            }

            // ---- arithmetic with an immediate ----
            Op::AddI { dst, lhs, flip, imm } => match reg!(lhs) {
                Value::Int(a) => set!(dst, Value::Int(a.wrapping_add(i64::from(imm)))),
                Value::Float(a) => set!(dst, Value::float(a.get() + f64::from(imm))),
                lhs => {
                    let (lhs, rhs) = in_source_order(flip, lhs, int(imm));
                    slow_arith!(Arith::Add, dst, lhs, rhs)
                }
            },
            Op::SubI { dst, lhs, imm } => match reg!(lhs) {
                Value::Int(a) => set!(dst, Value::Int(a.wrapping_sub(i64::from(imm)))),
                Value::Float(a) => set!(dst, Value::float(a.get() - f64::from(imm))),
                lhs => slow_arith!(Arith::Sub, dst, lhs, int(imm)),
            },
            Op::MulI { dst, lhs, flip, imm } => {
                let (lhs, rhs) = in_source_order(flip, reg!(lhs), int(imm));
                arith!(Mul, dst, lhs, rhs, mul, |a, b| a * b);
            }
            Op::DivI { dst, lhs, imm } => {
                float_arith!(Div, dst, reg!(lhs), int(imm), |a, b| a / b);
            }
            Op::IDivI { dst, lhs, imm } => arith!(
                IDiv,
                dst,
                reg!(lhs),
                int(imm),
                number::integer_floor_div,
                number::float_floor_div
            ),
            Op::ModI { dst, lhs, imm } => {
                arith!(Mod, dst, reg!(lhs), int(imm), number::integer_modulo, number::float_modulo)
            }
            Op::PowI { dst, lhs, imm } => float_arith!(Pow, dst, reg!(lhs), int(imm), power),
            Op::BAndI { dst, lhs, flip, imm } => {
                let (lhs, rhs) = in_source_order(flip, reg!(lhs), int(imm));
                bitwise!(BAnd, dst, lhs, rhs, |a, b| a & b);
            }
            Op::BOrI { dst, lhs, flip, imm } => {
                let (lhs, rhs) = in_source_order(flip, reg!(lhs), int(imm));
                bitwise!(BOr, dst, lhs, rhs, |a, b| a | b);
            }
            Op::BXorI { dst, lhs, flip, imm } => {
                let (lhs, rhs) = in_source_order(flip, reg!(lhs), int(imm));
                bitwise!(BXor, dst, lhs, rhs, |a, b| a ^ b);
            }
            Op::ShlI { dst, lhs, imm } => {
                bitwise!(Shl, dst, reg!(lhs), int(imm), number::shift_left);
            }
            Op::ShrI { dst, lhs, imm } => {
                bitwise!(Shr, dst, reg!(lhs), int(imm), number::shift_right);
            }

            // ---- arithmetic with a constant ----
            Op::AddK { dst, lhs, flip, k } => {
                let (lhs, rhs) = in_source_order(flip, reg!(lhs), running.constant(k));
                arith!(Add, dst, lhs, rhs, add, |a, b| a + b);
            }
            Op::SubK { dst, lhs, k } => {
                let rhs = running.constant(k);
                arith!(Sub, dst, reg!(lhs), rhs, sub, |a, b| a - b);
            }
            Op::MulK { dst, lhs, flip, k } => {
                let (lhs, rhs) = in_source_order(flip, reg!(lhs), running.constant(k));
                arith!(Mul, dst, lhs, rhs, mul, |a, b| a * b);
            }
            Op::DivK { dst, lhs, k } => {
                let rhs = running.constant(k);
                float_arith!(Div, dst, reg!(lhs), rhs, |a, b| a / b);
            }
            Op::IDivK { dst, lhs, k } => {
                let rhs = running.constant(k);
                arith!(
                    IDiv,
                    dst,
                    reg!(lhs),
                    rhs,
                    number::integer_floor_div,
                    number::float_floor_div
                );
            }
            Op::ModK { dst, lhs, k } => {
                let rhs = running.constant(k);
                arith!(Mod, dst, reg!(lhs), rhs, number::integer_modulo, number::float_modulo);
            }
            Op::PowK { dst, lhs, k } => {
                let rhs = running.constant(k);
                float_arith!(Pow, dst, reg!(lhs), rhs, power);
            }
            Op::BAndK { dst, lhs, flip, k } => {
                let (lhs, rhs) = in_source_order(flip, reg!(lhs), running.constant(k));
                bitwise!(BAnd, dst, lhs, rhs, |a, b| a & b);
            }
            Op::BOrK { dst, lhs, flip, k } => {
                let (lhs, rhs) = in_source_order(flip, reg!(lhs), running.constant(k));
                bitwise!(BOr, dst, lhs, rhs, |a, b| a | b);
            }
            Op::BXorK { dst, lhs, flip, k } => {
                let (lhs, rhs) = in_source_order(flip, reg!(lhs), running.constant(k));
                bitwise!(BXor, dst, lhs, rhs, |a, b| a ^ b);
            }

            // ---- unary ----
            Op::Unm { dst, src } => match reg!(src) {
                Value::Int(a) => set!(dst, Value::Int(a.wrapping_neg())),
                Value::Float(a) => set!(dst, Value::float(-a.get())),
                value => slow_arith!(Arith::Unm, dst, value, value),
            },
            Op::BNot { dst, src } => match reg!(src) {
                Value::Int(a) => set!(dst, Value::Int(!a)),
                value => slow_arith!(Arith::BNot, dst, value, value),
            },
            Op::Not { dst, src } => set!(dst, Value::from(reg!(src).is_falsy())),
            Op::Len { dst, src } => match reg!(src) {
                Value::Table(table) if table.metatable().is_none() => {
                    set!(dst, Value::Int(table.ordinary_length()));
                }
                Value::Str(text) => set!(dst, Value::Int(text.len() as i64)),
                value => {
                    save!();
                    match attempt!(slow_len(ctx, value, src, running.scratch())) {
                        Slow::Value(value) => set!(dst, value),
                        Slow::Act(action) => act!(action),
                    }
                }
            },
            Op::Concat { dst, first, count } => {
                save!();
                let (base, scratch) = (running.base, running.scratch());
                match attempt!(concat(ctx, running.thread, base, scratch, (dst, first), count)) {
                    Action::Go => poll!(),
                    action => act!(action),
                }
            }

            // ---- jumps and tests ----
            Op::Jmp { offset } => jump!(offset),
            Op::JmpBack { offset } => {
                jump!(offset);
                poll!();
            }
            Op::JmpIf { src, offset } => {
                if !reg!(src).is_falsy() {
                    jump!(offset);
                }
            }
            Op::JmpIfNot { src, offset } => {
                if reg!(src).is_falsy() {
                    jump!(offset);
                }
            }
            Op::MoveJmpIf { dst, src, offset } => {
                let value = reg!(src);
                if !value.is_falsy() {
                    set!(dst, value);
                    jump!(offset);
                }
            }
            Op::MoveJmpIfNot { dst, src, offset } => {
                let value = reg!(src);
                if value.is_falsy() {
                    set!(dst, value);
                    jump!(offset);
                }
            }

            // ---- comparisons ----
            Op::Eq { lhs, rhs, offset } => equal!(true, offset, reg!(lhs), reg!(rhs)),
            Op::NotEq { lhs, rhs, offset } => equal!(false, offset, reg!(lhs), reg!(rhs)),
            Op::EqK { lhs, k, offset } => {
                if reg!(lhs).raw_equal(running.constant(k)) {
                    jump!(offset);
                }
            }
            Op::NotEqK { lhs, k, offset } => {
                if !reg!(lhs).raw_equal(running.constant(k)) {
                    jump!(offset);
                }
            }
            Op::EqI { lhs, imm, offset } => {
                if is_int(reg!(lhs), imm) {
                    jump!(offset);
                }
            }
            Op::NotEqI { lhs, imm, offset } => {
                if !is_int(reg!(lhs), imm) {
                    jump!(offset);
                }
            }
            Op::Lt { lhs, rhs, offset } => order!(Lt, true, offset, reg!(lhs), reg!(rhs), <),
            Op::NotLt { lhs, rhs, offset } => order!(Lt, false, offset, reg!(lhs), reg!(rhs), <),
            Op::Le { lhs, rhs, offset } => order!(Le, true, offset, reg!(lhs), reg!(rhs), <=),
            Op::NotLe { lhs, rhs, offset } => order!(Le, false, offset, reg!(lhs), reg!(rhs), <=),
            Op::LtI { lhs, imm, offset } => order!(Lt, true, offset, reg!(lhs), int(imm), <),
            Op::NotLtI { lhs, imm, offset } => order!(Lt, false, offset, reg!(lhs), int(imm), <),
            Op::LeI { lhs, imm, offset } => order!(Le, true, offset, reg!(lhs), int(imm), <=),
            Op::NotLeI { lhs, imm, offset } => order!(Le, false, offset, reg!(lhs), int(imm), <=),
            Op::GtI { lhs, imm, offset } => order!(Lt, true, offset, int(imm), reg!(lhs), <),
            Op::NotGtI { lhs, imm, offset } => order!(Lt, false, offset, int(imm), reg!(lhs), <),
            Op::GeI { lhs, imm, offset } => order!(Le, true, offset, int(imm), reg!(lhs), <=),
            Op::NotGeI { lhs, imm, offset } => order!(Le, false, offset, int(imm), reg!(lhs), <=),

            // ---- calls ----
            Op::Call { func, args, results } => {
                let callee = reg!(func);
                let func = running.base + func.index();
                call!(callee, func, running.list_len(func + 1, args), results);
            }
            Op::TailCall { func, args, close } => {
                save!();
                let func = running.base + func.index();
                let count = running.list_len(func + 1, args);
                if close {
                    running.thread.close_upvals(ctx, running.base);
                }
                if let Value::Native(_) = running.thread.slot(func).get() {
                    act!(Action::Call { func, count, on_return: OnReturn::Tail });
                }
                match attempt!(tail_call(ctx, running.thread, running.frame, func, count)) {
                    Action::Go => {
                        load!();
                        poll!();
                    }
                    action => act!(action),
                }
            }
            Op::Return { first, count, close } => {
                let from = running.base + first.index();
                let count = running.list_len(from, count);
                if close {
                    running.thread.close_upvals(ctx, running.base);
                }
                ret!(from, count);
            }
            Op::Return0 => ret!(running.base, 0),
            Op::Return1 { src } => ret!(running.base + src.index(), 1),
            Op::VarArgPrep { .. } => {}
            Op::VarArg { dst, count } => {
                save!();
                let params = running.data().num_params as usize;
                let (from, available) = varargs(running.frame, params);
                let to = running.base + Reg::from(dst).index();
                attempt!(running.thread.reserve(ctx, to + available));
                store_results(ctx, running.thread, (from, available), to, count);
                running.registers = running.thread.window(ctx, running.base);
            }
            Op::Closure { dst, proto } => {
                save!();
                let proto = running.proto.protos[proto.0 as usize];
                let closure = attempt!(make_closure(
                    ctx,
                    running.thread,
                    running.base,
                    running.upvalues,
                    proto
                ));
                set!(dst, Value::Function(closure));
                poll!();
            }
            Op::Close { from } => {
                running.thread.close_upvals(ctx, running.base + from.index());
            }
            Op::MarkToClose { src } => {
                save!();
                go_on!(mark_to_close(ctx, src));
            }
            Op::CloseAll { from } => {
                save!();
                go_on!(close_block(ctx, from));
            }
            Op::ReturnCloseAll { first, count } => {
                save!();
                go_on!(return_closing(ctx, first, count));
            }

            // ---- loops ----
            Op::ForPrep { base, offset } => {
                save!();
                let [first, limit, step] = [0, 1, 2].map(|i| reg!(base + i));
                match attempt!(forloop::prepare(ctx, first, limit, step)) {
                    Loop::Skip => jump!(offset),
                    Loop::Int { first, further } => {
                        set!(base + 1, Value::Int(further as i64));
                        set!(base + 3, Value::Int(first));
                    }
                    Loop::Float { first, limit, step } => {
                        set!(base, Value::float(first));
                        set!(base + 1, Value::float(limit));
                        set!(base + 2, Value::float(step));
                        set!(base + 3, Value::float(first));
                    }
                }
            }
            Op::ForLoop { base, offset } => {
                if let (Value::Int(step), Value::Int(left), Value::Int(at)) =
                    (reg!(base + 2), reg!(base + 1), reg!(base))
                {
                    if left != 0 {
                        let next = Value::Int(at.wrapping_add(step));
                        set!(base + 1, Value::Int(left.wrapping_sub(1)));
                        set!(base, next);
                        set!(base + 3, next);
                        jump!(offset);
                        poll!();
                    }
                } else if let (Value::Float(step), Value::Float(limit), Value::Float(at)) =
                    (reg!(base + 2), reg!(base + 1), reg!(base))
                {
                    let (next, step, limit) = (at.get() + step.get(), step.get(), limit.get());
                    if if step > 0.0 { next <= limit } else { next >= limit } {
                        set!(base, Value::float(next));
                        set!(base + 3, Value::float(next));
                        jump!(offset);
                        poll!();
                    }
                }
            }
            Op::TForPrep { base, offset } => {
                if reg!(base + 3).is_falsy() {
                    jump!(offset);
                } else {
                    save!();
                    go_on!(enter_for(ctx, base + 3, offset));
                }
            }
            Op::TForCall { base, count } => {
                let (iterator, state, control) = (reg!(base), reg!(base + 1), reg!(base + 2));
                let entry = match (iterator, state) {
                    (Value::Native(native), Value::Table(table))
                        if core::ptr::eq(
                            native.header.def.0,
                            &raw const crate::stdlib::base::NEXT,
                        ) =>
                    {
                        table.ordinary_next(control).ok()
                    }
                    _ => None,
                };
                let first = base + 4;
                if let Some(entry) = entry {
                    let (key, value) = entry.unwrap_or((Value::Nil, Value::Nil));
                    set!(first, key);
                    set!(first + 1, value);
                    for i in 2..count {
                        set!(first + i, Value::Nil);
                    }
                } else {
                    set!(first, iterator);
                    set!(first + 1, state);
                    set!(first + 2, control);
                    call!(iterator, running.base + first.index(), 2, Count(count));
                }
            }
            Op::TForLoop { base, offset } => {
                let control = reg!(base + 4);
                if !control.is_nil() {
                    set!(base + 2, control);
                    jump!(offset);
                    poll!();
                } else if !reg!(base + 3).is_falsy() {
                    save!();
                    go_on!(close_block(ctx, base));
                }
            }
        }
    }
}

// ---- integer operators, in the form that `arith!` wants ----

#[inline(always)]
fn add(a: i64, b: i64) -> Option<i64> {
    Some(a.wrapping_add(b))
}

#[inline(always)]
fn sub(a: i64, b: i64) -> Option<i64> {
    Some(a.wrapping_sub(b))
}

#[inline(always)]
fn mul(a: i64, b: i64) -> Option<i64> {
    Some(a.wrapping_mul(b))
}

/// The operands of a commutative operator as the source has them.
#[inline(always)]
fn in_source_order<'gc>(flip: bool, lhs: Value<'gc>, rhs: Value<'gc>) -> (Value<'gc>, Value<'gc>) {
    if flip { (rhs, lhs) } else { (lhs, rhs) }
}

#[inline(always)]
fn int<'gc>(value: impl Into<i64>) -> Value<'gc> {
    Value::Int(value.into())
}

#[inline(always)]
fn is_int(value: Value<'_>, imm: i16) -> bool {
    match value {
        Value::Int(i) => i == i64::from(imm),
        Value::Float(f) => f.get() == f64::from(imm),
        _ => false,
    }
}
