//! How far the processors are from each other: the time that a cache line takes from one
//! to the next.
//!
//! On a machine with several level-3 caches, or several sockets, that depends on where the
//! threads happen to run, and in a virtual machine it changes from one second to the
//! next. Whatever threads share costs as much more; so a speed-up says little without it.
//! What is timed are threads of this process: on a machine with more processors than are
//! used they need not be where another process runs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Laps that are timed together.
const LAPS: usize = 200;
/// How often.
const SAMPLES: usize = 25;
/// At most, for the case that somebody else wants the processors.
const PATIENCE: Duration = Duration::from_millis(100);
/// How often to look before somebody else may have the processor.
const SPINS: usize = 10_000;

/// A number that goes round, on lines of its own.
#[repr(align(128))]
struct Number(AtomicUsize);

/// The nanoseconds that a line takes from one of `threads` processors to the next: a
/// number goes round, and everybody waits for their own. The median of some laps. `None`
/// if there are not so many processors, or they are too busy to say.
pub(crate) fn hop_ns(threads: usize) -> Option<f64> {
    let processors = std::thread::available_parallelism().ok()?.get();
    if threads < 2 || threads > processors {
        return None;
    }
    let number = Number(AtomicUsize::new(0));
    let end = Instant::now() + PATIENCE;
    let samples = std::thread::scope(|scope| {
        // Whatever happens, nobody waits for ever.
        let game = Game(&number);
        for thread in 1..threads {
            let number = &number;
            let play = move || {
                while let Some(mine) = wait(number, thread, threads, end) {
                    number.pass(mine);
                }
            };
            std::thread::Builder::new().spawn_scoped(scope, play).ok()?;
        }
        let mut samples = Vec::new();
        'game: for _ in 0..SAMPLES {
            let start = Instant::now();
            for _ in 0..LAPS {
                let Some(mine) = wait(&number, 0, threads, end) else { break 'game };
                number.pass(mine);
            }
            samples.push(start.elapsed().as_secs_f64() * 1e9 / (LAPS * threads) as f64);
        }
        drop(game);
        Some(samples)
    });
    super::report::median(samples?)
}

/// No number: the game is over.
const END: usize = usize::MAX;

impl Number {
    /// Hands the number on, unless the game is over.
    fn pass(&self, mine: usize) {
        let _ = self.0.compare_exchange(mine, mine + 1, Ordering::AcqRel, Ordering::Relaxed);
    }
}

/// Ends the game when it is dropped.
struct Game<'n>(&'n Number);

impl Drop for Game<'_> {
    fn drop(&mut self) {
        self.0.0.store(END, Ordering::Release);
    }
}

/// Waits for a number that is `thread`'s; `None` when the game or the patience is over.
fn wait(number: &Number, thread: usize, threads: usize, end: Instant) -> Option<usize> {
    loop {
        for _ in 0..SPINS {
            match number.0.load(Ordering::Acquire) {
                END => return None,
                mine if mine % threads == thread => return Some(mine),
                _ => std::hint::spin_loop(),
            }
        }
        // Only now: a look at the clock takes as long as the line.
        if Instant::now() > end {
            return None;
        }
        std::thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_takes_some_time() {
        assert_eq!(hop_ns(1), None);
        assert_eq!(hop_ns(usize::MAX), None);
        if let Some(ns) = hop_ns(2) {
            assert!(ns > 1.0 && ns < 1e8, "{ns}");
        }
    }
}
