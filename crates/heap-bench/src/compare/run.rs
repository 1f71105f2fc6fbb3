//! One run of one program: starts it, gives up on it after a time, reads its
//! last line.

use std::collections::BTreeMap;
use std::io::Read;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::case::Case;
use super::peer::Peer;
use crate::args::CompareArgs;

/// The pairs of an output line.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Line(BTreeMap<String, String>);

impl Line {
    /// Reads `key=value` pairs.
    pub(super) fn parse(line: &str) -> Line {
        let pairs = line.split_whitespace().filter_map(|pair| pair.split_once('='));
        Line(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    }

    /// A number, unless it is missing or not known to the program.
    pub(super) fn number(&self, key: &str) -> Option<f64> {
        self.0.get(key)?.parse::<f64>().ok().filter(|n| n.is_finite())
    }

    /// The check that all programs agree on.
    pub(super) fn sum(&self) -> Option<&str> {
        self.0.get("sum").map(String::as_str)
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum End {
    Line(Line),
    /// The program cannot do this workload.
    Skipped,
    TimedOut,
    Failed(String),
}

/// Why there is no line from a program that cannot do the workload.
pub(super) const CANNOT: &str = "cannot do this";

impl End {
    /// The line.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(super) fn line(self) -> Result<Line, String> {
        match self {
            End::Line(line) => Ok(line),
            End::Skipped => Err(CANNOT.to_owned()),
            End::TimedOut => Err("timed out".to_owned()),
            End::Failed(why) => Err(why),
        }
    }
}

/// The exit code with which a peer says that it cannot do a workload.
const SKIPPED: i32 = 3;

/// Runs a peer once.
pub(super) fn once(peer: &Peer, case: &Case, args: &CompareArgs) -> End {
    let mut command = peer.command(case, args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return End::Failed(error.to_string()),
    };
    match wait(&mut child, Duration::from_secs(args.timeout)) {
        Ok(Some(status)) => end(&mut child, status),
        Ok(None) => End::TimedOut,
        Err(error) => End::Failed(error.to_string()),
    }
}

/// Waits for the child; kills it after `limit`. Its output, a few lines, fits in
/// the pipes.
fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if start.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn end(child: &mut Child, status: ExitStatus) -> End {
    let (mut out, mut err) = (String::new(), String::new());
    if let Some(stdout) = &mut child.stdout {
        // What cannot be read is missing below.
        let _ = stdout.read_to_string(&mut out);
    }
    if let Some(stderr) = &mut child.stderr {
        let _ = stderr.read_to_string(&mut err);
    }
    if status.code() == Some(SKIPPED) {
        return End::Skipped;
    }
    match out.lines().rfind(|line| line.starts_with("workload=")) {
        Some(line) if status.success() => End::Line(Line::parse(line)),
        _ => End::Failed(format!("{status}: {}", complaint(&err, &out))),
    }
}

/// What a program said when it failed. Most complain on stderr, a JVM on stdout,
/// in two lines of which the second has the reason.
fn complaint(err: &str, out: &str) -> String {
    let lines = err.lines().chain(out.lines()).map(str::trim).filter(|line| !line.is_empty());
    match lines.take(2).collect::<Vec<_>>().join("; ") {
        none if none.is_empty() => "no message".to_owned(),
        some => some,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_lines_of_a_complaint_are_told() {
        assert_eq!(
            complaint("", "\nError in the VM\nToo small a heap\nmore\n"),
            "Error in the VM; Too small a heap"
        );
        assert_eq!(complaint("out of memory\n", ""), "out of memory");
        assert_eq!(complaint("", ""), "no message");
    }

    #[test]
    fn reads_lines() {
        let line = Line::parse("workload=trees wall_ms=12.5 heap_peak_mb=nan sum=77");
        assert_eq!(line.number("wall_ms"), Some(12.5));
        assert_eq!(line.number("heap_peak_mb"), None);
        assert_eq!(line.number("gcs"), None);
        assert_eq!(line.sum(), Some("77"));
    }
}
