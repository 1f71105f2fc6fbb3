//! Medians, ratios and the tables, in markdown.

use std::fmt::Write as _;

use super::case::Case;
use super::peer::{self, Peer};
use super::run::{End, Line};
use crate::args::{CompareArgs, PeerName};

/// What one peer did in one case.
#[derive(Debug)]
pub(super) struct Row<'a> {
    peer: &'a Peer,
    lines: Vec<Line>,
    /// Why there is no (full) result: the case is over for this peer.
    closed: Option<String>,
}

impl<'a> Row<'a> {
    pub(super) fn new(peer: &'a Peer) -> Row<'a> {
        Row { peer, lines: Vec::new(), closed: None }
    }

    pub(super) fn peer(&self) -> &'a Peer {
        self.peer
    }

    pub(super) fn label(&self) -> &'static str {
        peer::label(self.peer.name)
    }

    /// Whether more runs make sense.
    pub(super) fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    /// Takes the result of a run.
    pub(super) fn record(&mut self, end: End) {
        match end.line() {
            Ok(line) => self.lines.push(line),
            Err(why) => self.closed = Some(why),
        }
    }

    fn numbers(&self, key: &str) -> Vec<f64> {
        self.lines.iter().filter_map(|line| line.number(key)).collect()
    }

    fn median(&self, key: &str) -> Option<f64> {
        median(self.numbers(key))
    }
}

/// C3: closes the rows whose sums are not those of this heap (or, without it, of
/// the first that has one). Says whether all agree.
pub(super) fn agree_on_sum(rows: &mut [Row<'_>]) -> bool {
    let sum_of = |row: &Row<'_>| row.lines.first().and_then(Line::sum).map(str::to_owned);
    let own = rows.iter().find(|row| row.peer.name == PeerName::Heap).and_then(sum_of);
    let Some(expected) = own.or_else(|| rows.iter().find_map(sum_of)) else { return true };
    let mut agree = true;
    for row in rows {
        if let Some(line) = row.lines.iter().find(|line| line.sum() != Some(&expected)) {
            let sum = line.sum().unwrap_or("none");
            row.closed = Some(format!("WRONG SUM {sum}, not {expected}"));
            row.lines.clear();
            agree = false;
        }
    }
    agree
}

pub(super) fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_unstable_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    match numbers.len() {
        0 => None,
        n if n % 2 == 1 => Some(numbers[middle]),
        _ => Some(f64::midpoint(numbers[middle - 1], numbers[middle])),
    }
}

/// Versions, the machine and the method.
pub(super) fn header(
    command: &str,
    peers: &[Peer],
    missing: &[(PeerName, String)],
    args: &CompareArgs,
) -> String {
    let mut text = format!("# heap-bench {command}\n\n");
    for line in machine() {
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(text, "- {line}");
    }
    let _ = writeln!(text, "- medians of {} rounds", args.runs);
    if !args.heap_flags.is_empty() {
        let _ = writeln!(text, "- flags of heap: {}", args.heap_flags);
    }
    text.push('\n');
    text.push_str("| peer | version |\n|---|---|\n");
    for peer in peers {
        let _ = writeln!(text, "| {} | {} |", peer::label(peer.name), peer.version);
    }
    for (name, why) in missing {
        let _ = writeln!(text, "| {} | missing: {} |", peer::label(*name), why.replace('|', "/"));
    }
    text.push('\n');
    text
}

/// What is known of the machine, a line each.
fn machine() -> Vec<String> {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let cpu = field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown CPU".into());
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = field(&read("/proc/meminfo"), "MemTotal").unwrap_or_else(|| "unknown".into());
    let kernel = read("/proc/sys/kernel/osrelease");
    let huge = read("/sys/kernel/mm/transparent_hugepage/enabled");
    vec![
        format!("{cpu}, {cpus} processors, {memory} of memory"),
        format!("Linux {}, transparent huge pages: {}", kernel.trim(), huge.trim()),
    ]
}

/// The table of one case. A ratio is the peer's number over this heap's, so
/// above 1 this heap is ahead.
pub(super) fn table(case: &Case, rows: &[Row<'_>]) -> String {
    let metric = case.metric();
    let base = |name| {
        rows.iter().find(|row: &&Row<'_>| row.peer.name == name).and_then(|r| r.median(metric))
    };
    let bases = [("/heap", base(PeerName::Heap)), ("/go", base(PeerName::Go))];
    let columns = ["gcs", "max_pause_us", "rss_peak_mb", "heap_peak_mb"];
    let columns: Vec<&str> = case.details().iter().copied().chain(columns).collect();

    let mut text = format!("## {case}\n\n| peer | {metric} | min–max | runs |");
    for (ratio, _) in bases {
        let _ = write!(text, " {ratio} |");
    }
    for column in &columns {
        let _ = write!(text, " {column} |");
    }
    let width = 4 + bases.len() + columns.len();
    let _ = writeln!(text, "\n|---|{}", "--:|".repeat(width - 1));
    for row in rows {
        let Some(median) = row.median(metric) else {
            let why = row.closed.as_deref().unwrap_or("no result").replace('|', "/");
            let _ = writeln!(text, "| {} | {why} {}", row.label(), "|".repeat(width - 1));
            continue;
        };
        let numbers = row.numbers(metric);
        let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
        let high = numbers.iter().copied().fold(0.0, f64::max);
        let spread = format!("{}–{}", short(Some(low)), short(Some(high)));
        let runs = numbers.len();
        let _ = write!(text, "| {} | {} | {spread} | {runs} |", row.label(), short(Some(median)));
        for (_, base) in bases {
            let ratio = base.filter(|base| *base > 0.0).map(|base| median / base);
            let _ = write!(text, " {} |", ratio.map_or("-".to_owned(), |r| format!("{r:.2}")));
        }
        for column in &columns {
            let _ = write!(text, " {} |", short(row.median(column)));
        }
        text.push('\n');
    }
    text
}

/// A number with three digits that mean something.
pub(super) fn short(number: Option<f64>) -> String {
    match number {
        None => "-".to_owned(),
        Some(n) if n >= 100.0 || n == n.trunc() => format!("{n:.0}"),
        Some(n) if n >= 10.0 => format!("{n:.1}"),
        Some(n) => format!("{n:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::args::WorkloadName;
    use crate::compare::peer::Program;

    fn peer(name: PeerName) -> Peer {
        Peer { name, version: "1".to_owned(), program: Program::Binary(PathBuf::new()) }
    }

    fn row(peer: &Peer, lines: &[&str]) -> Row<'static> {
        let peer = Box::leak(Box::new(Peer {
            name: peer.name,
            version: peer.version.clone(),
            program: Program::Binary(PathBuf::new()),
        }));
        let mut row = Row::new(peer);
        for line in lines {
            row.record(End::Line(Line::parse(line)));
        }
        row
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn a_wrong_sum_is_no_result() {
        let heap = row(&peer(PeerName::Heap), &["wall_ms=2 sum=5", "wall_ms=4 sum=5"]);
        let go = row(&peer(PeerName::Go), &["wall_ms=9 sum=5", "wall_ms=1 sum=6"]);
        let mut rows = [heap, go];
        assert!(!agree_on_sum(&mut rows));
        assert!(rows[0].is_open());
        assert!(!rows[1].is_open());
        assert_eq!(rows[1].median("wall_ms"), None);
    }

    #[test]
    fn tables_have_ratios() {
        let heap = row(&peer(PeerName::Heap), &["wall_ms=2 gcs=1 sum=5"]);
        let go = row(&peer(PeerName::Go), &["wall_ms=9 gcs=3 sum=5"]);
        let mut dumpster = row(&peer(PeerName::Dumpster), &[]);
        dumpster.record(End::TimedOut);
        let mut rows = [heap, go, dumpster];
        assert!(agree_on_sum(&mut rows));
        let case = &Case::at_all(WorkloadName::Trees, 10, &[1])[0];
        let table = table(case, &rows);
        assert!(table.contains("| heap | 2 | 2–2 | 1 | 1.00 | 0.22 | 1 |"), "{table}");
        assert!(table.contains("| go | 9 | 9–9 | 1 | 4.50 | 1.00 | 3 |"), "{table}");
        assert!(table.contains("| dumpster | timed out |"), "{table}");
    }
}
