//! `find_object` for every sort of address.

#![cfg(not(heap_loom))]

mod support;

use heap_core::geometry::{ARENA_MASK, ARENA_SIZE, PAGE_SIZE};
use heap_core::size_class::SizeClass;
use support::{MIN_BYTES, Toy};

#[test]
fn every_byte_of_every_size_class_leads_to_its_slot() {
    let mut toy = Toy::plain();
    for class in SizeClass::all().skip(1) {
        let bytes = class.object_size().max(MIN_BYTES);
        let objects: Vec<usize> =
            (0..3).map(|_| toy.alloc(0, 1, bytes).expect("memory").addr().get()).collect();
        for object in objects {
            (0..bytes).step_by(1 + bytes / 97).for_each(|at| toy.check_find(object + at));
            toy.check_find(object + bytes - 1);
        }
    }
}

#[test]
fn addresses_outside_of_objects_lead_nowhere() {
    let mut toy = Toy::plain();
    assert_eq!(toy.find(0x1234), None, "an empty heap");
    let object = toy.alloc(0, 1, 48).expect("memory").addr().get();
    let head = object & !ARENA_MASK;
    // On 32-bit systems the end of the arena may be that of the address space.
    let (below, end) = (head.wrapping_sub(1), head.wrapping_add(ARENA_SIZE));
    let high = usize::MAX / 2 + 1;
    for address in [0, 1, usize::MAX, isize::MAX as usize, high, high >> 16, below, end] {
        assert_eq!(toy.find(address), None, "{address:#x}");
    }
    for offset in (0..object - head - PAGE_SIZE).step_by(4093) {
        assert_eq!(toy.find(head + offset), None, "the arena's own tables");
    }
    // The rest of the span is free slots, the rest of the arena free pages.
    for address in (object + 48..head + ARENA_SIZE).step_by(4099) {
        assert_eq!(toy.find(address), None, "{address:#x}");
    }
    // Addresses of the stack, of the program, of its ordinary heap.
    let (local, boxed) = (0_u64, Box::new(0_u64));
    for address in [&raw const local as usize, &raw const *boxed as usize, toy_code()] {
        assert_eq!(toy.find(address), None);
    }
}

fn toy_code() -> usize {
    toy_code as fn() -> usize as usize
}

#[test]
fn heaps_do_not_find_each_others_objects() {
    let mut heaps = [Toy::plain(), Toy::plain(), Toy::plain()];
    let sizes = [64, 4000, 100_000, ARENA_SIZE + 1, 2 * ARENA_SIZE];
    let mut known = Vec::new();
    for bytes in sizes {
        for (i, heap) in heaps.iter_mut().enumerate() {
            let object = heap.alloc(0, 1, bytes).expect("memory").addr().get();
            known.push((i, object, bytes));
        }
    }
    for (owner, object, bytes) in known {
        for at in [0, bytes / 3, bytes / 2, bytes - 1] {
            for (i, heap) in heaps.iter_mut().enumerate() {
                let expected = (i == owner).then_some(object);
                assert_eq!(heap.find(object + at), expected, "{bytes} bytes, at {at}");
            }
        }
    }
}

#[test]
fn a_huge_object_is_found_from_its_last_page_until_it_is_swept() {
    let mut toy = Toy::plain();
    let bytes = 3 * ARENA_SIZE + 5 * PAGE_SIZE + 7;
    let object = toy.alloc(0, 1, bytes).expect("memory").addr().get();
    let slot = bytes.next_multiple_of(PAGE_SIZE);
    let found = |toy: &mut Toy| {
        (0..slot).step_by(ARENA_SIZE / 5).all(|at| toy.find(object + at) == Some(object))
    };
    assert!(found(&mut toy) && toy.find(object + slot - 1) == Some(object));
    assert_eq!((toy.find(object - 1), toy.find(object + slot)), (None, None));
    toy.collect_fully();
    assert!(found(&mut toy));
    toy.kill(object);
    toy.collect();
    assert!(found(&mut toy), "dead and not yet swept");
    toy.sweep_all();
    assert_eq!(toy.find(object), None);
    assert_eq!(toy.find(object + slot - 1), None);
}
