//! Runs schedules by hand: see `scripts/simulate.sh`.
//!
//! `simulate SCENARIO SCHEDULER SEED [COUNT]` runs the schedule of a seed, and those of the seeds
//! that follow.

#[cfg(heap_shuttle)]
fn main() -> Result<(), String> {
    use heap_simulation::{Plan, run};

    let args: Vec<String> = std::env::args().skip(1).collect();
    let (plan, count) = match &args[..] {
        plan @ [_, _, _] => (plan, 1),
        [plan @ .., count] if plan.len() == 3 => {
            (plan, count.parse().map_err(|error| format!("{count}: {error}"))?)
        }
        _ => return Err("usage: simulate SCENARIO SCHEDULER SEED [COUNT]".into()),
    };
    let Plan { scenario, kind, seed } = plan.join(" ").parse()?;
    let digest = run(scenario, kind, seed..seed + count);
    println!("{count} schedules, no failure; digest of their choices {digest:016x}");
    Ok(())
}

#[cfg(not(heap_shuttle))]
fn main() -> Result<(), String> {
    Err("built without `--cfg heap_shuttle`: use scripts/simulate.sh".into())
}
