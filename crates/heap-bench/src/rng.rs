//! xorshift64, the generator of every workload that needs random numbers: the
//! peers have the same, so that all do the same work.

/// The first state.
pub(crate) const SEED: u64 = 88_172_645_463_325_252;

/// Marsaglia's generator with shifts 13, 7 and 17.
#[derive(Clone, Debug)]
pub(crate) struct Xorshift64(pub(crate) u64);

impl Xorshift64 {
    /// The next number.
    #[inline]
    pub(crate) fn draw(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// The next number modulo `n`.
    #[inline]
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.draw() % n as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_the_agreed_numbers() {
        let mut rng = Xorshift64(SEED);
        assert_eq!(rng.draw(), 8_748_534_153_485_358_512);
        assert_eq!(rng.draw(), 3_040_900_993_826_735_515);
    }
}
