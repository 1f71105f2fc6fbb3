//! The stand-alone interpreter.

#![forbid(unsafe_code)]

mod gc_stats;

use core::fmt::Display;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use lua::{Config, Interpreter, ScriptError};

/// A Lua 5.4 interpreter on a managed heap.
#[derive(Parser, Debug)]
#[command(name = "lua", disable_version_flag = true)]
struct Options {
    /// Execute a chunk of source text
    #[arg(short = 'e', value_name = "CHUNK", allow_hyphen_values = true)]
    execute: Vec<String>,

    /// Show version information
    #[arg(short = 'v')]
    version: bool,

    /// Print what the collector did, to the standard error, after the script's output
    #[arg(long)]
    gc_stats: bool,

    /// Collect at every safepoint and overwrite freed memory
    #[arg(long)]
    gc_stress: bool,

    /// Hard limit on the heap, such as 64M
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    max_heap: Option<usize>,

    /// Threads that help marking
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = parse_mark_threads)]
    mark_threads: usize,

    /// Stop for the collection for at most about this many microseconds at a time
    #[arg(long, value_name = "MICROSECONDS")]
    gc_slice: Option<u64>,

    /// Sweep on a background thread
    #[arg(long)]
    background_sweep: bool,

    /// Seed of the hash functions, for runs that are to repeat exactly; random by default
    #[arg(long, value_name = "N")]
    hash_seed: Option<u64>,

    /// Check every invariant of the heap at the end
    #[arg(long)]
    verify_heap: bool,

    /// The script; `-` or nothing reads the standard input
    script: Option<PathBuf>,

    /// Arguments of the script
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// "64M": a number with an optional unit of K, M or G.
fn parse_bytes(text: &str) -> Result<usize, String> {
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1 << 10),
        Some((at, 'm' | 'M')) => (&text[..at], 1 << 20),
        Some((at, 'g' | 'G')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    let count: usize = digits.parse().map_err(|_| format!("'{text}' is not a number of bytes"))?;
    count.checked_mul(unit).ok_or_else(|| format!("'{text}' is too large"))
}

fn parse_mark_threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if count <= 256 => Ok(count),
        _ => Err(format!("'{text}' is not a number of threads from 0 to 256")),
    }
}

fn main() -> ExitCode {
    #[cfg(unix)]
    end_with_closed_pipes();
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    run(&options)
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

/// Writes to the standard error. An error of that is dropped: no other place is left to report it to.
fn report(text: impl Display) {
    let _ = write!(std::io::stderr(), "{text}");
}

/// Reports a failure as the reference interpreter does.
fn complain(message: &str) -> ExitCode {
    report(format_args!("lua: {}\n", message.trim_end()));
    ExitCode::FAILURE
}

fn run(options: &Options) -> ExitCode {
    if options.version {
        // As for the output of scripts, a full device is no failure.
        let _ = writeln!(std::io::stdout(), "Lua 5.4 (managed heap)");
    }
    let output = BufWriter::with_capacity(64 << 10, std::io::stdout());
    let mut config = Config::new()
        .mark_threads(options.mark_threads)
        .background_sweep(options.background_sweep)
        .stress(options.gc_stress)
        .output(Box::new(output));
    if let Some(bytes) = options.max_heap {
        config = config.max_heap_bytes(bytes);
    }
    if let Some(microseconds) = options.gc_slice {
        config = config.mark_slice(Duration::from_micros(microseconds));
    }
    if let Some(seed) = options.hash_seed {
        config = config.hash_seed(seed);
    }
    let mut interpreter = match Interpreter::new(config) {
        Ok(interpreter) => interpreter,
        Err(error) => return complain(&error.to_string()),
    };
    let mut code = match run_chunks(options, &mut interpreter) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error.to_string()),
    };
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

fn run_chunks(options: &Options, interpreter: &mut Interpreter) -> Result<(), ScriptError> {
    for chunk in &options.execute {
        interpreter.run_source(chunk, "=(command line)", &options.args)?;
    }
    let script = options.script.as_deref().filter(|path| path.as_os_str() != "-");
    let has_work = !options.execute.is_empty() || options.version;
    if options.script.is_none() && has_work {
        return Ok(());
    }
    interpreter.run_file(script, &options.args)
}
