//! A virtual machine with a bytecode loop: where safepoints go, what happens when memory is
//! refused, and how a native function calls back.
//!
//! The loop runs in a *region*: it has `&Cx`, holds bare handles and allocates freely, and it
//! returns to its driver whenever a safepoint is wanted. The driver has `&mut Cx` and roots only.
//!
//! ```sh
//! cargo run -p heap-api --example stack_vm
//! ```

use Op::{Add, Int, JumpIfNot0, Load, Native, Nil, Pair, Return, Store};
use heap_api::{AllocError, Config, Cx, Gc, GcStack, Heap, OutOfMemory, Root, Trace};

/// What a variable holds. `Copy`, because handles are.
#[derive(Clone, Copy, Trace)]
enum Value<'gc> {
    Nil,
    Int(i64),
    Pair(Gc<'gc, Cons<'gc>>),
}

/// The only kind of object of this language.
#[derive(Trace)]
struct Cons<'gc> {
    head: Value<'gc>,
    tail: Value<'gc>,
}

/// Operands are on the stack; local variables are at the bottom of a call's part of it.
#[derive(Clone, Copy)]
enum Op {
    Int(i64),
    Nil,
    Load(usize),
    Store(usize),
    Add,
    /// Makes a pair of the two topmost values.
    Pair,
    /// Pops a value; jumps if it is not zero.
    JumpIfNot0(usize),
    /// Calls a native function; its arguments are on the stack.
    Native(fn(&mut Vm<'_>) -> Result<(), Error>),
    /// Leaves the function with the topmost value.
    Return,
}

struct Function {
    arguments: usize,
    /// Arguments included.
    locals: usize,
    /// Most operands at a time: room is made when the function is called.
    operands: usize,
    code: &'static [Op],
}

/// A call that is under way: plain data.
#[derive(Clone, Copy, Trace)]
struct Frame {
    function: usize,
    pc: usize,
    base: usize,
}

/// The stacks of the program, an object. What is on a [`GcStack`] is kept alive; its memory is the
/// owner's alone and does not become garbage when it grows.
#[derive(Trace)]
struct Fiber<'gc> {
    values: GcStack<Value<'gc>>,
    frames: GcStack<Frame>,
}

/// Why the loop returns to its driver.
enum Exit {
    /// The call that the driver has begun is over.
    Returned,
    /// Somebody wants to collect.
    Safepoint,
    /// The heap refused memory. The instruction can be done again.
    OutOfMemory,
    /// A function that needs `&mut Cx`.
    Native(fn(&mut Vm<'_>) -> Result<(), Error>),
}

#[derive(Debug)]
enum Error {
    OutOfMemory,
    Type,
}

impl From<OutOfMemory> for Error {
    fn from(_: OutOfMemory) -> Error {
        Error::OutOfMemory
    }
}

impl<T> From<AllocError<T>> for Error {
    fn from(_: AllocError<T>) -> Error {
        Error::OutOfMemory
    }
}

/// The driver.
struct Vm<'h> {
    cx: &'h mut Cx,
    fiber: Root<Fiber<'static>>,
    functions: &'static [Function],
}

impl Vm<'_> {
    /// Calls a function whose arguments are on the stack. Natives call it, too: then the Rust
    /// stack has one more `call` on it, as the real one has in any interpreter.
    fn call(&mut self, function: usize) -> Result<(), Error> {
        let depth = {
            let fiber = self.fiber.get(self.cx);
            let Function { arguments, locals, operands, .. } = self.functions[function];
            let base = fiber.values.len() - arguments;
            fiber.values.try_resize(self.cx, base + locals, Value::Nil)?;
            fiber.values.try_reserve(self.cx, operands)?;
            fiber.frames.try_push(self.cx, Frame { function, pc: 0, base })?;
            fiber.frames.len() - 1
        };
        let mut is_second_try = false;
        loop {
            match run(self.cx, &self.fiber.get(self.cx), self.functions, depth)? {
                Exit::Returned => return Ok(()),
                Exit::Safepoint => self.cx.safepoint(),
                // An allocation cannot collect: handles are alive around it. Here none is. If it
                // fails again right after a collection, memory is really short.
                Exit::OutOfMemory if is_second_try => return Err(Error::OutOfMemory),
                Exit::OutOfMemory => {
                    self.cx.collect();
                    is_second_try = true;
                    continue;
                }
                Exit::Native(native) => native(self)?,
            }
            is_second_try = false;
        }
    }
}

/// The bytecode loop. It saves `pc` before it returns, so it can go on where it was.
fn run<'gc>(
    cx: &'gc Cx,
    fiber: &Fiber<'gc>,
    functions: &[Function],
    depth: usize,
) -> Result<Exit, Error> {
    let stack = &fiber.values;
    let int = |value| if let Value::Int(i) = value { Ok(i) } else { Err(Error::Type) };
    let pop = || stack.pop(cx).expect("the code is well formed");
    while fiber.frames.len() > depth {
        let at = fiber.frames.len() - 1;
        let frame @ Frame { function, pc, base } = fiber.frames.get(at).expect("a call");
        let mut next = pc + 1;
        let mut exit = None;
        match functions[function].code[pc] {
            Int(i) => stack.push(cx, Value::Int(i)),
            Nil => stack.push(cx, Value::Nil),
            Load(i) => stack.push(cx, stack.get(base + i).expect("a local")),
            Store(i) => stack.set(cx, base + i, pop()),
            Add => stack.push(cx, Value::Int(int(pop())?.wrapping_add(int(pop())?))),
            Pair => {
                // Nothing is popped before the allocation has succeeded, so that the
                // instruction can be done again.
                let top = stack.len();
                let [head, tail] = [top - 2, top - 1].map(|i| stack.get(i).expect("an operand"));
                let Ok(pair) = cx.try_alloc(Cons { head, tail }) else {
                    return Ok(Exit::OutOfMemory);
                };
                stack.truncate(cx, top - 2);
                stack.push(cx, Value::Pair(pair));
            }
            JumpIfNot0(to) => {
                if int(pop())? != 0 {
                    next = to;
                }
                // Loops and calls are where a program could run for long without a safepoint:
                // there it looks whether one is wanted, which is one load.
                if cx.should_yield() {
                    exit = Some(Exit::Safepoint);
                }
            }
            Native(native) => exit = Some(Exit::Native(native)),
            Return => {
                let result = pop();
                stack.truncate(cx, base);
                stack.push(cx, result);
                fiber.frames.pop(cx);
                continue;
            }
        }
        fiber.frames.set(cx, at, Frame { pc: next, ..frame });
        if let Some(exit) = exit {
            return Ok(exit);
        }
    }
    Ok(Exit::Returned)
}

/// A native function that calls back: pops a list, folds it with function 1, pushes the result.
///
/// Between two calls it holds no handle. What it works on stays on the fiber's stack, where the
/// collector finds it: below the call's arguments.
fn fold(vm: &mut Vm<'_>) -> Result<(), Error> {
    let (list, sum) = {
        let fiber = vm.fiber.get(vm.cx);
        fiber.values.try_push(vm.cx, Value::Int(0))?;
        (fiber.values.len() - 2, fiber.values.len() - 1)
    };
    loop {
        {
            let fiber = vm.fiber.get(vm.cx);
            let Some(Value::Pair(pair)) = fiber.values.get(list) else { break };
            fiber.values.set(vm.cx, list, pair.tail);
            fiber.values.try_push(vm.cx, fiber.values.get(sum).expect("the sum so far"))?;
            fiber.values.try_push(vm.cx, pair.head)?;
        }
        vm.call(1)?;
        let fiber = vm.fiber.get(vm.cx);
        let result = fiber.values.pop(vm.cx).expect("a result");
        fiber.values.set(vm.cx, sum, result);
    }
    let fiber = vm.fiber.get(vm.cx);
    let result = fiber.values.pop(vm.cx).expect("the sum");
    fiber.values.set(vm.cx, list, result);
    Ok(())
}

#[rustfmt::skip]
static PROGRAM: [Function; 3] = [
    // Three hundred times: makes a list of the numbers to 1000, and folds it. Locals: the total,
    // the rounds that are left, a number, a list.
    Function { arguments: 0, locals: 4, operands: 2, code: &[
        Int(0), Store(0), Int(300), Store(1),
        // 4: another round.
        Nil, Store(3), Int(1000), Store(2),
        // 8: another pair.
        Load(2), Load(3), Pair, Store(3), Load(2), Int(-1), Add, Store(2), Load(2), JumpIfNot0(8),
        Load(3), Native(fold), Load(0), Add, Store(0),
        Load(1), Int(-1), Add, Store(1), Load(1), JumpIfNot0(4),
        Load(0), Return,
    ] },
    // The sum of two numbers.
    Function { arguments: 2, locals: 2, operands: 2, code: &[Load(0), Load(1), Add, Return] },
    // A list without end.
    Function { arguments: 0, locals: 1, operands: 2, code: &[
        Int(1), Load(0), Pair, Store(0), Int(1), JumpIfNot0(0),
    ] },
];

fn main() {
    let heap = Heap::new(Config::new().max_heap_bytes(2 << 20));
    let mut cx = heap.enter();
    for function in [0, 2, 0] {
        let fiber = Fiber { values: GcStack::new(), frames: GcStack::new() };
        let fiber = cx.root(cx.alloc(fiber));
        let mut vm = Vm { cx: &mut cx, fiber, functions: &PROGRAM };
        match vm.call(function) {
            Ok(()) => {
                let fiber = vm.fiber.get(vm.cx);
                let Some(Value::Int(result)) = fiber.values.last() else { panic!("no number") };
                println!("function {function} returned {result}");
            }
            // The program is told, and the heap is as good as before.
            Err(error) => println!("function {function} failed: {error:?}"),
        }
    }
    println!("verified: {:?}", cx.verify());
    assert!(heap.stats().heap_bytes_max <= 2 << 20);
}
