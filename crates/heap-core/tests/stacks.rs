//! Stack blocks against a model: several mutators with caches, blocks dropped past
//! the caches, objects beside them, limits, refusals; every invariant is checked
//! after every step.

#![cfg(not(heap_loom))]

mod support;

use heap_core::error::OutOfMemory;
use heap_core::geometry::{ARENA_SIZE, PAGE_SIZE};
use heap_core::mheap::{CoreConfig, HugePages, ORDERS, Order};
use heap_core::os::{Failure, SimOs, SystemOs};
use heap_core::stack::{CACHE_BYTES, HeapOwner, StackBlock, StackCache};
use proptest::prelude::*;
use support::{Toy, config};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const MUTATORS: usize = 3;

/// A heap with stack blocks out.
struct Stacks {
    toy: Toy,
    caches: Vec<StackCache>,
    /// With the byte that fills them.
    out: Vec<(StackBlock, u8)>,
    next: u8,
}

/// Indices of the first and the last bytes of a block.
fn ends(len: usize) -> impl Iterator<Item = usize> {
    (0..len.min(2048)).chain(len.saturating_sub(2048)..len)
}

fn check(block: &StackBlock, fill: u8) {
    // SAFETY: filled by `alloc`.
    #[allow(unsafe_code, reason = "reads what it has written")]
    let holds = ends(block.len()).all(|at| unsafe { block[at].assume_init() } == fill);
    assert!(holds, "SK2: somebody has written to a block that is out");
}

impl Stacks {
    fn new(config: CoreConfig, os: &SimOs) -> Stacks {
        Stacks {
            toy: Toy::new(config, Box::new(os.clone()), MUTATORS),
            caches: (0..MUTATORS).map(|_| StackCache::default()).collect(),
            out: Vec::new(),
            next: 0,
        }
    }

    /// What a mutator does for a block.
    fn get(&mut self, mutator: usize, bytes: usize) -> Result<StackBlock, OutOfMemory> {
        let heap = &self.toy.heap;
        let Some(order) = Order::of(bytes) else { return heap.large_stack_block(bytes) };
        let cache = &mut self.caches[mutator];
        if let Some(block) = cache.take(order) {
            return Ok(block);
        }
        let mut blocks = cache.take_all(order);
        let taken = heap.stack_blocks(order, &mut blocks);
        assert!(blocks.len() * order.block_bytes() <= CACHE_BYTES / 2, "SK6");
        let block = blocks.pop();
        cache.put_all(order, blocks);
        taken.map(|()| block.expect("at least one block"))
    }

    fn alloc(&mut self, mutator: usize, bytes: usize) -> Result<(), OutOfMemory> {
        let mut block = self.get(mutator, bytes)?;
        let size = block.bytes();
        assert!(size >= bytes);
        match Order::of(bytes) {
            Some(order) => assert_eq!(size, order.block_bytes()),
            None => assert_eq!(size, bytes.next_multiple_of(PAGE_SIZE)),
        }
        let align = PAGE_SIZE.min(1 << size.trailing_zeros());
        assert!(block.base().addr().get().is_multiple_of(align));
        assert!(block.is_of(&self.toy.heap));
        self.next = self.next.wrapping_add(1);
        for at in ends(size) {
            block[at].write(self.next);
        }
        self.out.push((block, self.next));
        Ok(())
    }

    fn pick(&mut self, which: usize) -> Option<StackBlock> {
        let which = which.checked_rem(self.out.len())?;
        let (block, fill) = self.out.swap_remove(which);
        check(&block, fill);
        Some(block)
    }

    fn put(&mut self, mutator: usize, which: usize) {
        if let Some(block) = self.pick(which) {
            self.caches[mutator].put(&self.toy.heap, block);
        }
    }

    fn flush(&mut self) {
        self.caches.iter_mut().for_each(|cache| cache.flush(&self.toy.heap));
    }

    /// Every invariant, and what the model says of the bytes.
    fn verify(&mut self) {
        self.toy.verify();
        let memory = self.toy.heap.memory();
        assert!(memory.adds_up() && memory.stacks <= memory.in_use, "{memory:?}");
        let out: usize = self.out.iter().map(|(block, _)| block.bytes()).sum();
        assert!(memory.stacks >= out);
        if let Some(limit) = self.toy.heap.max_bytes() {
            assert!(memory.in_use <= limit);
        }
    }

    /// A look-up in a block finds nothing.
    fn check_find(&mut self) {
        for (block, _) in &self.out {
            for at in [0, block.bytes() / 2, block.bytes() - 1] {
                // SAFETY: one thread.
                #[allow(unsafe_code, reason = "plays the part of the collector")]
                let found = unsafe { self.toy.heap.find_object(block.base().addr().get() + at) };
                assert!(found.is_none(), "an object in a stack");
            }
        }
    }

    /// Returns everything; the heap then has no stacks at all.
    fn finish(mut self) {
        self.out.iter().for_each(|(block, fill)| check(block, *fill));
        self.out.clear();
        self.verify();
        self.flush();
        self.verify();
        assert_eq!(self.toy.heap.memory().stacks, 0, "SK3: some spans are kept");
        self.toy.collect_fully();
        self.toy.verify_flushed();
        self.toy.finish();
    }
}

#[derive(Clone, Debug)]
enum Op {
    Alloc { mutator: usize, bytes: usize, count: usize },
    Put { mutator: usize, which: usize, count: usize },
    Drop { which: usize, count: usize },
    Flush(usize),
    Objects { mutator: usize, kind: usize, bytes: usize, count: usize },
    Kill(usize),
    Collect,
    Sweep(usize),
    Scavenge(usize),
    Release,
    Find,
    Fail(u32),
}

fn op() -> impl Strategy<Value = Op> {
    let bytes = prop_oneof![
        12 => 0..=33 * KIB,
        2 => 33 * KIB..MIB,
        1 => MIB..70 * MIB,
    ];
    let which = 0..usize::MAX;
    prop_oneof![
        10 => (0..MUTATORS, bytes, 1..40_usize).prop_map(|(mutator, bytes, count)| {
            Op::Alloc { mutator, bytes, count: if bytes > MIB { 1 } else { count } }
        }),
        5 => (0..MUTATORS, which.clone(), 1..60_usize)
            .prop_map(|(mutator, which, count)| Op::Put { mutator, which, count }),
        4 => (which, 1..60_usize).prop_map(|(which, count)| Op::Drop { which, count }),
        2 => (0..MUTATORS).prop_map(Op::Flush),
        4 => (0..MUTATORS, 0..4_usize, 16..40 * KIB, 1..60_usize).prop_map(
            |(mutator, kind, bytes, count)| Op::Objects { mutator, kind, bytes, count }
        ),
        2 => (1..4_usize).prop_map(Op::Kill),
        2 => Just(Op::Collect),
        1 => (0..50_usize).prop_map(Op::Sweep),
        1 => (0..20 * MIB).prop_map(Op::Scavenge),
        1 => Just(Op::Release),
        1 => Just(Op::Find),
        1 => (0..1000_u32).prop_map(Op::Fail),
    ]
}

fn run(limit: Option<usize>, poison: bool, ops: &[Op]) -> Result<(), TestCaseError> {
    let os = SimOs::new();
    let config = CoreConfig { max_bytes: limit, poison, ..config() };
    let mut stacks = Stacks::new(config, &os);
    let mut faults = false;
    for op in ops {
        let allowed = |reason| match reason {
            OutOfMemory::Limit => limit.is_some(),
            OutOfMemory::System => faults,
            OutOfMemory::TooLarge | OutOfMemory::Thrashing => false,
        };
        match *op {
            Op::Alloc { mutator, bytes, count } => {
                for _ in 0..count {
                    if let Err(reason) = stacks.alloc(mutator, bytes) {
                        prop_assert!(allowed(reason), "{reason}");
                    }
                }
            }
            Op::Put { mutator, which, count } => {
                (0..count).for_each(|_| stacks.put(mutator, which));
            }
            Op::Drop { which, count } => (0..count).for_each(|_| drop(stacks.pick(which))),
            Op::Flush(mutator) => {
                let heap = &stacks.toy.heap;
                stacks.caches[mutator].flush(heap);
            }
            Op::Objects { mutator, kind, bytes, count } => {
                for _ in 0..count {
                    if let Err(reason) = stacks.toy.alloc(mutator, kind, bytes) {
                        prop_assert!(allowed(reason), "{reason}");
                    }
                }
            }
            Op::Kill(n) => stacks.toy.kill_every(n),
            Op::Collect => {
                stacks.flush();
                stacks.toy.collect();
            }
            Op::Sweep(spans) => stacks.toy.sweep(spans),
            Op::Scavenge(retain) => drop(stacks.toy.heap.scavenge(retain)),
            Op::Release => drop(stacks.toy.heap.release_idle()),
            Op::Find => stacks.check_find(),
            Op::Fail(per_mille) => {
                faults = true;
                let seed = u64::from(per_mille);
                os.set_failure(Failure::Random { seed, per_mille });
            }
        }
        stacks.verify();
    }
    stacks.finish();
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn blocks_do_as_the_model_says(
        limit in proptest::option::of(0..30 * MIB),
        poison in any::<bool>(),
        ops in proptest::collection::vec(op(), 1..60),
    ) {
        run(limit, poison, &ops)?;
    }
}

/// A workload that calls for everything. Returns the number of refusals.
fn workload(stacks: &mut Stacks) -> usize {
    let mut refused = 0;
    for round in 0..3 {
        for i in 0..300 {
            refused += usize::from(stacks.alloc(i % MUTATORS, i * 331 % (40 * KIB)).is_err());
        }
        for bytes in [MIB, 25 * MIB, 30 * MIB, ARENA_SIZE + round * MIB] {
            refused += usize::from(stacks.alloc(0, bytes).is_err());
            stacks.verify();
        }
        (0..200).for_each(|i| stacks.put(i % MUTATORS, i * 7));
        stacks.toy.heap.scavenge(10 * MIB);
        stacks.verify();
        (0..150).for_each(|i| drop(stacks.pick(i * 3)));
        stacks.flush();
        stacks.toy.heap.release_idle();
        stacks.verify();
    }
    refused
}

#[test]
fn any_one_call_to_the_system_may_fail() {
    let run = |failure| {
        let os = SimOs::new();
        os.set_failure(failure);
        let mut stacks =
            Stacks::new(CoreConfig { huge_pages: HugePages::ObjectsAndMarks, ..config() }, &os);
        let refused = workload(&mut stacks);
        let calls = os.calls();
        for bytes in [0, KIB, 20 * KIB, 100 * KIB, ARENA_SIZE] {
            stacks.alloc(1, bytes).expect("memory has returned");
        }
        stacks.finish();
        (calls, os.failed(), refused)
    };
    let (calls, _, refused) = run(Failure::Never);
    assert!(calls > 20 && refused == 0, "{calls} calls, {refused} refused");
    let mut refusals = 0;
    for n in 0..calls {
        let (_, failed, refused) = run(Failure::Nth(n));
        assert_eq!(failed, 1, "call {n}");
        refusals += refused;
    }
    // A refused arena is made up for by a smaller one, a huge block cannot be.
    assert!(refusals >= 3, "{refusals}");
}

#[test]
fn stacks_count_against_the_limit_and_dead_objects_make_room() {
    let limit = Some(MIB);
    let mut stacks = Stacks::new(CoreConfig { max_bytes: limit, ..config() }, &SimOs::new());
    while stacks.toy.alloc(0, 0, 4 * KIB).is_ok() {}
    assert_eq!(stacks.alloc(0, KIB), Err(OutOfMemory::Limit));
    assert_eq!(stacks.alloc(0, 100 * KIB), Err(OutOfMemory::Limit));
    stacks.verify();
    // Dead, marked as such and not swept: a stack sweeps for its pages.
    stacks.toy.kill_every(1);
    stacks.toy.collect();
    stacks.alloc(0, 100 * KIB).expect("room was swept");
    assert!(stacks.toy.heap.sweep_is_over());
    while stacks.alloc(1, 32 * KIB).is_ok() {}
    assert_eq!(stacks.toy.alloc(0, 2, 40 * KIB), Err(OutOfMemory::Limit));
    stacks.verify();
    let memory = stacks.toy.heap.memory();
    assert!(memory.stacks == memory.in_use && memory.in_use + 32 * KIB > MIB, "{memory:?}");
    // Blocks that a cache keeps still count; flushed ones do not.
    (0..2).for_each(|_| stacks.put(2, 1));
    assert_eq!(stacks.toy.alloc(0, 2, 40 * KIB), Err(OutOfMemory::Limit));
    stacks.flush();
    stacks.toy.alloc(0, 2, 40 * KIB).expect("room was given back");
    stacks.finish();
}

#[test]
fn absurd_sizes_are_refused() {
    let mut stacks = Stacks::new(config(), &SimOs::new());
    for bytes in [usize::MAX, isize::MAX as usize, isize::MAX as usize - ARENA_SIZE + 1] {
        assert_eq!(stacks.alloc(0, bytes), Err(OutOfMemory::TooLarge));
    }
    stacks.verify();
    stacks.finish();
}

#[test]
fn a_cache_keeps_no_more_than_it_may() {
    let mut stacks = Stacks::new(config(), &SimOs::new());
    for order in Order::all() {
        let bytes = order.block_bytes();
        (0..1000).for_each(|_| stacks.alloc(0, bytes).expect("memory"));
        (0..1000).for_each(|i| stacks.put(0, i));
        let kept = stacks.toy.heap.memory().stacks;
        assert!(kept >= CACHE_BYTES / 2, "{bytes}: nothing is kept");
        stacks.verify();
        // Blocks of one slab may be spread, each keeping it.
        let most = (CACHE_BYTES / bytes) * 32 * KIB;
        assert!(kept <= most, "{bytes}: {kept} are kept");
        // To and fro within what is kept, the pool is not asked.
        let reserved =
            stacks.toy.heap.stats.in_use_bytes.load(std::sync::atomic::Ordering::Relaxed);
        for i in 0..1000 {
            stacks.alloc(0, bytes).expect("memory");
            stacks.put(0, i);
        }
        let after = stacks.toy.heap.stats.in_use_bytes.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(reserved, after);
        stacks.flush();
        assert_eq!(stacks.toy.heap.memory().stacks, 0);
    }
    assert_eq!(Order::all().count(), ORDERS);
    stacks.finish();
}

#[test]
fn blocks_outlive_the_heap() {
    let os = SimOs::new();
    let mut stacks = Stacks::new(config(), &os);
    for i in 0..20 {
        stacks.toy.alloc(0, i % 4, 3000).expect("memory");
        stacks.toy.alloc(0, i % 4, 300 * KIB).expect("memory");
    }
    stacks.toy.alloc(0, 1, ARENA_SIZE).expect("memory");
    let huge = ARENA_SIZE + MIB;
    for bytes in [KIB, KIB, 9 * KIB, 100 * KIB, huge] {
        stacks.alloc(0, bytes).expect("memory");
    }
    let Stacks { toy, caches, out, .. } = stacks;
    drop(caches);
    // The objects are destroyed, each once; a huge one is unmapped.
    toy.finish();
    assert!(os.reserved() >= huge, "SK5");
    out.iter().for_each(|(block, fill)| check(block, *fill));
    let mut left = out.len();
    for (block, fill) in out {
        check(&block, fill);
        std::thread::spawn(move || drop(block)).join().expect("dropped");
        left -= 1;
        assert_eq!(os.reserved() == 0, left == 0);
    }
}

#[test]
fn blocks_are_returned_by_any_thread() {
    let heap = HeapOwner::new(config(), Box::new(SystemOs));
    let order = Order::of(2000).expect("small");
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut cache = StackCache::default();
                for round in 0..200 {
                    let mut blocks = cache.take_all(order);
                    heap.stack_blocks(order, &mut blocks).expect("memory");
                    let large = heap.large_stack_block(40 * KIB).expect("memory");
                    let sent = blocks.split_off(blocks.len() / 2);
                    scope.spawn(move || drop((sent, large)));
                    cache.put_all(order, blocks);
                    if round % 3 == 0 {
                        cache.flush(&heap);
                    }
                }
            });
        }
    });
    // SAFETY: one thread is left; caches of objects there are none.
    #[allow(unsafe_code, reason = "plays the part of the collector")]
    let verified = unsafe { heap_core::verify::verify(&heap) };
    verified.expect("sound");
    assert_eq!(heap.memory().stacks, 0, "every cache was dropped");
}

/// Blocks of `order`, straight from the heap.
fn blocks_of(heap: &HeapOwner, order: Order, count: usize) -> Vec<StackBlock> {
    let mut all = Vec::new();
    while all.len() < count {
        let mut some = Vec::new();
        heap.stack_blocks(order, &mut some).expect("memory");
        all.append(&mut some);
    }
    all.truncate(count);
    all
}

fn verify(heap: &HeapOwner) {
    // SAFETY: one thread; caches of objects there are none.
    #[allow(unsafe_code, reason = "plays the part of the collector")]
    let verified = unsafe { heap_core::verify::verify(heap) };
    verified.expect("sound");
}

#[test]
fn a_cache_returns_blocks_of_another_heap_to_that_heap() {
    let [a, b] = [(); 2].map(|()| HeapOwner::new(config(), Box::new(SystemOs)));
    let order = Order::of(KIB).expect("small");
    let mut cache = StackCache::default();
    let theirs = blocks_of(&b, order, 3);
    blocks_of(&a, order, 3).into_iter().for_each(|block| cache.put(&a, block));
    cache.flush(&b);
    verify(&a);
    verify(&b);
    assert_eq!(a.memory().stacks, 0);

    // Lists that are taken back are as the caller made them.
    cache.put_all(order, blocks_of(&a, order, CACHE_BYTES / KIB));
    theirs.into_iter().for_each(|block| cache.put(&b, block));
    verify(&a);
    verify(&b);
    assert_eq!(a.memory().stacks, 0);
    assert!(cache.take(order).expect("one of three").is_of(&b));
    cache.flush(&a);
    assert_eq!(b.memory().stacks, 0);
}

#[test]
fn a_cache_files_only_blocks_of_an_orders_very_size() {
    let heap = HeapOwner::new(config(), Box::new(SystemOs));
    let mut cache = StackCache::default();
    let biggest = Order::all().last().expect("an order");
    let large = || heap.large_stack_block(24 * KIB).expect("memory");
    cache.put(&heap, large());
    assert!(cache.take(biggest).is_none(), "24 KiB pass for 32");
    cache.put_all(biggest, vec![large()]);
    assert!(cache.take(biggest).is_none(), "24 KiB pass for 32");
    assert_eq!(heap.memory().stacks, 0, "they went back");
}

/// SK6: destructors that run while a list is out return blocks to the cache.
#[test]
fn a_list_taken_back_leaves_the_cache_within_bounds() {
    let heap = HeapOwner::new(config(), Box::new(SystemOs));
    let mut cache = StackCache::default();
    for order in Order::all() {
        let most = CACHE_BYTES / order.block_bytes();
        let mut list = cache.take_all(order);
        list.append(&mut blocks_of(&heap, order, most / 2 + 1));
        blocks_of(&heap, order, most).into_iter().for_each(|block| cache.put(&heap, block));
        cache.put_all(order, list);
        let kept = core::iter::from_fn(|| cache.take(order)).count();
        assert_eq!(kept, most);
    }
    verify(&heap);
    assert_eq!(heap.memory().stacks, 0);
}
