//! The parts of the interactive mode that are not written in Lua (`repl.lua`).
//!
//! On a terminal, lines are edited and remembered by the crate `rustyline`, unless the feature
//! `line-editing` is off. Otherwise lines come from the same input buffer that the chunks read
//! from.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lua::{Interpreter, ScriptError};

/// The loop, in Lua.
const REPL: &str = include_str!("repl.lua");

/// Whether another Ctrl-C ends the program, because no prompt has followed the first one yet.
static ENDS: std::sync::OnceLock<Arc<AtomicBool>> = std::sync::OnceLock::new();

/// Runs chunks that the user types until the input ends.
pub(crate) fn run(interpreter: &mut Interpreter) -> Result<(), ScriptError> {
    #[cfg(feature = "line-editing")]
    edit_lines(interpreter)?;
    interpreter.run_source(REPL, "=(interactive mode)", &[])
}

/// Makes the function with which the loop reads a line, if input and output are a terminal.
#[cfg(feature = "line-editing")]
fn edit_lines(interpreter: &mut Interpreter) -> Result<(), ScriptError> {
    use rustyline::DefaultEditor;
    use rustyline::error::ReadlineError;
    use std::io::IsTerminal;
    use std::sync::{Mutex, PoisonError};

    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Ok(());
    }
    let Ok(editor) = DefaultEditor::new() else { return Ok(()) };
    let editor = Mutex::new(editor);
    interpreter.register("_EDIT_LINE", move |call| {
        let prompt = call.string(0)?.to_text();
        let mut editor = editor.lock().unwrap_or_else(PoisonError::into_inner);
        accept_interrupts();
        match editor.readline(&prompt) {
            Ok(line) => {
                // A full history drops its oldest line.
                let _ = editor.add_history_entry(&line);
                call.ret(call.ctx.str(line)?)
            }
            Err(ReadlineError::Interrupted) => call.ret(false),
            Err(_) => call.ret(lua::value::Value::Nil),
        }
    })
}

/// Ctrl-C stops a script from now on, and does not end the program.
#[cfg(feature = "line-editing")]
fn accept_interrupts() {
    if let Some(ends) = ENDS.get() {
        ends.store(false, Ordering::Relaxed);
    }
}

/// Makes Ctrl-C an error in the script that runs, as in real Lua: the script may catch it. A second one ends
/// the program.
#[cfg(unix)]
pub(crate) fn stop_on_interrupts(interrupter: lua::Interrupter) {
    use signal_hook::consts::SIGINT;
    use signal_hook::{flag, iterator::Signals};

    let ends = Arc::clone(ENDS.get_or_init(Arc::default));
    // If one of the two handlers cannot be installed, Ctrl-C ends the program at once.
    let Ok(_) = flag::register_conditional_default(SIGINT, Arc::clone(&ends)) else { return };
    let Ok(mut signals) = Signals::new([SIGINT]) else {
        ends.store(true, Ordering::Relaxed);
        return;
    };
    std::thread::spawn(move || {
        for _ in signals.forever() {
            ends.store(true, Ordering::Relaxed);
            interrupter.interrupt_once();
        }
    });
}
