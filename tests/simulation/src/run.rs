//! [`run`]: a scenario under many schedules; [`Plan`]: what names one of them.

use std::cell::Cell;
use std::fmt;
use std::fs::OpenOptions;
use std::io::Write;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Once;

use shuttle::{Config, FailurePersistence, MaxSteps, Runner};

use crate::random::Random;
use crate::scenarios;
use crate::schedule::{self, Kind, Seeded};

/// A program of a few threads on a heap, and its name.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// As it is called on the command line.
    pub name: &'static str,
    /// What it does. Panics if the heap is not as it should be.
    pub program: fn(&mut Random),
}

/// One schedule. It is written as three words, and read so.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Of what.
    pub scenario: Scenario,
    /// By which scheduler.
    pub kind: Kind,
    /// From where all its choices come, and those of the scenario.
    pub seed: u64,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.scenario.name, self.kind.name(), self.seed)
    }
}

impl FromStr for Plan {
    type Err = String;
    fn from_str(text: &str) -> Result<Plan, String> {
        let words: Vec<_> = text.split_whitespace().collect();
        let [scenario, kind, seed] = words[..] else {
            return Err(format!("`{text}` is not a scenario, a scheduler and a seed"));
        };
        let find = scenarios::ALL.iter().find(|known| known.name == scenario);
        let scenario = *find.ok_or_else(|| format!("no scenario is called {scenario}"))?;
        let find = Kind::ALL.into_iter().find(|known| known.name() == kind);
        let kind = find.ok_or_else(|| format!("no scheduler is called {kind}"))?;
        let seed = seed.parse().map_err(|error| format!("{seed}: {error}"))?;
        Ok(Plan { scenario, kind, seed })
    }
}

thread_local! {
    /// The schedule that runs on this thread, until its failure is told.
    static RUNNING: Cell<Option<Plan>> = const { Cell::new(None) };
}

/// A schedule with more steps than this does not end: a thread waits for what will not come.
const MOST_STEPS: usize = 2_000_000;
/// Of a simulated thread.
const STACK_BYTES: usize = 256 << 10;
/// If it is set, each schedule is announced on standard error before it runs: in case it ends the
/// process without a panic.
pub const ANNOUNCE: &str = "HEAP_SIMULATION_ANNOUNCE";
/// Names a file to which failing schedules are added.
pub const FAILURES: &str = "HEAP_SIMULATION_FAILURES";
/// What comes before an announcement.
pub const ANNOUNCEMENT: &str = "schedule: ";

/// Runs a scenario once for each seed. Returns a digest of all choices that were made.
///
/// # Panics
///
/// If a schedule makes it fail. How to see it again is on standard error.
pub fn run(scenario: Scenario, kind: Kind, seeds: Range<u64>) -> u64 {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            before(panic);
            if let Some(plan) = RUNNING.take() {
                tell(plan);
            }
        }));
    });
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    // A seed says the same in fewer words.
    config.failure_persistence = FailurePersistence::None;
    config.max_steps = MaxSteps::FailAfter(MOST_STEPS);
    config.ungraceful_shutdown_config.immediately_return_on_panic = true;
    let announce = std::env::var_os(ANNOUNCE).is_some();
    let scheduler = Seeded::new(kind, seeds, move |seed| {
        let plan = Plan { scenario, kind, seed };
        if announce {
            eprintln!("{ANNOUNCEMENT}{plan}");
        }
        RUNNING.set(Some(plan));
    });
    Runner::new(scheduler, config).run(move || {
        let seed = RUNNING.get().expect("a schedule has begun").seed;
        (scenario.program)(&mut Random::new(seed));
    });
    RUNNING.set(None);
    schedule::take_digest()
}

/// Says how to see a failure again.
fn tell(plan: Plan) {
    let mutant = std::env::var("HEAP_MUTANT").unwrap_or_default();
    let line = format!("{plan} {mutant}");
    eprintln!("to see this again: scripts/simulate.sh replay {}", line.trim_end());
    if let Some(path) = std::env::var_os(FAILURES) {
        let file = OpenOptions::new().create(true).append(true).open(&path);
        if let Err(error) = file.and_then(|mut file| writeln!(file, "{}", line.trim_end())) {
            eprintln!("{}: {error}", path.display());
        }
    }
}
