//! Something that can run the workloads: this heap, or a built peer.

use std::path::PathBuf;
use std::process::Command;

use super::case::Case;
use crate::args::{CompareArgs, PeerName, WorkloadName};

/// A program that is ready to run.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) name: PeerName,
    pub(super) version: String,
    pub(super) program: Program,
}

/// How to start it.
#[derive(Debug)]
pub(super) enum Program {
    /// An executable that takes the workload's arguments.
    Binary(PathBuf),
    /// Classes for a JVM with the flag of a collector.
    Jvm { java: PathBuf, classes: PathBuf, collector: &'static str },
}

/// A peer's name in tables.
pub(super) fn label(name: PeerName) -> &'static str {
    match name {
        PeerName::Heap => "heap",
        PeerName::Go => "go",
        PeerName::JavaParallel => "java parallel",
        PeerName::JavaG1 => "java g1",
        PeerName::JavaZ => "java z",
        PeerName::JavaSerial => "java serial",
        PeerName::Bdwgc => "bdwgc",
        PeerName::GcArena => "gc-arena",
        PeerName::Dumpster => "dumpster",
        PeerName::Box => "box",
    }
}

impl Peer {
    /// The command line of one run. Only the last line of its output counts.
    pub(super) fn command(&self, case: &Case, args: &CompareArgs) -> Command {
        let mut command = match &self.program {
            Program::Binary(path) => Command::new(path),
            Program::Jvm { java, classes, collector } => {
                let heap = args.java_heap.unwrap_or_else(|| case.java_heap_mb());
                let log = classes.join("gc.log");
                let mut command = Command::new(java);
                if !matches!(case.workload, WorkloadName::Frag | WorkloadName::Shrink) {
                    // There the size that the JVM chooses is the result.
                    command.arg(format!("-Xms{heap}m"));
                }
                command
                    .arg(collector)
                    .arg(format!("-Xmx{heap}m"))
                    .arg(format!("-XX:ActiveProcessorCount={}", case.procs()))
                    .arg(format!("-Xlog:gc,gc+phases:file={}", log.display()))
                    .arg(format!("-Dgc.log={}", log.display()))
                    .arg("-cp")
                    .arg(classes)
                    .arg("Main");
                command
            }
        };
        let repeat = match self.program {
            Program::Binary(_) => 1,
            // The compiler of a JVM needs time before its code is what it will be.
            Program::Jvm { .. } => args.java_warmup + 1,
        };
        command.arg(case.workload.name());
        for (flag, value) in [
            ("--size", case.size),
            ("--mutators", case.mutators),
            ("--workers", case.workers),
            ("--repeat", repeat),
        ] {
            command.arg(flag).arg(value.to_string());
        }
        if self.name == PeerName::Heap {
            command.args(args.heap_flags.split_whitespace());
        }
        command
    }
}
