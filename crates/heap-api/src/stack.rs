//! Memory for the stacks of a virtual machine, from the heap's pages and not
//! garbage collected: [`StackBlock`] is raw memory, [`GcStack`] a growing stack of values
//! that may hold handles.
//!
//! Blocks come in powers of two, from a cache per mutator: a stack that is full moves to
//! a block twice as large, and its old block can be used again at once. They count
//! against the heap's limit.
//!
//! A `GcStack` is a field of a heap object, or a local variable between two
//! safepoints, like any other value with handles. The collector sees it through its
//! owner:
//!
//! * SV1: the first `len` values are initialised; they and no others are traced, read
//!   or handed out. What lies above may be of a region that has ended.
//! * SV2: the values move only where the stack grows or shrinks its memory, and not while
//!   a [`GcStackWindow`] is open. That is checked at the moment of the move (SV5).
//! * SV3: values are written through a `Cell`: no `&mut` to them exists. A stack is of
//!   one thread (neither `Send`, `Sync` nor [`Share`](crate::Share)).
//! * SV4: every function that removes or replaces values takes a `&Cx` and first runs the
//!   write barrier: in a mark phase a high stack reports the values that it removes or replaces, each
//!   time; one that is not high all that it has, once. A window reports what it shows when it is opened,
//!   as [`GcRefCell`](crate::GcRefCell) does (B3). No window lives across a safepoint.
//! * SV6: a high stack is traced in pieces, of which some may be left when the mutator runs. They name
//!   the block, not the stack, and as many values as there were when the stack was found. The block is
//!   held until the mark phase is over (SK7), also if the stack moves or is dropped, and only its stack
//!   writes to it. So the pieces find values that were there when marking began, or that were written
//!   since: what those lead to stays until the mark phase is over, and what they have replaced was
//!   reported (SV4).
//! * SV5: no slice of values is kept where user code may run: it may find a context in
//!   a thread-local and make this very stack grow. A `Debug` is such code, and so may be what a
//!   program gives the heap to get memory from; heights and windows are checked again afterwards.

use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use heap_core::tracer::{EdgeBuffer, PIECE_BYTES, Piece, TracePieceFn, Weakness};

use crate::cell::BarrierStamp;
use crate::cx::Cx;
use crate::error::{AllocError, OutOfMemory};
use crate::trace::{Trace, Tracer};

/// A block of raw memory for a stack, aligned to its size up to 8 KiB.
///
/// The block is freed when it is dropped. It is not collected, and the collector does not
/// look into it, so handles in it keep nothing alive. It may be dropped anywhere, on any
/// thread, also as part of a heap object and after the heap. [`StackBlock::release`]
/// is faster.
///
/// ```
/// use heap_api::{Config, Heap};
///
/// let heap = Heap::new(Config::new());
/// let cx = heap.enter();
/// let mut frames = cx.try_stack_block(3000)?;
/// assert_eq!(frames.len(), 4096);
/// frames.slots_mut::<u64>()[0].write(7);
/// frames.release(&cx);
/// # Ok::<(), heap_api::OutOfMemory>(())
/// ```
#[derive(Debug)]
pub struct StackBlock(heap_gc::StackBlock);

impl StackBlock {
    /// The block as uninitialised values of type `T`, as many as fit. It does not compile for
    /// types of size 0 and for those aligned to more than 1 KiB.
    #[must_use]
    pub fn slots_mut<T: Copy + 'static>(&mut self) -> &mut [MaybeUninit<T>] {
        const { assert!(align_of::<T>() <= MIN_ALIGN && size_of::<T>() > 0) };
        let len = self.len() / size_of::<T>();
        // SAFETY: the block is borrowed mutably; it is large enough, and aligned to
        // at least `MIN_ALIGN`; any contents are valid.
        unsafe { core::slice::from_raw_parts_mut(self.0.base().cast().as_ptr(), len) }
    }

    /// Returns the block to this thread's cache.
    #[inline]
    pub fn release(self, cx: &Cx) {
        cx.mutator().return_stack_block(self.0);
    }
}

impl Deref for StackBlock {
    type Target = [MaybeUninit<u8>];
    #[inline]
    fn deref(&self) -> &[MaybeUninit<u8>] {
        &self.0
    }
}

impl DerefMut for StackBlock {
    #[inline]
    fn deref_mut(&mut self) -> &mut [MaybeUninit<u8>] {
        &mut self.0
    }
}

/// A stack with more values is *high*: it does not report all of them at once. Few in builds with
/// assertions, so that the stacks of tests are high.
const HIGH: usize = if cfg!(debug_assertions) { 8 } else { 2048 };

/// Alignment of the smallest blocks.
const MIN_ALIGN: usize = 1 << 10;

impl Cx {
    /// A block of at least `bytes` bytes for a stack: a power of two from 1 KiB to
    /// 32 KiB, beyond that whole pages of 8 KiB. The contents are uninitialised.
    ///
    /// # Errors
    ///
    /// When the heap's limit or the system refuses the memory. A collection may make
    /// room.
    ///
    /// # Panics
    ///
    /// May panic if a destructor of a heap object calls it, with a context that it found in a
    /// thread-local.
    #[inline]
    pub fn try_stack_block(&self, bytes: usize) -> Result<StackBlock, OutOfMemory> {
        self.mutator().stack_block(bytes).map(StackBlock)
    }
}

/// A stack of plain values and handles, for the values of an interpreter.
///
/// A new stack is empty and has no memory. A full one doubles its memory, and a stack
/// returns its memory when it is dropped or swept. In a field of a heap object it keeps
/// alive what its values lead to, from the bottom up to its height.
///
/// ```
/// use heap_api::{Config, Gc, GcStack, Heap, Trace};
///
/// #[derive(Clone, Copy, Trace)]
/// enum Value<'gc> {
///     Number(f64),
///     Text(Gc<'gc, str>),
/// }
///
/// #[derive(Trace)]
/// struct Coroutine<'gc> {
///     stack: GcStack<Value<'gc>>,
/// }
///
/// let heap = Heap::new(Config::new());
/// let mut cx = heap.enter();
/// let coroutine = {
///     let coroutine = cx.alloc(Coroutine { stack: GcStack::new() });
///     coroutine.stack.push(&cx, Value::Number(1.0));
///     coroutine.stack.push(&cx, Value::Text(cx.alloc_str("kept")));
///     cx.root(coroutine)
/// };
/// cx.collect();
/// let stack = &coroutine.get(&cx).stack;
/// assert!(matches!(stack.pop(&cx), Some(Value::Text(text)) if &*text == "kept"));
/// assert_eq!(stack.len(), 1);
/// ```
pub struct GcStack<T> {
    /// The first value; dangling if there is no block.
    base: Cell<NonNull<T>>,
    len: Cell<usize>,
    capacity: Cell<usize>,
    /// Open windows (SV2).
    windows: Cell<usize>,
    stamp: BarrierStamp,
    block: Cell<Option<heap_gc::StackBlock>>,
    /// Invariant in `T`, like the cells that the values are seen as.
    values: PhantomData<Cell<T>>,
}

impl<T> GcStack<T> {
    /// An empty stack without memory.
    #[must_use]
    pub const fn new() -> GcStack<T> {
        const {
            assert!(
                align_of::<T>() <= MIN_ALIGN && size_of::<T>() > 0,
                "a stack's values have a size, and are aligned to 1 KiB at most"
            );
        }
        GcStack {
            base: Cell::new(NonNull::dangling()),
            len: Cell::new(0),
            capacity: Cell::new(0),
            windows: Cell::new(0),
            stamp: BarrierStamp::new(),
            block: Cell::new(None),
            values: PhantomData,
        }
    }

    /// The height of the stack: the number of values.
    #[inline(always)]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len.get()
    }

    /// Whether the stack has no values.
    #[inline(always)]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len.get() == 0
    }

    /// The number of values for which the stack has memory.
    #[inline(always)]
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity.get()
    }

    /// The values as cells.
    ///
    /// # Safety
    ///
    /// The cells are not used after the block may have changed: no user code runs while they
    /// are in use (SV5), or a window is open (SV2).
    #[inline(always)]
    unsafe fn cells(&self) -> &[Cell<T>] {
        // SAFETY: SV1: initialised; SV3: `Cell` has the layout of `T`, and all access
        // to the values is through cells, on this thread. Without a block the length
        // is 0. The block stays as long as the slice is used, by the contract.
        unsafe { core::slice::from_raw_parts(self.base.get().cast().as_ptr(), self.len.get()) }
    }
}

impl<T: Trace> GcStack<T> {
    /// Runs the write barrier before the values from `from` on, and below `end`, are removed or
    /// replaced (SV4).
    #[inline(always)]
    fn before_change(&self, cx: &Cx, from: usize, end: usize) {
        if T::NEEDS_TRACE && cx.mutator().marking().is_some() {
            self.report(cx, from, end);
        }
    }

    #[cold]
    #[inline(never)]
    fn report(&self, cx: &Cx, from: usize, end: usize) {
        if self.stamp.is_of_this_phase(cx) {
            return;
        }
        let all = 0..self.len.get();
        let values = if all.end <= HIGH || (from == 0 && end == all.end) {
            let is_due = self.stamp.is_due(cx);
            debug_assert!(is_due, "it was not of this phase");
            all
        } else {
            from..end
        };
        assert!(values.start <= values.end && values.end <= self.len.get(), "SV1");
        // SAFETY: initialised values (SV1, just seen) as cells, which a `Cell` has the layout of (SV3).
        // Nothing writes to them until they are reported.
        let values = unsafe {
            let first = self.base.get().as_ptr().add(values.start);
            core::slice::from_raw_parts(first, values.end - values.start)
        };
        // SAFETY: a mark phase is under way. A stack is not `Share`, so only this thread reaches it, and
        // it gives out no references to its values but as cells.
        unsafe { cx.report_all(values) };
    }

    /// Traces values of a block, of which a stack had as many or more when it was found.
    ///
    /// # Safety
    ///
    /// As a [`TracePieceFn`], for a piece of a block (SV6).
    unsafe fn trace_values(block: NonNull<u8>, from: usize, bytes: usize, edges: &mut EdgeBuffer) {
        edges.with_tracer(|tracer| {
            // SAFETY: TA5: the caller is the collector.
            let tracer = unsafe { Tracer::of(tracer) };
            let first = block.cast::<T>().as_ptr();
            for index in from.div_ceil(size_of::<T>())..(from + bytes).div_ceil(size_of::<T>()) {
                // SAFETY: a value of the block (SV6); there are no writers.
                unsafe { (*first.add(index)).trace(tracer) };
            }
        });
    }
}

impl<T: Copy> GcStack<T> {
    /// The value at `index`, counted from the bottom; `None` if the stack is not that high.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, index: usize) -> Option<T> {
        // SAFETY: copies a value, and runs no user code.
        unsafe { self.cells() }.get(index).map(Cell::get)
    }

    /// The topmost value, or `None` if the stack is empty.
    #[inline(always)]
    #[must_use]
    pub fn last(&self) -> Option<T> {
        // SAFETY: copies a value, and runs no user code.
        unsafe { self.cells() }.last().map(Cell::get)
    }
}

impl<T: Copy + Trace> GcStack<T> {
    /// Replaces the value at `index`, counted from the bottom.
    ///
    /// # Panics
    ///
    /// If the stack is not that high.
    #[inline(always)]
    #[track_caller]
    pub fn set(&self, cx: &Cx, index: usize, value: T) {
        if index < self.len.get() {
            self.before_change(cx, index, index + 1);
        }
        // SAFETY: writes a value, which is `Copy`, and runs no user code.
        let cells = unsafe { self.cells() };
        cells[index].set(value);
    }

    /// Puts a value on top.
    ///
    /// # Panics
    ///
    /// As [`GcStack::try_push`]; and if the heap's limit or the system refuses the
    /// memory.
    #[inline(always)]
    #[track_caller]
    pub fn push(&self, cx: &Cx, value: T) {
        if let Err(error) = self.try_push(cx, value) {
            crate::alloc::out_of_memory(error.reason);
        }
    }

    /// Puts a value on top, or gives it back.
    ///
    /// # Errors
    ///
    /// When the stack is full and the heap's limit or the system refuses the memory.
    ///
    /// # Panics
    ///
    /// If the stack is full while a [`GcStackWindow`] is open.
    #[inline(always)]
    #[track_caller]
    pub fn try_push(&self, cx: &Cx, value: T) -> Result<(), AllocError<T>> {
        if self.len.get() == self.capacity.get()
            && let Err(reason) = self.grow(cx, 1)
        {
            return Err(AllocError { value, reason });
        }
        let len = self.len.get();
        // SAFETY: `len` is below the capacity, just seen or made so: within the block.
        unsafe { self.base.get().add(len).write(value) };
        self.len.set(len + 1);
        Ok(())
    }

    /// Removes the topmost value and returns it; `None` if the stack is empty.
    #[inline(always)]
    pub fn pop(&self, cx: &Cx) -> Option<T> {
        let value = self.last()?;
        let len = self.len.get();
        self.before_change(cx, len - 1, len);
        self.len.set(len - 1);
        Some(value)
    }

    /// Removes the values above `height`, if there are any.
    #[inline(always)]
    pub fn truncate(&self, cx: &Cx, height: usize) {
        if height < self.len.get() {
            self.before_change(cx, height, self.len.get());
            self.len.set(height);
        }
    }

    /// Makes the stack `height` values high: removes the values above, or adds copies of
    /// `fill`.
    ///
    /// # Errors
    ///
    /// As [`GcStack::try_reserve`]; the stack is then as it was.
    ///
    /// # Panics
    ///
    /// As [`GcStack::try_reserve`].
    #[track_caller]
    pub fn try_resize(&self, cx: &Cx, height: usize, fill: T) -> Result<(), OutOfMemory> {
        while height > self.capacity.get() {
            self.grow(cx, height - self.len.get())?;
        }
        if height < self.len.get() {
            self.before_change(cx, height, self.len.get());
        }
        for index in self.len.get()..height {
            // SAFETY: below the capacity.
            unsafe { self.base.get().add(index).write(fill) };
        }
        self.len.set(height);
        Ok(())
    }

    /// Makes room for `additional` values on top: that many can be pushed without a further
    /// allocation.
    ///
    /// # Errors
    ///
    /// When the heap's limit or the system refuses the memory.
    ///
    /// # Panics
    ///
    /// If the stack has to grow while a [`GcStackWindow`] is open.
    #[inline]
    #[track_caller]
    pub fn try_reserve(&self, cx: &Cx, additional: usize) -> Result<(), OutOfMemory> {
        if additional <= self.capacity.get() - self.len.get() {
            return Ok(());
        }
        self.grow(cx, additional)
    }

    #[cold]
    #[inline(never)]
    #[track_caller]
    fn grow(&self, cx: &Cx, additional: usize) -> Result<(), OutOfMemory> {
        self.assert_no_window();
        while additional > self.capacity.get() - self.len.get() {
            let height = self.len.get().checked_add(additional).ok_or(OutOfMemory::TooLarge)?;
            let height = height.max(self.capacity.get().saturating_mul(2));
            self.move_to(cx, height)?;
        }
        Ok(())
    }

    /// Moves the values to the smallest block that has room for them, if they fill half of
    /// the present one or less: after a deep recursion, say. An empty stack returns all its
    /// memory. (Go: `shrinkstack`.)
    ///
    /// # Errors
    ///
    /// When the memory for the smaller block is refused; the stack is then as it was.
    ///
    /// # Panics
    ///
    /// If a [`GcStackWindow`] is open.
    #[track_caller]
    pub fn shrink(&self, cx: &Cx) -> Result<(), OutOfMemory> {
        self.assert_no_window();
        match self.len.get() {
            0 => self.exchange(cx, None),
            len if len <= self.capacity.get() / 2 => return self.move_to(cx, len),
            _ => {}
        }
        Ok(())
    }

    /// Moves the values to a block for `height` of them. Leaves them where they are if
    /// there are now more than fit in it (SV5).
    #[track_caller]
    fn move_to(&self, cx: &Cx, height: usize) -> Result<(), OutOfMemory> {
        let bytes = height.checked_mul(size_of::<T>()).ok_or(OutOfMemory::TooLarge)?;
        // May run code of the program's (SV5).
        let block = cx.mutator().stack_block(bytes)?;
        if self.len.get() <= block.bytes() / size_of::<T>() {
            self.exchange(cx, Some(block));
        } else {
            cx.mutator().return_stack_block(block);
        }
        Ok(())
    }

    /// Moves the values to another block, in which they fit. No other function moves them
    /// (SV2).
    #[track_caller]
    fn exchange(&self, cx: &Cx, block: Option<heap_gc::StackBlock>) {
        self.assert_no_window();
        let (base, capacity) = match &block {
            Some(block) => (block.base().cast(), block.bytes() / size_of::<T>()),
            None => (NonNull::dangling(), 0),
        };
        let len = self.len.get();
        assert!(len <= capacity, "SV1: the values do not fit");
        // SAFETY: `len` values in the old block, which is ours, and room for them in
        // another; if `len` is 0 there may be no block.
        unsafe { base.copy_from_nonoverlapping(self.base.get(), len) };
        self.base.set(base);
        self.capacity.set(capacity);
        if let Some(old) = self.block.replace(block) {
            cx.mutator().return_stack_block(old);
        }
    }

    #[track_caller]
    fn assert_no_window(&self) {
        assert!(self.windows.get() == 0, "a stack cannot move while a window on it is open");
    }

    /// Opens a window: the values of the stack as a slice of cells, which are read and
    /// written without further checks or barriers. While it is open the stack cannot grow
    /// beyond its capacity or shrink its memory, so reserve first. The window borrows `cx`,
    /// so no safepoint can come.
    ///
    /// ```
    /// use heap_api::{Config, GcStack, Heap};
    ///
    /// let heap = Heap::new(Config::new());
    /// let cx = heap.enter();
    /// let stack = GcStack::new();
    /// stack.try_resize(&cx, 3, 0_i64)?;
    /// let registers = stack.window(&cx);
    /// registers[0].set(20);
    /// registers[2].set(registers[0].get() + 1);
    /// drop(registers);
    /// assert_eq!(stack.pop(&cx), Some(21));
    /// # Ok::<(), heap_api::OutOfMemory>(())
    /// ```
    #[inline]
    pub fn window<'a>(&'a self, cx: &'a Cx) -> GcStackWindow<'a, T> {
        self.window_from(cx, 0)
    }

    /// The same for the values from `height` on, such as an interpreter's registers of the function that
    /// runs: in a mark phase only these are reported, where a window on all of a high stack takes some
    /// ten nanoseconds for each value, once.
    ///
    /// # Panics
    ///
    /// If the stack is not that high.
    #[inline]
    #[track_caller]
    pub fn window_from<'a>(&'a self, cx: &'a Cx, height: usize) -> GcStackWindow<'a, T> {
        assert!(height <= self.len.get(), "the stack has {} values", self.len.get());
        self.before_change(cx, height, self.len.get());
        self.windows.set(self.windows.get() + 1);
        // SAFETY: the window is open, and the block stays until it is closed (SV2).
        let cells = unsafe { self.cells() };
        GcStackWindow { cells: &cells[height..], windows: &self.windows, cx: PhantomData }
    }
}

/// The values of a [`GcStack`] as cells; see [`GcStack::window`].
///
/// It has the values up to the height at which it was opened. A value that is popped stays
/// readable in the window; one that is pushed in its place is seen there.
pub struct GcStackWindow<'a, T> {
    cells: &'a [Cell<T>],
    windows: &'a Cell<usize>,
    cx: PhantomData<&'a Cx>,
}

impl<T> Deref for GcStackWindow<'_, T> {
    type Target = [Cell<T>];
    #[inline(always)]
    fn deref(&self) -> &[Cell<T>] {
        self.cells
    }
}

impl<T> Drop for GcStackWindow<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.windows.set(self.windows.get() - 1);
    }
}

impl<T: Copy + fmt::Debug> fmt::Debug for GcStackWindow<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.cells).finish()
    }
}

impl<T> Default for GcStack<T> {
    fn default() -> Self {
        GcStack::new()
    }
}

impl<T: Copy + fmt::Debug> fmt::Debug for GcStack<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // By index: printing a value may change the stack (SV5).
        f.debug_list().entries((0..).map_while(|index| self.get(index))).finish()
    }
}

// SAFETY: reports the values that can be read (SV1, TA1); `At` replaces their region
// (TA2). The drop glue returns the block, which is `Send`, and reads no value: they
// are `Copy` (TA3, TA4). The raw read stands for `get` without asking for `Copy`:
// tracing happens while there is no writer and no window in use (TA5, SV4), even if one
// was leaked.
unsafe impl<T: Trace> Trace for GcStack<T> {
    type At<'a> = GcStack<T::At<'a>>;
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;
    #[inline]
    fn trace(&self, tracer: &mut Tracer) {
        if !T::NEEDS_TRACE || tracer.0.weakness() == Weakness::Clear {
            // Ephemerons are not `Copy`: there is nothing to clear.
            return;
        }
        let end = self.len.get() * size_of::<T>();
        if end > PIECE_BYTES && tracer.0.weakness() == Weakness::Weak {
            let trace = Some(Self::trace_values as TracePieceFn);
            let piece = Piece { object: self.base.get().cast(), from: 0, end, trace };
            // SAFETY: there is no writer (TA5).
            if let Some(block) = unsafe { &*self.block.as_ptr() } {
                block.note_pieces();
            }
            // SAFETY: SV6: a block of more than that is a large one, and was noted.
            if unsafe { tracer.0.defer(piece) }.is_ok() {
                return;
            }
        }
        // SAFETY: a `trace` does not allocate in the heap, so no stack moves during it.
        for cell in unsafe { self.cells() } {
            // SAFETY: see the impl.
            unsafe { (*cell.as_ptr()).trace(tracer) }
        }
    }
}
