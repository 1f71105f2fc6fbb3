use super::*;
use crate::geometry::ARENA_SIZE;

const MIB: usize = 1 << 20;

fn bytes_of(reservation: &mut Reservation) -> &mut [u8] {
    // SAFETY: the reservation is mapped and the test is its only user.
    unsafe { core::slice::from_raw_parts_mut(reservation.base().as_ptr(), reservation.bytes()) }
}

#[test]
fn a_reservation_is_aligned_zeroed_and_writable_to_its_ends() {
    for bytes in [PAGE_SIZE, 5 * MIB, ARENA_SIZE, ARENA_SIZE + 3 * PAGE_SIZE] {
        for align in [PAGE_SIZE, MIB, ARENA_SIZE] {
            let mut reservation = SystemOs.reserve(bytes, align).expect("address space");
            assert_eq!(reservation.bytes(), bytes);
            assert!(reservation.base().addr().get().is_multiple_of(align));
            let memory = bytes_of(&mut reservation);
            assert_eq!((memory[0], memory[bytes - 1]), (0, 0), "O1");
            (memory[0], memory[bytes - 1]) = (1, 2);
            let base = reservation.base().addr().get();
            assert!(reservation.contains(base) && reservation.contains(base + bytes - 1));
            assert!(!reservation.contains(base - 1) && !reservation.contains(base + bytes));
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn slack_for_alignment_is_rare() {
    // Most of what a 32-bit process has, or a good number.
    let count = if cfg!(target_pointer_width = "32") { 12 } else { 32 };
    let slack_of_all = || {
        let all: Vec<_> = (0..count)
            .map(|_| SystemOs.reserve(ARENA_SIZE, ARENA_SIZE).expect("address space"))
            .collect();
        all.iter().map(|r| r.map.len() - r.bytes()).sum::<usize>()
    };
    // The tests of other threads map, too, and spoil guesses, but not for long.
    let least = (0..20).map(|_| slack_of_all()).find(|slack| *slack < 8 * ARENA_SIZE);
    assert!(least.is_some(), "a quarter of all guesses were wrong, twenty times");
}

#[test]
fn absurd_sizes_are_refused() {
    let most = isize::MAX as usize;
    // Two gigabytes are not absurd.
    let by_the_system = if cfg!(target_pointer_width = "32") { &[] } else { &[most, most / 8][..] };
    for &bytes in [usize::MAX, usize::MAX - ARENA_SIZE, most + 1].iter().chain(by_the_system) {
        assert!(SystemOs.reserve(bytes, ARENA_SIZE).is_none(), "{bytes:#x}");
    }
}

#[test]
fn a_range_given_back_reads_as_zero_and_its_neighbours_stay() {
    let mut reservation = SystemOs.reserve(64 * PAGE_SIZE, ARENA_SIZE).expect("address space");
    bytes_of(&mut reservation).fill(7);
    let pages = SystemOs.decommit_pages();
    let (from, length) = (pages * PAGE_SIZE, pages * PAGE_SIZE);
    // SAFETY: within the reservation, and the test is its only user.
    let first = unsafe { reservation.base().add(from) };
    // SAFETY: as above.
    let done = unsafe { SystemOs.decommit(&reservation, first, length) };
    if done == Decommit::Zeroed {
        let memory = bytes_of(&mut reservation);
        assert!(memory[from..from + length].iter().all(|&byte| byte == 0), "O2");
        assert!(memory[..from].iter().chain(&memory[from + length..]).all(|&byte| byte == 7));
    }
}

#[test]
fn a_simulated_system_fails_the_calls_it_was_told_to() {
    let os = SimOs::new();
    let reserve = || os.reserve(PAGE_SIZE, PAGE_SIZE).is_some();
    os.set_failure(Failure::Nth(2));
    assert_eq!([reserve(), reserve(), reserve(), reserve()], [true, true, false, true]);
    os.set_failure(Failure::Always);
    assert!(!reserve() && !reserve());
    let share = |seed| {
        os.set_failure(Failure::Random { seed, per_mille: 300 });
        (0..200).map(|_| reserve()).collect::<Vec<_>>()
    };
    let outcomes = share(1);
    assert_eq!(outcomes, share(1), "the same seed fails the same calls");
    assert_ne!(outcomes, share(2));
    let failed = outcomes.iter().filter(|&&ok| !ok).count();
    assert!((30..90).contains(&failed), "{failed} of 200");
    assert_eq!((os.calls(), os.reserved()), (6 + 600, 0));
}

#[test]
fn a_cap_counts_what_is_reserved_at_a_time() {
    let os = SimOs::new();
    os.set_cap(Some(3 * PAGE_SIZE));
    let two = os.reserve(2 * PAGE_SIZE, PAGE_SIZE).expect("below the cap");
    assert!(os.reserve(2 * PAGE_SIZE, PAGE_SIZE).is_none(), "O3");
    assert_eq!(os.reserved(), 2 * PAGE_SIZE);
    drop(two);
    assert!(os.reserve(3 * PAGE_SIZE, PAGE_SIZE).is_some());
    assert_eq!(os.reserved(), 0);
}
