//! Kernels over mark bytes: 64 mark bytes to a 64-bit mask, and masks of
//! granules to bitmaps of slots.
//!
//! While marking runs, other workers store to the same [mark bytes](crate::mark_byte). The vector
//! kernels therefore load through inline assembly: to the language such a block
//! is 64 relaxed byte loads (which is what [`Isa::Portable`] does), and x86
//! loads are atomic per byte. Every kernel is tested against the portable one.

use crate::geometry::{GRANULE, PAGE_GRANULES};
use crate::mark_byte::{Color, PageMarks};
#[cfg(all(target_arch = "x86_64", not(miri)))]
use crate::size_class::{NUM_SIZE_CLASSES, OFF_GRANULE_SLOT};
use crate::size_class::{SizeClass, object_offset};

/// Masks of a page: bit `g % 64` of word `g / 64` stands for granule `g`.
pub type PageMasks = [u64; PAGE_GRANULES / 64];

/// Which vector instructions to use, determined once per heap.
///
/// A value is proof that the processor has these instructions: all but
/// [`Isa::Portable`] come from [`Isa::detect`] only (`non_exhaustive`: no other crate can
/// name one as a value).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// Byte by byte; any processor, and Miri.
    Portable,
    /// x86-64 with SSE2 only.
    #[non_exhaustive]
    Sse2,
    /// x86-64 with AVX2 and BMI2.
    #[non_exhaustive]
    Avx2,
    /// x86-64 with AVX-512 (F, BW) and BMI2.
    #[non_exhaustive]
    Avx512,
}

impl Isa {
    /// The best that this processor has.
    #[must_use]
    pub(crate) fn detect() -> Isa {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        {
            let bmi2 = std::arch::is_x86_feature_detected!("bmi2");
            if bmi2
                && std::arch::is_x86_feature_detected!("avx512f")
                && std::arch::is_x86_feature_detected!("avx512bw")
            {
                return Isa::Avx512;
            }
            if bmi2 && std::arch::is_x86_feature_detected!("avx2") {
                return Isa::Avx2;
            }
            Isa::Sse2
        }
        #[cfg(not(all(target_arch = "x86_64", not(miri))))]
        Isa::Portable
    }

    /// Every instruction set that this processor has.
    #[cfg(test)]
    fn available() -> Vec<Isa> {
        match Isa::detect() {
            Isa::Portable => vec![Isa::Portable],
            Isa::Sse2 => vec![Isa::Portable, Isa::Sse2],
            Isa::Avx2 => vec![Isa::Portable, Isa::Sse2, Isa::Avx2],
            Isa::Avx512 => vec![Isa::Portable, Isa::Sse2, Isa::Avx2, Isa::Avx512],
        }
    }

    #[cfg(all(target_arch = "x86_64", not(miri)))]
    fn has_bmi2(self) -> bool {
        matches!(self, Isa::Avx2 | Isa::Avx512)
    }
}

/// Which mark bytes of the page are grey.
#[inline]
#[must_use]
pub fn grey_masks(isa: Isa, marks: &PageMarks) -> PageMasks {
    compare(isa, marks, Color::Grey, 0)
}

/// Which mark bytes of the page are not white, awaited ones included.
#[inline]
#[must_use]
pub fn marked_masks(isa: Isa, marks: &PageMarks) -> PageMasks {
    compare(isa, marks, Color::White, !0)
}

/// Which mark bytes of the page have the colour, or do not have it if `flip` is all ones.
#[inline]
fn compare(isa: Isa, marks: &PageMarks, color: Color, flip: u64) -> PageMasks {
    let byte = color as u8;
    match isa {
        Isa::Portable => portable(marks, byte, flip),
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        // SAFETY: an `Isa` other than `Portable` comes from `detect`, so the
        // processor has the instructions.
        Isa::Avx512 => unsafe { x86::compare_avx512(marks, byte, flip) },
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        // SAFETY: as above.
        Isa::Avx2 => unsafe { x86::compare_avx2(marks, byte, flip) },
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        // SAFETY: SSE2 is part of every x86-64.
        Isa::Sse2 => unsafe { x86::compare_sse2(marks, byte, flip) },
        #[cfg(not(all(target_arch = "x86_64", not(miri))))]
        _ => portable(marks, byte, flip),
    }
}

fn portable(marks: &PageMarks, wanted: u8, flip: u64) -> PageMasks {
    let mut masks = [flip; PAGE_GRANULES / 64];
    for (mask, bytes) in masks.iter_mut().zip(marks.chunks_exact(64)) {
        for (bit, byte) in bytes.iter().enumerate() {
            // ORDERING: Relaxed: a missed fresh mark is found by the next visit
            // (PF1: the marker queues the page after its fence).
            *mask ^= u64::from(byte.byte() == wanted) << bit;
        }
    }
    masks
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
mod x86 {
    use core::arch::asm;
    use core::arch::x86_64::{
        __m128i, __m256i, __m512i, _mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set1_epi8,
        _mm256_cmpeq_epi8, _mm256_movemask_epi8, _mm256_set1_epi8, _mm512_cmpeq_epi8_mask,
        _mm512_set1_epi8,
    };

    use super::{PAGE_GRANULES, PageMarks, PageMasks};

    /// # Safety
    ///
    /// The processor has SSE2.
    #[target_feature(enable = "sse2")]
    pub(super) fn compare_sse2(marks: &PageMarks, wanted: u8, flip: u64) -> PageMasks {
        let wanted = _mm_set1_epi8(wanted as i8);
        let mut masks = [flip; PAGE_GRANULES / 64];
        let first = marks.as_ptr().cast::<u8>();
        for (block, mask) in masks.iter_mut().enumerate() {
            for quarter in 0..4 {
                let bytes: __m128i;
                // SAFETY: 16 readable bytes within the page's marks; stands for
                // relaxed loads of each of them (module header).
                unsafe {
                    asm!("movdqu {out}, [{at}]", out = out(xmm_reg) bytes,
                        at = in(reg) first.wrapping_add(block * 64 + quarter * 16),
                        options(nostack, preserves_flags, readonly));
                }
                let equal = _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, wanted));
                *mask ^= u64::from(equal as u16) << (quarter * 16);
            }
        }
        masks
    }

    /// # Safety
    ///
    /// The processor has AVX2.
    #[target_feature(enable = "avx2")]
    pub(super) fn compare_avx2(marks: &PageMarks, wanted: u8, flip: u64) -> PageMasks {
        let wanted = _mm256_set1_epi8(wanted as i8);
        let mut masks = [flip; PAGE_GRANULES / 64];
        let first = marks.as_ptr().cast::<u8>();
        for (block, mask) in masks.iter_mut().enumerate() {
            for half in 0..2 {
                let bytes: __m256i;
                // SAFETY: 32 readable bytes within the page's marks; relaxed
                // loads of each (module header).
                unsafe {
                    asm!("vmovdqu {out}, [{at}]", out = out(ymm_reg) bytes,
                        at = in(reg) first.wrapping_add(block * 64 + half * 32),
                        options(nostack, preserves_flags, readonly));
                }
                let equal = _mm256_movemask_epi8(_mm256_cmpeq_epi8(bytes, wanted));
                *mask ^= u64::from(equal as u32) << (half * 32);
            }
        }
        masks
    }

    /// # Safety
    ///
    /// The processor has AVX-512.
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn compare_avx512(marks: &PageMarks, wanted: u8, flip: u64) -> PageMasks {
        let wanted = _mm512_set1_epi8(wanted as i8);
        let mut masks = [flip; PAGE_GRANULES / 64];
        let first = marks.as_ptr().cast::<u8>();
        for (block, mask) in masks.iter_mut().enumerate() {
            let bytes: __m512i;
            // SAFETY: 64 readable bytes within the page's marks; relaxed loads
            // of each (module header).
            unsafe {
                asm!("vmovdqu64 {out}, [{at}]", out = out(zmm_reg) bytes,
                    at = in(reg) first.wrapping_add(block * 64),
                    options(nostack, preserves_flags, readonly));
            }
            *mask ^= _mm512_cmpeq_epi8_mask(bytes, wanted);
        }
        masks
    }
}

/// Turns the granule masks of a one-page span into slot bits, 64 per word,
/// handed to `emit` in order; the last word may be short.
///
/// `masks` has bits only where objects start (A2).
pub(crate) fn granules_to_slots(
    isa: Isa,
    masks: &PageMasks,
    class: SizeClass,
    mut emit: impl FnMut(u64),
) {
    let slots = class.objects_per_span();
    if class.object_size() == GRANULE {
        masks.iter().for_each(|mask| emit(*mask));
        return;
    }
    let mut words = PageMasks::default();
    if !gather_with_pext(isa, masks, class, &mut words) {
        for (index, mask) in masks.iter().enumerate() {
            let mut mask = *mask;
            while mask != 0 {
                let granule = index * 64 + mask.trailing_zeros() as usize;
                mask &= mask - 1;
                let slot = class.slot_of(object_offset(granule, class.object_size()));
                words[slot / 64] |= 1 << (slot % 64);
            }
        }
    }
    words[..slots.div_ceil(64)].iter().for_each(|word| emit(*word));
}

/// Extracts the bits of slot starts from each mask with BMI2. `false` when the processor
/// does not have it.
fn gather_with_pext(isa: Isa, masks: &PageMasks, class: SizeClass, words: &mut PageMasks) -> bool {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if isa.has_bmi2() {
        let starts = &STARTS[class.index()];
        let mut slot = 0;
        for (mask, starts) in masks.iter().zip(starts) {
            // SAFETY: `has_bmi2` says that `detect` found BMI2.
            let bits = unsafe { core::arch::x86_64::_pext_u64(*mask, *starts) };
            words[slot / 64] |= bits << (slot % 64);
            let next = slot + starts.count_ones() as usize;
            if next / 64 > slot / 64 && slot % 64 != 0 && next / 64 < words.len() {
                words[next / 64] |= bits >> (64 - slot % 64);
            }
            slot = next;
        }
        return true;
    }
    let _ = (isa, masks, class, words);
    false
}

/// The start masks of every class: computing one takes longer than the rest of
/// sweeping a span.
#[cfg(all(target_arch = "x86_64", not(miri)))]
static STARTS: [PageMasks; NUM_SIZE_CLASSES] = {
    let mut table = [[0; PAGE_GRANULES / 64]; NUM_SIZE_CLASSES];
    let mut row = 0;
    while row < NUM_SIZE_CLASSES {
        let size = match SizeClass::from_index(row) {
            Some(class) => class.object_size(),
            None => 0,
        };
        let mut index = 0;
        while size >= GRANULE && index < PAGE_GRANULES / 64 {
            table[row][index] = start_mask(size, index);
            index += 1;
        }
        row += 1;
    }
    table
};

/// The granules of word `index` in which slots of `size` bytes start.
#[cfg(all(target_arch = "x86_64", not(miri)))]
const fn start_mask(size: usize, index: usize) -> u64 {
    if size == OFF_GRANULE_SLOT {
        // Granules 0 and 1 of every three; 64 = 1 (mod 3) shifts the pattern.
        return [0xB6DB_6DB6_DB6D_B6DB, 0xDB6D_B6DB_6DB6_DB6D, 0x6DB6_DB6D_B6DB_6DB6][index % 3];
    }
    let stride = size / GRANULE;
    let mut mask = 0;
    let mut bit = (stride - index * 64 % stride) % stride;
    while bit < 64 {
        mask |= 1 << bit;
        bit += stride;
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mark_byte::MarkByte;

    fn page(colors: impl Fn(usize) -> Color) -> PageMarks {
        core::array::from_fn(|i| MarkByte::new(colors(i)))
    }

    #[test]
    fn every_kernel_agrees_with_the_portable_one() {
        for seed in 0..200usize {
            let marks =
                page(|i| match ((i.wrapping_mul(2_654_435_761) ^ (seed * 40_503)) >> 7) & 7 {
                    0 | 1 => Color::Grey,
                    2 | 3 => Color::Black,
                    _ => Color::White,
                });
            for isa in Isa::available() {
                assert_eq!(grey_masks(isa, &marks), grey_masks(Isa::Portable, &marks), "{isa:?}");
                assert_eq!(
                    marked_masks(isa, &marks),
                    marked_masks(Isa::Portable, &marks),
                    "{isa:?}"
                );
            }
        }
    }

    #[test]
    fn slot_bits_are_the_marks_of_the_slots() {
        let one_page =
            SizeClass::all().filter(|c| c.object_size() >= GRANULE && c.object_size() <= 128);
        for class in one_page.filter(|c| c.span_pages() == 1) {
            let size = class.object_size();
            for seed in 0..50usize {
                let live =
                    |slot: usize| ((slot.wrapping_mul(2_654_435_761) ^ (seed * 97)) >> 5) & 3 == 0;
                let mut masks = PageMasks::default();
                for slot in (0..class.objects_per_span()).filter(|s| live(*s)) {
                    let granule = slot * size / GRANULE;
                    masks[granule / 64] |= 1 << (granule % 64);
                }
                for isa in Isa::available() {
                    let mut words = Vec::new();
                    granules_to_slots(isa, &masks, class, |word| words.push(word));
                    assert_eq!(
                        words.len(),
                        class.objects_per_span().div_ceil(64),
                        "{size} {isa:?}"
                    );
                    for slot in 0..class.objects_per_span() {
                        let bit = words[slot / 64] >> (slot % 64) & 1 == 1;
                        assert_eq!(bit, live(slot), "class {size}, slot {slot}, {isa:?}");
                    }
                }
            }
        }
    }
}
