//! How far the processors are from each other: the time that a cache line takes from one
//! to the next.
//!
//! On a machine with several level-3 caches, or several sockets, that depends on where the
//! threads happen to run, and in a virtual machine it changes from one second to the
//! next. Whatever threads share costs as much more; so a speed-up says little without it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Laps that are timed together.
const LAPS: usize = 200;
/// How often.
const SAMPLES: usize = 25;
/// At most, for the case that somebody else wants the processors.
const PATIENCE: Duration = Duration::from_millis(100);

/// The nanoseconds that a line takes from one of `threads` processors to the next: a
/// number goes round, and everybody waits for their own. The median of some laps. `None`
/// if there are not so many processors.
pub(crate) fn hop_ns(threads: usize) -> Option<f64> {
    let processors = std::thread::available_parallelism().ok()?.get();
    if threads < 2 || threads > processors {
        return None;
    }
    let number = AtomicUsize::new(0);
    let samples = std::thread::scope(|scope| {
        for thread in 1..threads {
            let number = &number;
            scope.spawn(move || {
                while let Some(mine) = wait(number, thread, threads) {
                    number.store(mine + 1, Ordering::Release);
                }
            });
        }
        let begin = Instant::now();
        let mut samples = Vec::new();
        while samples.len() < SAMPLES && (samples.is_empty() || begin.elapsed() < PATIENCE) {
            let start = Instant::now();
            for _ in 0..LAPS {
                let mine = wait(&number, 0, threads).expect("the end comes after this");
                number.store(mine + 1, Ordering::Release);
            }
            samples.push(start.elapsed().as_secs_f64() * 1e9 / (LAPS * threads) as f64);
        }
        // The last lap ends with us: nobody else may write any more.
        let _ = wait(&number, 0, threads);
        number.store(END, Ordering::Release);
        samples
    });
    super::report::median(samples)
}

/// Ends the game.
const END: usize = usize::MAX;

/// Waits for a number that is `thread`'s; `None` at the end.
fn wait(number: &AtomicUsize, thread: usize, threads: usize) -> Option<usize> {
    loop {
        match number.load(Ordering::Acquire) {
            END => return None,
            mine if mine % threads == thread => return Some(mine),
            _ => std::hint::spin_loop(),
        }
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
            assert!(ns > 1.0, "{ns}");
        }
    }
}
