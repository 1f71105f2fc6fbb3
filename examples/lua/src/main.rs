//! The stand-alone interpreter.

#![forbid(unsafe_code)]

mod command_line;
mod gc_stats;
mod interactive;
mod reports;

use core::fmt::Display;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use command_line::{CommandLine, Step, is_help};
use lua::{Interpreter, ScriptError};
use reports::Reports;

fn main() -> ExitCode {
    #[cfg(unix)]
    end_with_closed_pipes();
    let arguments = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
    let line = match CommandLine::parse(arguments.collect()) {
        Ok(line) => line,
        Err(error) => {
            let _ = error.print();
            return if is_help(&error) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
    };
    run(&line)
}

/// Makes a write to a pipe without a reader end the process, which is the system's default. Rust's
/// runtime ignores the signal, so this program installs the default action again. The library leaves
/// a process's signals alone.
#[cfg(unix)]
fn end_with_closed_pipes() {
    use signal_hook::{consts::SIGPIPE, flag};
    use std::sync::{Arc, atomic::AtomicBool};
    // Without it a write fails, and scripts can find that out.
    let _ = flag::register_conditional_default(SIGPIPE, Arc::new(AtomicBool::new(true)));
}

/// Writes to the standard error. An error of the write is ignored: there is no other place to
/// report it to.
fn report(text: impl Display) {
    let _ = write!(std::io::stderr(), "{text}");
}

/// Reports a failure as the reference interpreter does.
fn complain(message: &str) -> ExitCode {
    report(format_args!("lua: {}\n", message.trim_end()));
    ExitCode::FAILURE
}

/// The part of an exit code that the system keeps.
fn exit_code(code: i32) -> ExitCode {
    ExitCode::from(code as u8)
}

fn show_version() {
    // As for the output of scripts, a full device is not a failure.
    let _ = writeln!(std::io::stdout(), "Lua 5.4 (managed heap)");
}

/// The standard output. On a terminal lines are seen when they are written.
fn output() -> Box<dyn Write + Send> {
    let output = std::io::stdout();
    if output.is_terminal() {
        return Box::new(output);
    }
    Box::new(BufWriter::with_capacity(64 << 10, output))
}

fn run(line: &CommandLine) -> ExitCode {
    let options = &line.options;
    if options.version || options.interactive {
        show_version();
    }
    let reports = Reports::wanted(options);
    let mut config = line.config().output(output());
    if let Some(reports) = reports.clone() {
        config = config.at_exit(move |heap, code| match reports.write(heap) {
            Ok(()) => code,
            Err(message) => {
                complain(&message);
                1
            }
        });
    }
    let mut interpreter = match Interpreter::new(config) {
        Ok(interpreter) => interpreter,
        Err(error) => return complain(&error.to_string()),
    };
    #[cfg(unix)]
    interactive::stop_on_interrupts(interpreter.interrupter());
    let mut code = match run_chunks(line, &mut interpreter) {
        Ok(()) => ExitCode::SUCCESS,
        Err(ScriptError::Exit(code)) => exit_code(code),
        Err(error) => complain(&error.to_string()),
    };
    interpreter.finalize_all();
    if let Some(reports) = reports {
        if reports.have_profile() {
            interpreter.heap().enter().collect();
        }
        if let Err(message) = reports.write(interpreter.heap()) {
            code = complain(&message);
        }
    }
    if options.verify_heap
        && let Err(error) = interpreter.heap().verify()
    {
        code = complain(&format!("the heap is broken: {error}"));
    }
    code
}

fn run_chunks(line: &CommandLine, interpreter: &mut Interpreter) -> Result<(), ScriptError> {
    let options = &line.options;
    interpreter.set_arguments(&line.arguments, line.script.unwrap_or(0))?;
    if !options.no_environment {
        run_initial_chunk(interpreter)?;
    }
    for step in &line.steps {
        match step {
            Step::Execute(chunk) => interpreter.run_source(chunk, "=(command line)", &[])?,
            Step::Require { global, module } => interpreter.require(module, global)?,
            Step::WarningsOn => interpreter.turn_warnings_on(),
        }
    }
    if let Some(script) = line.script {
        let script = &line.arguments[script];
        let path = (script != "-").then(|| Path::new(script));
        interpreter.run_script(path)?;
    }
    let has_work = line.script.is_some() || line.has_chunk() || options.version;
    if options.interactive {
        return interactive::run(interpreter);
    }
    if has_work {
        return Ok(());
    }
    if std::io::stdin().is_terminal() {
        show_version();
        return interactive::run(interpreter);
    }
    interpreter.run_file(None, &[])
}

/// What the environment wants to be run first: a chunk, or a file if it begins with `@`.
fn run_initial_chunk(interpreter: &mut Interpreter) -> Result<(), ScriptError> {
    for name in ["LUA_INIT_5_4", "LUA_INIT"] {
        let Some(value) = std::env::var_os(name) else { continue };
        let value = value.to_string_lossy();
        return match value.strip_prefix('@') {
            Some(file) => interpreter.run_file(Some(Path::new(file)), &[]),
            None => interpreter.run_source(&value, &format!("={name}"), &[]),
        };
    }
    Ok(())
}
