//! The report of `--gc-stats`.

use std::time::Duration;

use heap_api::Stats;

fn millis(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1e3)
}

fn bytes(count: u64) -> String {
    const MIB: f64 = 1_048_576.0;
    format!("{count} ({:.1} MiB)", count as f64 / MIB)
}

/// The most memory that the process has had resident, if the system reports it.
fn peak_resident() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line["VmHWM:".len()..].trim().to_owned())
}

/// Describes what a heap did.
pub(crate) fn report(stats: &Stats) -> String {
    let lines = [
        ("collections", stats.collections.to_string()),
        ("stops for them", stats.steps.to_string()),
        ("objects allocated", stats.allocated_objects.to_string()),
        ("bytes allocated", bytes(stats.allocated_bytes)),
        ("live bytes", bytes(stats.live_bytes)),
        ("heap size", bytes(stats.heap_bytes)),
        ("heap size, most", bytes(stats.heap_bytes_max)),
        ("mark time, total", millis(stats.mark_time)),
        ("mark time, worst", millis(stats.mark_time_max)),
        ("sweep time, total", millis(stats.sweep_time)),
        ("sweep time, worst span", millis(stats.sweep_time_max)),
        ("pause, total", millis(stats.pause_time)),
        ("pause, worst", millis(stats.pause_time_max)),
        ("pages swept by allocation", stats.pages_swept_by_allocation.to_string()),
        ("pages swept by credit", stats.pages_swept_by_credit.to_string()),
        ("pages swept in background", stats.pages_swept_in_background.to_string()),
        ("pages swept by collector", stats.pages_swept_by_collector.to_string()),
        ("peak resident memory", peak_resident().unwrap_or_else(|| "unknown".to_owned())),
    ];
    let mut text = "gc-stats:\n".to_owned();
    for (name, value) in lines {
        text.push_str(&format!("  {name:<26} {value}\n"));
    }
    text
}
