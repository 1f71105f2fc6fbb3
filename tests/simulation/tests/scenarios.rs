//! Every scenario under every scheduler, and that a schedule is the same when it is run again.
#![cfg(heap_shuttle)]

use heap_simulation::{Kind, run, scenarios};

/// Schedules in all, if `HEAP_SIMULATION_SCHEDULES` says nothing else.
const SCHEDULES: u64 = 3000;

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().expect("a number"))
}

fn simulate(name: &str) {
    let schedules = number("HEAP_SIMULATION_SCHEDULES", SCHEDULES);
    let first = number("HEAP_SIMULATION_SEED", 0);
    let each = schedules.div_ceil((scenarios::ALL.len() * Kind::ALL.len()) as u64);
    let scenario = *scenarios::ALL.iter().find(|known| known.name == name).expect("a scenario");
    for kind in Kind::ALL {
        run(scenario, kind, first..first + each);
    }
}

macro_rules! scenarios {
    ($($name:ident)+) => {
        $(#[test]
        fn $name() {
            simulate(stringify!($name));
        })+

        #[test]
        fn all_are_here() {
            let all = scenarios::ALL.iter().map(|scenario| scenario.name);
            assert_eq!(all.collect::<Vec<_>>(), [$(stringify!($name)),+]);
        }
    };
}

scenarios! { attach handles leaked limit marking moves park requests roots stops sweeper weak }

#[test]
fn a_seed_determines_its_schedule() {
    for scenario in scenarios::ALL {
        for kind in Kind::ALL {
            let [first, again, others] =
                [0..4, 0..4, 4..8].map(|seeds| run(*scenario, kind, seeds));
            assert_eq!(first, again, "{} {kind:?}", scenario.name);
            assert_ne!(first, others, "{} {kind:?}: the seed matters", scenario.name);
        }
    }
}
