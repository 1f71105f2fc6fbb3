//! [`CommandLine`]: what the stand-alone interpreter is asked to do.
//!
//! The options come first, then the script, then the script's own arguments, even if they look like
//! options. So the arguments are divided here before they are parsed.

use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser};
use lua::Config;

/// A Lua 5.4 interpreter on a managed heap.
#[derive(Parser, Debug)]
#[command(
    name = "lua",
    disable_version_flag = true,
    override_usage = "lua [OPTIONS] [SCRIPT [ARGUMENTS]...]",
    after_help = "The script `-`, or none, reads the standard input. Chunks, modules and warnings take \
                  effect in the order in which they are given."
)]
pub(crate) struct Options {
    /// Execute a chunk of source text
    #[arg(short = 'e', value_name = "CHUNK", allow_hyphen_values = true)]
    execute: Vec<String>,

    /// Require a module and make it a global variable, of the same name or another
    #[arg(short = 'l', value_name = "[NAME=]MODULE")]
    library: Vec<String>,

    /// Read chunks from the terminal, after the script
    #[arg(short = 'i')]
    pub(crate) interactive: bool,

    /// Show version information
    #[arg(short = 'v')]
    pub(crate) version: bool,

    /// Ignore environment variables
    #[arg(short = 'E')]
    pub(crate) no_environment: bool,

    /// Turn warnings on
    #[arg(short = 'W')]
    warnings: bool,

    /// Print what the collector did, to the standard error, after the script's output
    #[arg(long)]
    pub(crate) gc_stats: bool,

    /// Collect at every safepoint and overwrite freed memory
    #[arg(long)]
    pub(crate) gc_stress: bool,

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

    /// Sample allocations, and write a profile of them at the end that `go tool pprof` opens
    #[arg(long, value_name = "FILE")]
    pub(crate) alloc_profile: Option<PathBuf>,

    /// Mean number of bytes between two samples, such as 64K; 1 samples every object
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, default_value = "512K", requires = "alloc_profile")]
    alloc_profile_rate: usize,

    /// Check every invariant of the heap at the end
    #[arg(long)]
    pub(crate) verify_heap: bool,
}

/// What is done before the script runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Execute(String),
    Require { global: String, module: String },
    WarningsOn,
}

/// The command line of the stand-alone interpreter.
#[derive(Debug)]
pub(crate) struct CommandLine {
    pub(crate) options: Options,
    /// In the order in which they are given.
    pub(crate) steps: Vec<Step>,
    /// All arguments, the program's name first.
    pub(crate) arguments: Vec<String>,
    /// The index of the script among them.
    pub(crate) script: Option<usize>,
}

impl CommandLine {
    /// Takes the process's arguments apart.
    pub(crate) fn parse(arguments: Vec<String>) -> Result<CommandLine, clap::Error> {
        let command = Options::command();
        let (options, script) = divide(&command, &arguments);
        let matches = command.try_get_matches_from(&arguments[..options])?;
        let steps = steps(&matches);
        let options = Options::from_arg_matches(&matches)?;
        Ok(CommandLine { options, steps, arguments, script })
    }

    /// Whether one of the steps is a chunk.
    pub(crate) fn has_chunk(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Execute(_)))
    }

    /// The interpreter's configuration.
    pub(crate) fn config(&self) -> Config {
        let options = &self.options;
        let mut config = Config::new()
            .mark_threads(options.mark_threads)
            .background_sweep(options.background_sweep)
            .stress(options.gc_stress)
            .read_environment(!options.no_environment);
        if options.alloc_profile.is_some() {
            config = config.sample_bytes(options.alloc_profile_rate);
        }
        if let Some(bytes) = options.max_heap {
            config = config.max_heap_bytes(bytes);
        }
        if let Some(microseconds) = options.gc_slice {
            config = config.mark_slice(Duration::from_micros(microseconds));
        }
        if let Some(seed) = options.hash_seed {
            config = config.hash_seed(seed);
        }
        config
    }
}

/// Where the options end, and where the script is.
fn divide(command: &clap::Command, arguments: &[String]) -> (usize, Option<usize>) {
    let takes_value = |argument: &str| {
        let Some(rest) = argument.strip_prefix('-') else { return false };
        let option = match rest.strip_prefix('-') {
            Some(long) => command.get_arguments().find(|option| option.get_long() == Some(long)),
            // What follows the letter of such an option is its value.
            None => command.get_arguments().find(|option| {
                rest.chars().next_back() == option.get_short()
                    && rest.chars().all(|letter| {
                        is_flag(command, letter) || option.get_short() == Some(letter)
                    })
            }),
        };
        option.is_some_and(|option| option.get_action().takes_values())
    };
    let mut next = 1;
    while let Some(argument) = arguments.get(next) {
        if argument == "--" {
            let script = next + 1;
            return (next, (script < arguments.len()).then_some(script));
        }
        if argument == "-" || !argument.starts_with('-') {
            return (next, Some(next));
        }
        next += 1 + usize::from(takes_value(argument));
    }
    (arguments.len(), None)
}

/// Whether an option with this letter takes no value.
fn is_flag(command: &clap::Command, letter: char) -> bool {
    let option = command.get_arguments().find(|option| option.get_short() == Some(letter));
    option.is_some_and(|option| !option.get_action().takes_values())
}

fn steps(matches: &ArgMatches) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut add = |id: &str, make: fn(&str) -> Step| {
        let places = matches.indices_of(id).into_iter().flatten();
        let values = matches.get_many::<String>(id).into_iter().flatten();
        steps.extend(places.zip(values).map(|(place, value)| (place, make(value))));
    };
    add("execute", |chunk| Step::Execute(chunk.to_owned()));
    add("library", |library| {
        let (global, module) = library.split_once('=').unwrap_or((library, library));
        Step::Require { global: global.to_owned(), module: module.to_owned() }
    });
    if matches.get_flag("warnings")
        && let Some(place) = matches.index_of("warnings")
    {
        steps.push((place, Step::WarningsOn));
    }
    steps.sort_by_key(|(place, _)| *place);
    steps.into_iter().map(|(_, step)| step).collect()
}

/// Whether an error is the help text that the user has asked for.
pub(crate) fn is_help(error: &clap::Error) -> bool {
    error.kind() == ErrorKind::DisplayHelp
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> CommandLine {
        let arguments = ["lua"].iter().chain(arguments).map(|argument| (*argument).to_owned());
        CommandLine::parse(arguments.collect()).expect("a good command line")
    }

    #[test]
    fn what_follows_the_script_is_its_own() {
        let line = parsed(&["-e", "-x", "--max-heap", "8M", "script", "-e", "--", "--no-such"]);
        assert_eq!(line.script, Some(5));
        assert_eq!(line.arguments[6..], ["-e", "--", "--no-such"]);
        assert_eq!(line.steps, [Step::Execute("-x".to_owned())]);
        assert_eq!(line.options.max_heap, Some(8 << 20));
        for (arguments, script) in [
            (&["-"][..], Some(1)),
            (&["-v"], None),
            (&["--", "-v"], Some(2)),
            (&["--"], None),
            (&["-eprint", "x"], Some(2)),
            (&["-ve", "chunk", "x"], Some(3)),
            (&["-lmodule", "x"], Some(2)),
            (&["--max-heap=8M", "x"], Some(2)),
            (&["-W", "-E", "x"], Some(3)),
        ] {
            assert_eq!(parsed(arguments).script, script, "{arguments:?}");
        }
    }

    #[test]
    fn steps_keep_their_order() {
        let line = parsed(&["-l", "a", "-e", "1", "-W", "-e2", "-l", "name=module"]);
        let require = |global: &str, module: &str| Step::Require {
            global: global.to_owned(),
            module: module.to_owned(),
        };
        assert_eq!(
            line.steps,
            [
                require("a", "a"),
                Step::Execute("1".to_owned()),
                Step::WarningsOn,
                Step::Execute("2".to_owned()),
                require("name", "module"),
            ]
        );
    }
}
