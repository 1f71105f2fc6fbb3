//! Prefetches: memory is asked for before it is used. Any address is allowed.

/// Brings the cache line at `address` into the first-level cache, for a use that
/// comes very soon.
#[inline(always)]
pub fn prefetch(address: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a prefetch never faults and has no effect on memory.
    unsafe {
        core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = address;
}

/// Brings the cache line at `address` into an outer cache, for a use that comes later.
/// Many such requests in a row do not stall the pipeline as those of [`prefetch`] do: the
/// first-level cache can wait for a limited number of lines at once.
#[inline(always)]
pub fn prefetch_later(address: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: as in `prefetch`.
    unsafe {
        core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T1 }>(address.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = address;
}
