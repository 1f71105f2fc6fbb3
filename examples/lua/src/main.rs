//! The stand-alone interpreter.

#![forbid(unsafe_code)]

mod command_line;
mod gc_stats;
mod interactive;

use core::fmt::Display;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use command_line::{CommandLine, Step, is_help};
use lua::{Interpreter, ScriptError};

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
    let mut interpreter = match Interpreter::new(line.config().output(output())) {
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
    if let Some(file) = &options.alloc_profile
        && let Err(error) = write_profile(file, &mut interpreter)
    {
        code = complain(&format!("cannot write {}: {error}", file.display()));
    }
    if options.gc_stats {
        report(gc_stats::report(&interpreter.heap().stats()));
    } else if options.gc_stress {
        report(format_args!("gc-stress: {} collections\n", interpreter.heap().stats().collections));
    }
    if options.verify_heap
        && let Err(error) = interpreter.heap().verify()
    {
        code = complain(&format!("the heap is broken: {error}"));
    }
    code
}

/// Collects, and writes the profile of the sampled allocations, so that its live figures are those
/// after the script.
fn write_profile(file: &Path, interpreter: &mut Interpreter) -> std::io::Result<()> {
    interpreter.heap().enter().collect();
    let profile = interpreter.heap().allocation_profile().unwrap_or_default();
    profile.write_pprof(std::fs::File::create(file)?)
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
