//! [`Sampler`]: chooses the objects of a mutator that are sampled. (Go: `nextSample` of
//! `mcache.go` and `malloc.go`.)
//!
//! About one byte in `sample_bytes` is a *sample point*, and an object with a sample point in its
//! slot is sampled. The gaps between the points are exponentially distributed, so each byte is as
//! likely as any other to be one, whatever was drawn before it; a slot of `n` bytes is sampled with
//! the probability `1 - exp(-n / sample_bytes)`.
//!
//! Go counts bytes down as objects are allocated. Here a run of free slots is counted when its bump
//! region is opened: the region ends before the first slot that is to be sampled, so the fast path
//! needs no test, and the slow path that it comes to anyway finds the slot. As every byte is counted
//! once, in an order that does not depend on later draws, this is the same distribution.
//!
//! * SD1: what was drawn for bytes that are returned unused says nothing about them: they are drawn
//!   for anew when they are counted again.
//!
//! Owner: one mutator's cache.

use core::num::NonZero;

/// A mutator's generator of sample points.
#[derive(Clone, Debug)]
pub struct Sampler {
    /// The mean gap.
    sample_bytes: NonZero<usize>,
    /// The state of the generator.
    state: u64,
    /// Bytes before the next sample point.
    gap_bytes: usize,
}

impl Sampler {
    /// A sampler whose points are `sample_bytes` apart on average; with 1 every object is sampled.
    /// Samplers with the same seed draw the same points.
    #[must_use]
    pub fn new(sample_bytes: NonZero<usize>, seed: u64) -> Sampler {
        let mut sampler = Sampler { sample_bytes, state: seed, gap_bytes: 0 };
        // Seeds that follow each other shall not give streams that do.
        sampler.state = sampler.next_random();
        sampler.gap_bytes = sampler.draw();
        sampler
    }

    /// Whether the next `bytes` have a sample point. If not, they are counted.
    #[inline(always)]
    pub(crate) fn has_point(&mut self, bytes: usize) -> bool {
        if self.is_sampled(bytes) {
            return true;
        }
        self.gap_bytes -= bytes;
        false
    }

    /// The start of the slot with the next sample point, of slots of `slot_bytes`. Counts them up to
    /// the end of that one.
    pub(crate) fn take_point(&mut self, slot_bytes: usize) -> usize {
        let start = self.gap_bytes / slot_bytes * slot_bytes;
        self.gap_bytes = self.draw();
        start
    }

    /// Whether an object that takes the next `bytes` is to be sampled.
    #[inline(always)]
    pub(crate) fn is_sampled(&self, bytes: usize) -> bool {
        self.gap_bytes < bytes
    }

    /// Counts an object that takes `bytes`.
    pub(crate) fn count_object(&mut self, bytes: usize) {
        if self.has_point(bytes) {
            self.take_point(bytes);
        }
    }

    /// The next gap. (Rounding down is exact: a slot of `n` bytes is sampled if the gap is less than
    /// `n`, and so if what it is rounded to is.)
    fn draw(&mut self) -> usize {
        if self.sample_bytes.get() == 1 {
            return 0;
        }
        // In (0, 1], so that the logarithm is finite.
        let uniform = ((self.next_random() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
        (-uniform.ln() * self.sample_bytes.get() as f64) as usize
    }

    /// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
    fn next_random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler(sample_bytes: usize, seed: u64) -> Sampler {
        Sampler::new(NonZero::new(sample_bytes).expect("not zero"), seed)
    }

    #[test]
    fn a_rate_of_one_samples_every_slot() {
        let mut sampler = sampler(1, 7);
        for _ in 0..100 {
            assert!(sampler.has_point(4096));
            assert_eq!(sampler.take_point(64), 0);
            assert!(sampler.is_sampled(1));
            sampler.count_object(1 << 30);
        }
    }

    #[test]
    fn samplers_repeat_and_seeds_differ() {
        let draws = |seed| {
            let mut sampler = sampler(1000, seed);
            core::array::from_fn::<usize, 32, _>(|_| sampler.draw())
        };
        assert_eq!(draws(3), draws(3));
        assert_ne!(draws(3), draws(4));
        assert_ne!(draws(3)[1..], draws(4)[..31]);
    }

    /// How many of `slots` slots are sampled when they are counted in runs of `run` slots, of which
    /// the last `unused` are returned and counted again.
    fn sampled(sampler: &mut Sampler, slots: usize, slot_bytes: usize, unused: usize) -> usize {
        let (mut sampled, mut done, run) = (0, 0, 64);
        while done < slots {
            // What remains of the run, of which all but `unused` slots are handed out (SD1).
            let mut left = run;
            while left > unused {
                if !sampler.has_point(left * slot_bytes) {
                    break;
                }
                let before = sampler.take_point(slot_bytes) / slot_bytes;
                if left - before <= unused {
                    break;
                }
                sampled += 1;
                left -= before + 1;
            }
            done += run - unused;
        }
        sampled
    }

    #[test]
    fn slots_are_sampled_with_their_probability() {
        // With four standard deviations: one of some ten thousand seeds fails, and the seeds are
        // these.
        for (slot_bytes, unused) in [(16, 0), (16, 30), (512, 0), (512, 63), (8192, 10)] {
            let slots = 200_000;
            let mut sampler = sampler(1000, slot_bytes as u64 + unused as u64);
            let found = sampled(&mut sampler, slots, slot_bytes, unused) as f64;
            let probability = 1.0 - (-(slot_bytes as f64) / 1000.0).exp();
            let slots = (slots as f64 / (64 - unused) as f64).ceil() * (64 - unused) as f64;
            let deviation = (slots * probability * (1.0 - probability)).sqrt();
            let off = (found - slots * probability) / deviation;
            assert!(off.abs() < 4.0, "{slot_bytes} {unused}: off by {off:.1} deviations");
        }
    }
}
