//! [`Seeded`]: schedulers of which every schedule is determined by a seed of its own.
//!
//! Those of shuttle would do, but that its PCT scheduler learns from one schedule for the next, so
//! that none can be replayed by itself.

use std::cell::Cell;
use std::ops::Range;

use shuttle::scheduler::{Schedule, Scheduler, Task, TaskId};

use crate::random::Random;

/// How a scheduler chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Now and then any thread; how often, the seed says.
    Random,
    /// The thread with the highest priority: priorities are random, and at a few random moments
    /// that of the running thread becomes the lowest, as that of one that spins does. (Burckhardt et al., "A Randomized Scheduler
    /// with Probabilistic Guarantees of Finding Bugs", 2010.)
    Pct,
}

impl Kind {
    /// Both.
    pub const ALL: [Kind; 2] = [Kind::Random, Kind::Pct];

    /// As it is called on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Random => "random",
            Kind::Pct => "pct",
        }
    }
}

thread_local! {
    /// Of the choices that were made on this thread.
    static DIGEST: Cell<u64> = const { Cell::new(0) };
}

/// A digest of the choices made on this thread since the last call.
pub(crate) fn take_digest() -> u64 {
    DIGEST.take()
}

/// Runs one schedule for each seed.
#[derive(Debug)]
pub(crate) struct Seeded<B> {
    kind: Kind,
    seeds: Range<u64>,
    /// Called before each schedule.
    begin: B,
    random: Random,
    /// Of `Random`: at one point in this many any thread is chosen.
    stickiness: usize,
    /// Of `Pct`, by thread: the highest runs.
    priorities: Vec<u64>,
    /// Of `Pct`: the next priority that is lower than all others.
    lowest: u64,
    /// Of `Pct`: the points at which the running thread is put last, the next one last.
    changes: Vec<u64>,
    /// Points so far at which there was a choice.
    points: u64,
}

/// Where random priorities begin; below are those of threads that were put last.
const PRIORITIES: u64 = 1 << 63;

impl<B: Fn(u64)> Seeded<B> {
    pub(crate) fn new(kind: Kind, seeds: Range<u64>, begin: B) -> Seeded<B> {
        Seeded {
            kind,
            seeds,
            begin,
            random: Random::new(0),
            stickiness: 1,
            priorities: Vec::new(),
            lowest: PRIORITIES,
            changes: Vec::new(),
            points: 0,
        }
    }

    fn choose(&mut self, runnable: &[&Task], current: Option<TaskId>, yields: bool) -> usize {
        let at_current = runnable.iter().position(|task| Some(task.id()) == current);
        let Some(at) = at_current.filter(|_| !yields) else {
            return self.random.below(runnable.len());
        };
        if self.random.one_in(self.stickiness) { self.random.below(runnable.len()) } else { at }
    }

    fn prioritise(&mut self, runnable: &[&Task], current: Option<TaskId>, yields: bool) -> usize {
        let changes = self.changes.pop_if(|at| *at <= self.points).is_some();
        // A thread that spins must let others run in the end, but also fall asleep before them.
        let yields = yields && self.random.one_in(2);
        if let Some(current) = current
            && (changes || yields)
        {
            self.lowest -= 1;
            *self.priority(current) = self.lowest;
        }
        (0..runnable.len()).max_by_key(|at| *self.priority(runnable[*at].id())).unwrap_or(0)
    }

    fn priority(&mut self, task: TaskId) -> &mut u64 {
        let task = usize::from(task);
        while self.priorities.len() <= task {
            self.priorities.push(PRIORITIES | self.random.number());
        }
        &mut self.priorities[task]
    }
}

impl<B: Fn(u64)> Scheduler for Seeded<B> {
    fn new_execution(&mut self) -> Option<Schedule> {
        let seed = self.seeds.next()?;
        (self.begin)(seed);
        self.random = Random::new(seed);
        self.stickiness = 1 << (2 * self.random.below(4));
        self.priorities.clear();
        self.lowest = PRIORITIES;
        // How long a schedule is we do not know: early changes and late ones are as likely.
        let length = 1 << (6 + self.random.below(8));
        self.changes = (0..self.random.below(4)).map(|_| self.random.number() % length).collect();
        self.changes.sort_unstable_by(|a, b| b.cmp(a));
        self.points = 0;
        Some(Schedule::new(seed))
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        yields: bool,
    ) -> Option<TaskId> {
        let at = if let [_] = runnable {
            0
        } else {
            self.points += 1;
            match self.kind {
                Kind::Random => self.choose(runnable, current, yields),
                Kind::Pct => self.prioritise(runnable, current, yields),
            }
        };
        let chosen = runnable[at].id();
        let seen = (runnable.len() as u64) << 32 | usize::from(chosen) as u64;
        DIGEST.set(DIGEST.get().rotate_left(5).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ seen);
        Some(chosen)
    }

    fn next_u64(&mut self) -> u64 {
        self.random.number()
    }
}
