//! heap-bench: workloads through the public API of the heap, one line of
//! `key=value` pairs per run; `compare`, which runs the same work on the
//! collectors that are installed here; `scale`, which runs it on several processors; and
//! `pauses`, which times safepoints; `weak`, which times what keeps nothing alive; and `sparse`, which
//! says what zeroed memory costs.
//!
//! * nothing in the heap knows of these workloads, and they use nothing but
//!   `heap-api`.
//! * every workload checks its own structure and ends in a `sum`; all
//!   programs under `peers/` must arrive at the same one.
//!
//! Layers, bottom-up (a test checks it):
//!
//! ```text
//! layers: args measure rng session workloads pauses sparse weak compare
//! ```

mod args;
mod compare;
mod measure;
mod pauses;
mod rng;
mod session;
mod sparse;
mod weak;
mod workloads;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Compare(args) => compare::run(&args),
        Command::Scale(args) => compare::scale::run(&args),
        Command::Pauses(args) => {
            pauses::run(&args);
            ExitCode::SUCCESS
        }
        Command::Weak(args) => {
            weak::run(&args);
            ExitCode::SUCCESS
        }
        Command::Sparse(args) => {
            sparse::run(&args);
            ExitCode::SUCCESS
        }
        Command::Run(workload) => {
            workloads::run(&workload);
            ExitCode::SUCCESS
        }
    }
}
