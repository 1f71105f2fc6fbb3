//! Orders, and the pool's invariants broken one by one: the verifier names the one
//! that was broken.

use std::mem::forget;
use std::ptr::NonNull;

use heap_sync::atomic::Ordering;

use super::{MHeap, ORDERS, Order, SLAB_PAGES, StackPool};
use crate::arena::Arena;
use crate::geometry::PAGE_SIZE;
use crate::location::Location;
use crate::mheap::{CoreConfig, HugePages};
use crate::os::SystemOs;
use crate::stack::{HeapOwner, StackBlock};
use crate::verify::verify;

#[test]
fn orders_are_the_smallest_that_fit() {
    for bytes in 0..=Order::SMALLEST << (ORDERS - 1) {
        let order = Order::of(bytes).expect("small");
        assert!(order.block_bytes() >= bytes);
        assert!(order.index() == 0 || order.block_bytes() / 2 < bytes);
    }
    assert_eq!(Order::of((Order::SMALLEST << (ORDERS - 1)) + 1), None);
    assert_eq!(Order::of(usize::MAX), None);
    for order in Order::all() {
        let bytes = order.blocks() as usize * order.block_bytes();
        assert_eq!(bytes, SLAB_PAGES * PAGE_SIZE);
    }
}

/// A heap with blocks out: of slabs that are partly free and of one that is not, a
/// large one, and a vacant place in the table.
fn sample() -> (HeapOwner, Vec<StackBlock>) {
    let config = CoreConfig { max_bytes: None, huge_pages: HugePages::Never, poison: false };
    let heap = HeapOwner::new(config, Box::new(SystemOs));
    let large = |bytes| heap.large_stack_block(bytes).expect("memory");
    let gone = large(50_000);
    let mut blocks = vec![large(100_000)];
    for bytes in [1 << 10, 4 << 10, 4 << 10, 4 << 10, 16 << 10] {
        let mut some = Vec::new();
        heap.stack_blocks(Order::of(bytes).expect("small"), &mut some).expect("memory");
        // Of the first and second list of 4 KiB blocks some go back, of the third none.
        if blocks.len() < 15 {
            some.truncate(some.len() / 2 + 1);
        }
        blocks.append(&mut some);
    }
    drop(gone);
    // SAFETY: one thread, no caches.
    unsafe { verify(&heap) }.expect("sound");
    (heap, blocks)
}

/// Does damage to a sample; the verifier must name `id`.
fn broken(id: &str, damage: impl FnOnce(&MHeap, &mut StackPool, NonNull<u8>)) {
    let (heap, blocks) = sample();
    let block = blocks.last().expect("a block").base();
    damage(&heap, &mut heap.stacks.lock(), block);
    // SAFETY: one thread, no caches.
    let error = unsafe { verify(&heap) }.expect_err("the damage is not seen");
    assert_eq!(error.invariant, id, "{error}");
    // Not to be trusted with its own end.
    forget((heap, blocks));
}

/// A slab in use of which some blocks are free.
fn partial(pool: &StackPool) -> (usize, Order) {
    let found = pool.slabs.iter().position(|slab| slab.parts.is_some() && slab.free != 0);
    let index = found.expect("a slab that is partly free");
    (index, pool.slabs[index].order.expect("an order"))
}

#[test]
fn a_manual_span_that_is_not_by_itself_is_seen() {
    // SAFETY: a block's arena is mapped.
    let page = |block| unsafe { Location::of(block) }.page_index();
    // SAFETY: as above.
    let arena = |block| unsafe { Arena::of(block) };
    broken("SK1", |_, _, block| arena(block).retract(page(block), 1));
    broken("SK1", |_, _, block| {
        arena(block).mark_byte(block.addr().get() + 64).mark_black();
    });
    broken("SK1", |_, _, block| {
        let span = arena(block).span(page(block)).expect("a manual span");
        // SAFETY: nobody uses the record, which is the point.
        unsafe { span.as_ref().discard() };
    });
}

#[test]
fn slabs_that_are_cut_wrongly_are_seen() {
    broken("SK2", |_, pool, _| {
        let (index, _) = partial(pool);
        pool.slabs[index].parts.as_mut().expect("in use").blocks[1].bit = 1;
    });
    broken("SK2", |_, pool, _| {
        let (index, _) = partial(pool);
        pool.slabs[index].parts.as_mut().expect("in use").blocks[0].bytes *= 2;
    });
    broken("SK2", |_, pool, _| {
        let large = pool.slabs.iter_mut().find(|slab| slab.order.is_none() && slab.parts.is_some());
        large.expect("a large block").free = 2;
    });
    broken("SK2", |_, pool, _| assert!(pool.vacant.pop().is_some()));
}

#[test]
fn wrong_lists_of_slabs_are_seen() {
    broken("SK3", |_, pool, _| {
        let (index, _) = partial(pool);
        pool.slabs[index].free = 0;
    });
    broken("SK3", |_, pool, _| {
        let (index, _) = partial(pool);
        pool.slabs[index].free = pool.slabs[index].all();
    });
    broken("SK3", |_, pool, _| {
        let (index, order) = partial(pool);
        pool.partial[order.index()].retain(|listed| *listed as usize != index);
    });
    broken("SK3", |_, pool, _| {
        let (index, order) = partial(pool);
        pool.partial[order.index()].push(index as u32);
    });
    broken("SK3", |_, pool, _| {
        let (_, order) = partial(pool);
        let index = pool.vacant[0];
        pool.slabs[index as usize].order = Some(order);
        pool.slabs[index as usize].place = pool.partial[order.index()].len() as u32;
        pool.partial[order.index()].push(index);
    });
}

#[test]
fn wrong_totals_of_stacks_are_seen() {
    broken("SK4", |heap, _, _| {
        heap.stats.stack_bytes.fetch_add(PAGE_SIZE, Ordering::Relaxed);
    });
}
