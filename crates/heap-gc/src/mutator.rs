//! [`Mutator`]: a thread's side of a heap: its allocation cache, its shadow
//! stack, and the one loop that turns a failed fast path into memory.
//!
//! What the collector touches of it is in `world` (MU1).
//!
//! * MU2: an allocation never collects; it may sweep.
//! * MU3: a mutator that is used is inside, and on its own thread: it is made inside and is neither
//!   `Send` nor `Sync`, and a caller that lets it out ([`Mutator::leave`] is unsafe) does not use
//!   it before it is back ([`Mutator::enter`]).

use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use heap_core::error::OutOfMemory;
use heap_core::geometry::{PAGE_SIZE, pages_for};
use heap_core::kind::ObjectKind;
use heap_core::mcache::{Cache, Refill};
use heap_core::mheap::{Fill, Order, SpanBatch};
use heap_core::size_class::SizeClass;
use heap_core::stack::StackBlock;
use heap_core::stats::Tally;
use heap_core::sweep::is_in_destructor;
use heap_core::tracer::EdgeBuffer;
use heap_sync::mutant;
use heap_sync::time::Instant;

use crate::error::VerifyError;
use crate::external::ExternalCharge;
use crate::gate::PollFlag;
use crate::heap_state::HeapState;
use crate::phase::{MarkCycleId, Phase};
use crate::requests::{Answer, Request};
use crate::roots::RootEntry;
use crate::sampling::Sampling;
use crate::world::MutatorRecord;

mod sampled;
mod tiny;
mod weak;

use self::sampled::HookState;
pub use self::sampled::StackHook;

/// A thread inside a heap (or stepped outside for a while).
#[derive(Debug)]
pub struct Mutator {
    shared: Arc<HeapState>,
    record: Arc<MutatorRecord>,
    /// `record.cache`, one load away from the fast path.
    cache: NonNull<Cache>,
    /// Why `alloc_slow` last returned nothing.
    refused: Cell<OutOfMemory>,
    /// The phase, as it was when we came inside (B2).
    phase: Cell<Phase>,
    /// When this many bytes are opened they count as granted. Known here, so that opening a span
    /// reads nothing that other mutators write; and 0 after a stop, which sets it anew.
    count_at: Cell<usize>,
    hook: HookState,
}

/// Tells the heap when a thread ends while its mutator is inside. Kept in a thread-local by the
/// code that enters.
#[derive(Debug)]
pub struct ThreadExitGuard {
    record: Arc<MutatorRecord>,
    shared: std::sync::Weak<HeapState>,
}

impl Drop for ThreadExitGuard {
    fn drop(&mut self) {
        if self.record.state.is_running()
            && let Some(shared) = self.shared.upgrade()
        {
            self.record.state.abandon(&shared.world.gate);
        }
    }
}

impl Mutator {
    /// Makes the current thread a mutator of the heap and steps inside.
    #[must_use]
    pub fn attach(shared: &Arc<HeapState>) -> Mutator {
        let sampler = || shared.sampling.as_ref().map(Sampling::sampler);
        let record = shared.world.attach(sampler);
        let cache = NonNull::new(record.cache.get()).expect("an address in an Arc");
        let refused = Cell::new(OutOfMemory::System);
        let phase = Cell::new(shared.phase.get());
        let count_at = Cell::new(0);
        let hook = HookState::default();
        Mutator { shared: Arc::clone(shared), record, cache, refused, phase, count_at, hook }
    }

    /// The heap.
    #[inline(always)]
    #[must_use]
    pub fn shared(&self) -> &Arc<HeapState> {
        &self.shared
    }

    /// A number that no other living mutator of the process has.
    #[inline(always)]
    #[must_use]
    pub fn id(&self) -> u64 {
        Arc::as_ptr(&self.record).addr() as u64
    }

    /// See [`ThreadExitGuard`].
    #[must_use]
    pub fn exit_guard(&self) -> ThreadExitGuard {
        ThreadExitGuard { record: Arc::clone(&self.record), shared: Arc::downgrade(&self.shared) }
    }

    // ---- the gate --------------------------------------------------------

    /// Whether the mutator is inside.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.record.state.is_running()
    }

    /// Steps outside.
    ///
    /// # Safety
    ///
    /// The mutator is not in use ([`Mutator::barrier_mark`], [`Mutator::find_weak`]), and until
    /// [`Mutator::enter`] it is used only to ask what it is ([`Mutator::id`], [`Mutator::shared`],
    /// [`Mutator::exit_guard`], [`Mutator::is_running`]), to cut its shadow stack, or to end (MU3).
    /// What no root leads to may be gone after this.
    pub unsafe fn leave(&self) {
        self.hand_over_grey();
        self.shared.world.gate.leave(&self.record.state);
    }

    /// Hands what the write barrier has found to the collector: B4.
    #[inline]
    fn hand_over_grey(&self) {
        mutant!("keeps its list" => return);
        if self.marking().is_some() {
            // SAFETY: MU1: inside, on the owner's thread (MU3), and no report is under way.
            unsafe { &mut *self.record.satb.get() }.hand_over(&self.shared.grey);
        }
    }

    /// Steps outside, to be back later.
    ///
    /// # Panics
    ///
    /// If the thread runs a destructor of a heap object. A collector waits for the sweep that runs
    /// it, and coming back means to wait for the collector.
    ///
    /// # Safety
    ///
    /// As [`Mutator::leave`].
    pub unsafe fn step_out(&self) {
        check_not_in_destructor();
        // SAFETY: forwarded from the caller.
        unsafe { self.leave() };
    }

    /// Steps inside, when no collector has stopped the world. If the mutator is inside, nothing
    /// happens: this is no safepoint. Says how long it was blocked, if it was.
    pub fn enter(&self) -> Option<Duration> {
        if self.is_running() {
            return None;
        }
        let mut blocked = None;
        self.shared.world.gate.enter_while_blocked(&self.record.state, || {
            blocked = Some(Instant::now());
            self.shared.watch_marking()
        });
        self.refresh_heap_state();
        blocked.map(|since| since.elapsed())
    }

    /// Learns what may have changed while we were outside.
    fn refresh_heap_state(&self) {
        mutant!("looks too early" => return);
        self.phase.set(self.shared.phase.get());
        self.count_at.set(0);
    }

    /// Whether a safepoint is wanted: one relaxed load.
    #[inline(always)]
    #[must_use]
    pub fn poll(&self) -> bool {
        self.shared.world.gate.poll()
    }

    /// What [`Mutator::poll`] looks at, for a loop that keeps it at hand: two loads fewer.
    #[inline(always)]
    #[must_use]
    pub fn poll_flag(&self) -> PollFlag<'_> {
        self.shared.world.gate.poll_flag()
    }

    /// A safepoint. What no root leads to may be gone after it.
    #[cold]
    pub fn safepoint(&mut self) {
        let answer = match self.shared.world.requests().get() {
            Request::None => Answer::Done,
            Request::Block => {
                // As in `step_out`.
                check_not_in_destructor();
                let shared = &*self.shared;
                self.hand_over_grey();
                shared.world.gate.block_for_stop(&self.record.state, || shared.watch_marking());
                self.refresh_heap_state();
                Answer::ByAnother
            }
            Request::Step | Request::Gc => self.outside(HeapState::collect_if_wanted),
        };
        if self.shared.world.requests().is_open(answer) {
            // A request that this does not answer either stays for the next safepoint.
            let _ = self.outside(HeapState::collect_if_wanted);
        }
    }

    /// A full collection, at a safepoint.
    pub fn collect(&mut self) {
        self.outside(HeapState::collect);
    }

    /// The same, with all destructors of what it finds dead.
    pub fn collect_and_drop(&mut self) {
        self.outside(HeapState::collect_and_drop);
    }

    /// One step of a collection, at a safepoint: begins one or goes on with it. Says
    /// whether it is complete.
    pub fn collect_step(&mut self) -> bool {
        self.outside(HeapState::collect_step)
    }

    /// Runs `work`, which finishes the sweep, outside, and is inside again however
    /// `work` ends.
    fn outside<R>(&mut self, work: impl FnOnce(&Arc<HeapState>) -> R) -> R {
        struct Reenter<'a>(&'a mut Mutator);
        impl Drop for Reenter<'_> {
            fn drop(&mut self) {
                let _ = self.0.enter();
            }
        }
        // SAFETY: we have the mutator to ourselves until it is inside again; `work` gets the heap.
        unsafe { self.step_out() };
        let outside = Reenter(self);
        work(&outside.0.shared)
    }

    /// Gives back what an idle program does not need, at a safepoint after the mutator has been outside
    /// for a while.
    pub fn give_back_if_idle(&mut self) {
        if self.shared.is_idle() {
            self.outside(|shared| shared.give_back_when_idle());
        }
    }

    /// Checks every invariant of the heap, at a safepoint.
    ///
    /// # Errors
    ///
    /// The first broken invariant; or that nothing was checked.
    pub fn verify(&mut self) -> Result<(), VerifyError> {
        self.outside(HeapState::verify)
    }

    // ---- allocation --------------------------------------------------------

    /// A slot of this kind and class, uninitialised.
    ///
    /// # Errors
    ///
    /// When the limit or the system refuses the memory.
    ///
    /// # Safety
    ///
    /// Objects of the kind fit a slot of the class. The caller writes one to the slot before
    /// this mutator comes to a safepoint, is let out, or ends.
    #[inline(always)]
    pub unsafe fn alloc_small(
        &self,
        kind: &'static ObjectKind,
        class: SizeClass,
    ) -> Result<NonNull<u8>, OutOfMemory> {
        // SAFETY: MU1: we are inside, on the owner's thread (MU3), and `alloc` calls no user code.
        let cache = unsafe { &mut *self.cache.as_ptr() };
        // The slow path returns a plain pointer, so that the fast path needs no
        // stack frame; the reason for a refusal is kept aside.
        // SAFETY: forwarded from the caller: the heap looks at nothing before the safepoint.
        let slot = unsafe { cache.alloc(kind, class) };
        // SAFETY: forwarded from the caller.
        match slot.or_else(|| unsafe { self.alloc_slow(kind, class) }) {
            Some(slot) => Ok(slot),
            None => Err(self.refusal()),
        }
    }

    /// Refuses an allocation: asks for a collection, and keeps the reason aside.
    fn refuse(&self, reason: OutOfMemory) {
        self.shared.refuse(reason);
        self.refused.set(reason);
    }

    /// Why the last allocation was refused.
    #[cold]
    #[inline(never)]
    fn refusal(&self) -> OutOfMemory {
        self.refused.get()
    }

    /// The next run of the span, else a slot by the long way.
    ///
    /// # Safety
    ///
    /// As [`Mutator::alloc_small`].
    #[cold]
    #[inline(never)]
    unsafe fn alloc_slow(
        &self,
        kind: &'static ObjectKind,
        class: SizeClass,
    ) -> Option<NonNull<u8>> {
        self.check_may_allocate();
        // SAFETY: MU1, as in `alloc_small`; the rest is forwarded from the caller.
        let slot = unsafe { (*self.cache.as_ptr()).next_run(kind, class) };
        // SAFETY: forwarded from the caller.
        slot.or_else(|| unsafe { self.alloc_in_span(kind, class) })
    }

    /// The one retry loop: what the cache has, else take spans and pay the credit that is
    /// owed for them. Apart from `alloc_slow`, which needs no large frame.
    ///
    /// # Safety
    ///
    /// As [`Mutator::alloc_small`].
    #[cold]
    #[inline(never)]
    unsafe fn alloc_in_span(
        &self,
        kind: &'static ObjectKind,
        class: SizeClass,
    ) -> Option<NonNull<u8>> {
        let shared = &*self.shared;
        // MU4: what a flush has left has no room for an object.
        self.record.set_caches_are_used(true);
        let mut spans = SpanBatch::new();
        loop {
            // The borrow of the cache ends before anything that can run user code (the system that
            // gives pages).
            // SAFETY: MU1, as in `alloc_small`; the rest is forwarded from the caller.
            let refill = unsafe { (*self.cache.as_ptr()).refill(&shared.heap, kind, class) };
            let mut request = match refill {
                Refill::Slot(slot) => {
                    self.count_opened();
                    return Some(slot);
                }
                Refill::Sampled => {
                    // SAFETY: forwarded from the caller; it has just answered so.
                    let slot = unsafe { self.alloc_sampled(kind, class) };
                    self.count_opened();
                    return Some(slot);
                }
                Refill::NeedSpans(request) => request,
                Refill::NoMemory => {
                    self.refused.set(OutOfMemory::System);
                    return None;
                }
            };
            shared.budget.admit().inspect_err(|reason| self.refuse(*reason)).ok()?;
            let span_bytes = class.span_pages() * PAGE_SIZE;
            request.wanted = shared.affordable(request.wanted, span_bytes);
            // No borrow of the cache is alive in here.
            let mut tally = Tally::default();
            // SAFETY: the cache of this heap asks for them, and gets them below; the clock
            // stands, as we are inside.
            let acquired = unsafe { shared.heap.acquire_spans(request, &mut spans, &mut tally) };
            // SAFETY: MU1, as in `alloc_small`.
            unsafe { &mut *self.cache.as_ptr() }.count(&tally);
            acquired.inspect_err(|reason| self.refuse(*reason)).ok()?;
            // Not before: spans that were swept just now are a part of the payment, and
            // those that are swept for nothing else are likely to lose their pages. These spans are
            // in no cache until then; the clock stands, as we are inside (C1).
            shared.pay_credit(spans.len() * span_bytes);
            // SAFETY: MU1, as in `alloc_small`; it has asked for them, and the clock stood.
            unsafe { (*self.cache.as_ptr()).install(kind, class, &mut spans) };
        }
    }

    /// Bytes of objects that are not known to be dead: [`Stats::live_bytes`](crate::Stats::live_bytes) with
    /// what this mutator has allocated in place of what it was granted. In the stack hook, whose heap hides
    /// the bump regions (MU5), what was granted.
    #[must_use]
    pub fn live_bytes(&self) -> usize {
        let granted = self.shared.budget.live_bytes();
        if self.is_in_hook() {
            return granted;
        }
        // SAFETY: MU1, as in `alloc_small`; nothing is called that could come back here.
        let cache = unsafe { &*self.cache.as_ptr() };
        granted.saturating_add_signed(cache.uncounted_bytes())
    }

    /// Counts the spans that the cache has opened as granted, when they are enough.
    fn count_opened(&self) {
        // SAFETY: MU1, as in `alloc_small`.
        let cache = unsafe { &mut *self.cache.as_ptr() };
        if let Some(opened_bytes) = cache.newly_opened_bytes()
            && opened_bytes >= self.count_at.get()
        {
            let live = self.shared.grant(cache.take_opened_bytes());
            self.count_at.set(self.shared.count_next(live));
        }
    }

    /// Allocation is not for destructors, nor for the stack hook (MU5).
    fn check_may_allocate(&self) {
        check_not_in_destructor();
        assert!(!self.is_in_hook(), "a stack hook cannot allocate in the heap that calls it");
    }

    /// A large object, uninitialised.
    ///
    /// # Errors
    ///
    /// When the limit or the system refuses the memory.
    ///
    /// # Safety
    ///
    /// As [`Mutator::alloc_small`], with `bytes` for the slot.
    #[cold]
    pub unsafe fn alloc_large(
        &self,
        kind: &'static ObjectKind,
        bytes: usize,
        fill: Fill,
    ) -> Result<NonNull<u8>, OutOfMemory> {
        let shared = &*self.shared;
        self.check_may_allocate();
        // Marking will count whole pages; so do we. Absurd sizes are refused below.
        let granted = pages_for(bytes).saturating_mul(PAGE_SIZE);
        let frames = self.large_stack_trace(granted);
        if bytes <= isize::MAX as usize {
            shared.pay_credit(granted);
        }
        let object = shared.budget.admit().and_then(|()| {
            // SAFETY: forwarded from the caller.
            unsafe { shared.heap.alloc_large(kind, bytes, fill) }
        });
        let object = object.inspect_err(|reason| shared.refuse(*reason))?;
        // SAFETY: just allocated, with this many pages; nothing was sampled meanwhile.
        unsafe { self.record_large(object, kind, granted, frames) };
        shared.grant(granted);
        Ok(object)
    }

    /// Makes a new object read as zero; touches no memory that never held anything, if
    /// there is much of it.
    ///
    /// # Safety
    ///
    /// `object` was just allocated by this mutator, with `bytes` bytes or more, and
    /// nothing was written to it.
    #[inline]
    pub unsafe fn zero(&self, object: NonNull<u8>, bytes: usize) {
        // SAFETY: forwarded; no safepoint since the allocation.
        unsafe { self.shared.heap.zero(object, bytes) };
    }

    // ---- external memory -------------------------------------------------

    /// Charges bytes that an object of type `T` owns elsewhere.
    ///
    /// # Errors
    ///
    /// If they count towards the limit, and exceed it.
    pub fn charge_external<T: 'static>(&self, bytes: usize) -> Result<ExternalCharge, OutOfMemory> {
        self.add_external(bytes)?;
        Ok(self.shared.external.charge::<T>(bytes))
    }

    /// Says how many bytes it is that an object owns elsewhere now.
    ///
    /// # Errors
    ///
    /// As [`Mutator::charge_external`]; then the charge is as it was.
    ///
    /// # Panics
    ///
    /// If the charge is of another heap.
    pub fn recharge_external(
        &self,
        charge: &ExternalCharge,
        bytes: usize,
    ) -> Result<(), OutOfMemory> {
        assert!(charge.is_of(&self.shared.external), "the charge belongs to another heap");
        let before = charge.bytes();
        if bytes > before {
            self.add_external(bytes - before)?;
            charge.grow(bytes - before);
        } else {
            charge.shrink(before - bytes);
        }
        Ok(())
    }

    fn add_external(&self, bytes: usize) -> Result<(), OutOfMemory> {
        let shared = &*self.shared;
        if shared.external.total.is_limited() {
            let charged = shared.budget.admit().and_then(|()| shared.heap.charge_elsewhere(bytes));
            charged.inspect_err(|reason| shared.refuse(*reason))?;
        }
        if shared.budget.charge_external(bytes, &*shared.heap) {
            shared.world.requests().request_step();
        }
        Ok(())
    }

    // ---- stacks ------------------------------------------------------------

    /// A block of raw memory for a stack, with room for `bytes` or more. Not
    /// collected; returned by dropping it, or by [`Mutator::return_stack_block`].
    ///
    /// # Errors
    ///
    /// When the limit or the system refuses the memory.
    #[inline(always)]
    pub fn stack_block(&self, bytes: usize) -> Result<StackBlock, OutOfMemory> {
        let order = Order::of(bytes);
        // SAFETY: MU1: inside, on the owner's thread, and `take` calls no user code.
        let stacks = unsafe { &mut *self.record.stacks.get() };
        let cached = order.and_then(|order| stacks.take(order));
        // As in `alloc_small`: a block and a reason in one would go through memory
        // byte by byte.
        match cached.or_else(|| self.stack_block_slow(bytes, order)) {
            Some(block) => Ok(block),
            None => Err(self.refusal()),
        }
    }

    #[cold]
    #[inline(never)]
    fn stack_block_slow(&self, bytes: usize, order: Option<Order>) -> Option<StackBlock> {
        let shared = &*self.shared;
        self.check_may_allocate();
        self.record.set_caches_are_used(true);
        // Stacks are not swept, but their pages count against the trigger: a mutator that takes
        // them pays, and need not for what was returned.
        if bytes <= isize::MAX as usize {
            shared.pay_credit(bytes);
        }
        let refused = |reason: &OutOfMemory| self.refuse(*reason);
        shared.budget.admit().inspect_err(refused).ok()?;
        let Some(order) = order else {
            let block = shared.heap.large_stack_block(bytes).inspect_err(refused).ok()?;
            shared.grant_stack(block.bytes());
            return Some(block);
        };
        // No borrow of the cache is alive while the heap looks for blocks.
        // SAFETY: MU1, as in `stack_block`.
        let mut blocks = unsafe { &mut *self.record.stacks.get() }.take_all(order);
        // Some may have come back since the cache was found empty.
        let there = blocks.len();
        if shared.heap.stack_blocks(order, &mut blocks).inspect_err(refused).is_ok() {
            shared.grant_stack((blocks.len() - there) * order.block_bytes());
        }
        let block = blocks.pop();
        // SAFETY: MU1, as in `stack_block`.
        unsafe { &mut *self.record.stacks.get() }.put_all(order, blocks);
        block
    }

    /// Takes a stack block back, for this mutator to use again. One of another heap
    /// is dropped.
    #[inline]
    pub fn return_stack_block(&self, block: StackBlock) {
        if !block.is_of(&self.shared.heap) {
            // Dropped while nothing is borrowed: with the last block of a heap its system goes,
            // which is user code.
            return;
        }
        self.record.set_caches_are_used(true);
        // SAFETY: MU1: inside, on the owner's thread, and `put` calls no user code for a block of
        // this heap.
        unsafe { &mut *self.record.stacks.get() }.put(&self.shared.heap, block);
    }

    // ---- the write barrier ---------------------------------------------------

    /// The incremental mark phase that is under way, if there is one. It stays so until the next
    /// safepoint (B2). Before a cell changes that may hold handles, what it holds is to be reported
    /// to [`Mutator::barrier_mark`]: once in each mark phase, or every time.
    #[inline(always)]
    pub fn marking(&self) -> Option<MarkCycleId> {
        match self.phase.get() {
            Phase::Marking(id) | Phase::Reviving(id) => Some(id),
            Phase::Idle | Phase::Clearing => None,
        }
    }

    /// Marks what `report` reports, and everything it leads to: the slow half of the
    /// write barrier (B1).
    ///
    /// # Safety
    ///
    /// An incremental mark phase is under way ([`Mutator::marking`]). `report` does nothing with
    /// this mutator.
    #[inline]
    pub unsafe fn barrier_mark(&self, report: impl FnOnce(&mut EdgeBuffer)) {
        debug_assert!(self.is_running() && self.marking().is_some(), "B2");
        // SAFETY: MU1: inside, on the owner's thread (MU3); `report` does not come back here, by
        // the contract.
        let satb = unsafe { &mut *self.record.satb.get() };
        let is_reviving = matches!(self.phase.get(), Phase::Reviving(_));
        satb.add(report, |object| {
            if is_reviving && object.mark().is_white() {
                // SAFETY: what is reported is an object of this heap (contract of `Tracer::edge`). While
                // mutators know of this phase handles are cleared, or were, and nothing is swept (B2).
                unsafe { self.shared.heap.clear_weak_handle(object.pointer()) };
            }
        });
    }

    /// The same for an object that a cell has ceased to hold, or that a weak table shows, if
    /// an incremental mark phase is under way.
    ///
    /// # Safety
    ///
    /// `object` is as for [`Mutator::try_root`].
    #[inline]
    pub unsafe fn barrier_mark_object(&self, object: NonNull<u8>) {
        if self.marking().is_some() {
            // SAFETY: an incremental mark phase is under way, and the closure only reports; the
            // object is as the caller says.
            unsafe { self.barrier_mark(|buffer| buffer.with_tracer(|tracer| tracer.edge(object))) };
        }
    }

    // ---- roots ---------------------------------------------------------------

    /// Roots an object.
    ///
    /// # Errors
    ///
    /// If the system refuses the memory.
    ///
    /// # Safety
    ///
    /// `object` is the start of a live object of this heap, or lies in a slot that objects
    /// share; with provenance over its arena.
    pub unsafe fn try_root(&self, object: NonNull<u8>) -> Result<RootEntry, OutOfMemory> {
        // SAFETY: forwarded from the caller; inside (MU3).
        unsafe { RootEntry::try_new(&self.shared.roots, object) }
    }

    /// Whether a root belongs to this mutator's heap.
    #[inline(always)]
    #[must_use]
    pub fn owns(&self, root: &RootEntry) -> bool {
        std::ptr::eq(root.table(), Arc::as_ptr(&self.shared.roots))
    }

    /// Pushes an object on the shadow stack; returns its index.
    ///
    /// # Errors
    ///
    /// If the system refuses the memory.
    ///
    /// # Safety
    ///
    /// `object` is as for [`Mutator::try_root`].
    #[inline]
    pub unsafe fn try_shadow_push(&self, object: NonNull<u8>) -> Result<usize, OutOfMemory> {
        // SAFETY: MU1: inside, on the owner's thread (MU3).
        let shadow = unsafe { &mut *self.record.shadow.get() };
        if shadow.len() == shadow.capacity() {
            shadow.try_reserve(1).map_err(|_| OutOfMemory::System)?;
        }
        shadow.push(object);
        Ok(shadow.len() - 1)
    }

    /// Objects on the shadow stack.
    #[must_use]
    pub fn shadow_height(&self) -> usize {
        // SAFETY: MU1, as in `try_shadow_push`.
        unsafe { &*self.record.shadow.get() }.len()
    }

    /// Whether entry `index` is `object`.
    #[must_use]
    pub fn shadow_holds(&self, index: usize, object: NonNull<u8>) -> bool {
        // SAFETY: MU1, as in `try_shadow_push`.
        unsafe { &*self.record.shadow.get() }.get(index) == Some(&object)
    }

    /// Cuts the shadow stack, also of a mutator that is outside (an unwinding `park`): what was
    /// above is no longer a root.
    pub fn shadow_truncate(&self, height: usize) {
        let outside = !self.is_running();
        if outside {
            let _ = self.enter();
        }
        // SAFETY: MU1: inside now.
        unsafe { &mut *self.record.shadow.get() }.truncate(height);
        if outside {
            // SAFETY: as we found it: no use of the mutator has begun since.
            unsafe { self.leave() };
        }
    }
}

impl Drop for Mutator {
    fn drop(&mut self) {
        // Flush while inside, where the clock stands still.
        if !self.is_running() {
            let _ = self.enter();
        }
        // Otherwise there is nothing in them (MU4).
        if self.record.caches_are_used() {
            // SAFETY: MU1: inside, and `&mut self`; two cells.
            let (cache, stacks) =
                unsafe { (&mut *self.cache.as_ptr(), &mut *self.record.stacks.get()) };
            self.shared.flush(cache, stacks);
            self.record.set_caches_are_used(cache.is_in_use());
        }
        self.hand_over_grey();
        self.shared.world.detach(&self.record);
    }
}

/// A destructor that found a context runs in the middle of a sweep. It must not start another one; the
/// panic is caught around the destructor.
fn check_not_in_destructor() {
    assert!(
        !is_in_destructor(),
        "a destructor of a heap object cannot allocate in a heap or wait for one"
    );
}

#[cfg(all(test, not(heap_loom)))]
mod tests {
    use super::*;
    use crate::config::GcConfig;
    use heap_core::kind::NOSCAN;
    use heap_core::partition::{Partition, Partitioning};

    #[test]
    fn mutators_are_counted_when_they_come_and_go() {
        let shared = HeapState::new(GcConfig::default());
        let _one = Mutator::attach(&shared);
        let alone = shared.affordable(usize::MAX, 1) - 1;
        let others = [(); 3].map(|()| Mutator::attach(&shared));
        assert_eq!(shared.affordable(usize::MAX, 1) - 1, alone / 4);
        drop(others);
        assert_eq!(shared.affordable(usize::MAX, 1) - 1, alone);
    }

    fn alloc(mutator: &Mutator) {
        // SAFETY: nothing reads the bytes.
        unsafe { mutator.alloc_small(&NOSCAN, SizeClass::for_size(16).unwrap()) }.unwrap();
    }

    #[test]
    fn a_mutator_that_does_not_allocate_has_no_partition() {
        let shared = HeapState::new(GcConfig::default());
        let mut mutators = [(); 3].map(|()| Mutator::attach(&shared));
        let [idle, busy @ ..] = &mut mutators;
        busy.iter().for_each(alloc);
        // SAFETY: they come back before they allocate again.
        busy.iter().for_each(|one| unsafe { one.leave() });
        // The second and the third, from then on in the first two partitions. A mutator need not
        // allocate in every cycle, and nothing is known of a cycle in which none does.
        for _ in 0..4 {
            idle.collect();
            assert_eq!(shared.heap.partitions(), Partitioning::for_mutators(2));
            // SAFETY: MU1: all of them are on this thread, and none does anything.
            let partitions = busy.each_ref().map(|one| unsafe { one.cache.as_ref() }.partition());
            assert_eq!(partitions, [0, 1].map(Partition::of_mutator));
        }
        let _ = busy[1].enter();
        alloc(&busy[1]);
        // SAFETY: as above.
        unsafe { busy[1].leave() };
        idle.collect();
        assert_eq!(shared.heap.partitions(), Partitioning::for_mutators(1));
    }

    #[test]
    fn opened_spans_are_counted_at_first_and_after_every_stop() {
        let shared = HeapState::new(GcConfig::default());
        let mut one = Mutator::attach(&shared);
        assert_eq!(one.count_at.get(), 0, "the first span counts at once");
        alloc(&one);
        assert_eq!(one.count_at.get(), shared.count_next(shared.budget.live_bytes()));
        assert_ne!(one.count_at.get(), 0);
        // What is left has changed.
        one.collect();
        assert_eq!(one.count_at.get(), 0);
    }
}
