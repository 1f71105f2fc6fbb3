//! `debug.debug`.

use std::io::Write;

use crate::native::Raised;
use crate::stdlib::io::next_line;
use crate::stdlib::package::load_chunk;
use crate::value::Value;
use crate::vm::Task;

/// Runs lines of the standard input as chunks, until one says `cont`. Prompts and errors go to the
/// standard error. The function's upvalue is the file that stands for the standard input.
pub(super) fn interact(task: &mut Task<'_>) -> Result<usize, Raised> {
    loop {
        say(b"lua_debug> ");
        let line = task.enter(|call| Ok(next_line(call.ctx, call.upvalue(0)).unwrap_or(None)))?;
        let Some(line) = line.filter(|line| line != b"cont") else { return Ok(0) };
        let is_loaded = task.enter(|call| {
            let environment = Value::Table(call.ctx.state.globals);
            match load_chunk(call.ctx, &line, "=(debug command)", environment)? {
                Ok(closure) => call.push(Value::Function(closure)).map(|()| true),
                Err(message) => {
                    call.push(Value::Str(call.ctx.str(message)?))?;
                    Ok(false)
                }
            }
        })?;
        if is_loaded {
            match task.call(0) {
                Ok(results) => {
                    task.enter(|call| {
                        for _ in 0..results {
                            call.pop();
                        }
                        Ok(())
                    })?;
                    continue;
                }
                Err(_) => {
                    task.catch()?;
                    task.enter(|call| call.push(call.ctx.state.error.get()))?;
                }
            }
        }
        task.to_string()?;
        task.enter(|call| {
            if let Value::Str(message) = call.pop() {
                say(message.as_bytes());
                say(b"\n");
            }
            Ok(())
        })?;
    }
}

fn say(text: &[u8]) {
    // No place is left to report an error of the standard error to.
    let _ = std::io::stderr().write_all(text);
}
