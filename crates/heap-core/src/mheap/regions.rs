//! [`Regions`]: the heap's reservations by address.
//!
//! A region is an arena, or one huge object with the arena head before it. Both
//! begin at a multiple of the arena size, so that one sorted array finds the region of
//! an address, however far the address is from the head.
//!
//! Owner: `Pages`, behind the page lock.
//!
//! * RG1: regions are sorted by base and do not overlap.
//! * RG2: every region begins with an arena head.

use heap_sync::lock::Arc;

use crate::os::Reservation;

/// The reservations of a heap. A reservation is shared with a scavenger that is
/// giving part of it back, so that it is not unmapped while that happens.
#[derive(Debug, Default)]
pub(super) struct Regions {
    by_base: Vec<Arc<Reservation>>,
    bytes: usize,
}

impl Regions {
    /// The region that an address lies in.
    pub(super) fn find(&self, address: usize) -> Option<&Arc<Reservation>> {
        let after = self.position_after(address);
        self.by_base[..after].last().filter(|region| region.contains(address))
    }

    /// The region that an address lies in, or the next one.
    pub(super) fn at_or_after(&self, address: usize) -> Option<&Arc<Reservation>> {
        self.find(address).or_else(|| self.by_base.get(self.position_after(address)))
    }

    /// Adds a region. Gives it back if there is no memory for the index.
    pub(super) fn insert(&mut self, region: Reservation) -> Result<(), Reservation> {
        if self.by_base.try_reserve(1).is_err() {
            return Err(region);
        }
        let at = self.position_after(region.base().addr().get());
        self.bytes += region.bytes();
        self.by_base.insert(at, Arc::new(region));
        Ok(())
    }

    /// Removes the region that begins at `base`. It is unmapped when the last
    /// reference is dropped, which should not happen under the page lock.
    pub(super) fn remove(&mut self, base: usize) -> Option<Arc<Reservation>> {
        let at = self.position_after(base).checked_sub(1)?;
        if self.by_base[at].base().addr().get() != base {
            return None;
        }
        let region = self.by_base.remove(at);
        self.bytes -= region.bytes();
        Some(region)
    }

    /// Bytes of all regions.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number of regions.
    pub(super) fn len(&self) -> usize {
        self.by_base.len()
    }

    /// All regions, by address.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Reservation>> {
        self.by_base.iter()
    }

    /// Breaks RG1, for tests of the verifier.
    #[cfg(all(test, not(heap_loom)))]
    pub(super) fn reverse(&mut self) {
        self.by_base.reverse();
    }

    fn position_after(&self, address: usize) -> usize {
        self.by_base.partition_point(|region| region.base().addr().get() <= address)
    }
}
