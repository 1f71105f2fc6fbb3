//! [`Queue`]: where a worker keeps the pages that it has to scan.

use std::collections::VecDeque;

use crossbeam_deque::{Steal, Stealer, Worker as Deque};
use heap_core::location::Location;
use heap_core::page_flag::{MarkMode, Parallel, Serial};
use heap_core::prefetch::prefetch_later;
use heap_sync::lock::Mutex;

/// A page with grey objects: its first byte.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page(Location);

impl Page {
    /// The page that an object of the heap being marked lies on.
    #[inline(always)]
    pub(crate) fn of(object: Location) -> Page {
        Page(object.page())
    }

    /// Its first byte.
    #[inline(always)]
    pub(super) fn location(self) -> Location {
        self.0
    }
}

/// There was no memory to queue a page (MK5).
#[derive(Debug)]
#[must_use]
pub(crate) struct PageLost;

/// Adds a page to a list.
pub(crate) fn push(list: &mut Vec<Page>, page: Page) -> Result<(), PageLost> {
    if list.len() == list.capacity() {
        list.try_reserve(1).map_err(|_| PageLost)?;
    }
    list.push(page);
    Ok(())
}

/// The pages of a worker.
pub(super) trait Queue {
    /// Whether other workers mark at the same time.
    type MarkMode: MarkMode;
    fn push(&mut self, page: Page) -> Result<(), PageLost>;
    fn pop(&mut self) -> Option<Page>;
    fn is_empty(&self) -> bool;
}

impl Queue for VecDeque<Page> {
    type MarkMode = Serial;
    #[inline(always)]
    fn push(&mut self, page: Page) -> Result<(), PageLost> {
        if self.len() == self.capacity() {
            self.try_reserve(1).map_err(|_| PageLost)?;
        }
        self.push_back(page);
        Ok(())
    }
    #[inline(always)]
    fn pop(&mut self) -> Option<Page> {
        let page = self.pop_front()?;
        // The marks of the page after next will be there when it is its turn.
        if let Some(soon) = self.get(1) {
            for line in soon.0.page_marks().chunks_exact(64) {
                prefetch_later(line.as_ptr().cast());
            }
        }
        Some(page)
    }
    #[inline(always)]
    fn is_empty(&self) -> bool {
        VecDeque::is_empty(self)
    }
}

/// Pages that other workers may steal: a deque of `crossbeam-deque` is made with room for this many,
/// takes no memory as long as it has no more, and would end the process if it was refused some.
const STEALABLE: usize = 64;
/// If there are fewer, some of the others are moved there.
const STEALABLE_LOW: usize = 16;

/// The pages of one of several workers: a bounded part that others may steal from, and the rest.
#[derive(Debug)]
pub(super) struct SharedQueue {
    stealable: Deque<Page>,
    rest: VecDeque<Page>,
}

impl SharedQueue {
    fn new() -> SharedQueue {
        SharedQueue { stealable: Deque::new_fifo(), rest: VecDeque::new() }
    }

    fn stealer(&self) -> Stealer<Page> {
        self.stealable.stealer()
    }

    /// Takes a page of another worker, and moves some more here. The queue is empty.
    pub(super) fn steal_from(&self, victim: &Stealer<Page>) -> Steal<Page> {
        // Half of them, and 32 at most: there is room.
        victim.steal_batch_and_pop(&self.stealable)
    }

    /// Gives back what a large heap took.
    fn shrink(&mut self) {
        if self.rest.capacity() > STEALABLE * 64 {
            self.rest = VecDeque::new();
        }
    }
}

impl Queue for SharedQueue {
    type MarkMode = Parallel;
    #[inline(always)]
    fn push(&mut self, page: Page) -> Result<(), PageLost> {
        if self.rest.is_empty() && self.stealable.len() < STEALABLE {
            self.stealable.push(page);
            return Ok(());
        }
        if self.rest.len() == self.rest.capacity() {
            self.rest.try_reserve(1).map_err(|_| PageLost)?;
        }
        self.rest.push_back(page);
        Ok(())
    }
    #[inline(always)]
    fn pop(&mut self) -> Option<Page> {
        if !self.rest.is_empty() && self.stealable.len() < STEALABLE_LOW {
            let count = self.rest.len().min(STEALABLE - STEALABLE_LOW);
            self.rest.drain(..count).for_each(|page| self.stealable.push(page));
        }
        // Others may have stolen all of them.
        self.stealable.pop().or_else(|| self.rest.pop_front())
    }
    #[inline(always)]
    fn is_empty(&self) -> bool {
        self.stealable.is_empty() && self.rest.is_empty()
    }
}

/// The queues of all that mark at the same time, made with the heap: the first is the collecting
/// thread's.
pub(super) struct SharedQueues {
    stealers: Box<[Stealer<Page>]>,
    queues: Box<[Mutex<Option<SharedQueue>>]>,
}

impl SharedQueues {
    /// Queues for the collecting thread and `helpers` others; none if it is alone.
    pub(super) fn new(helpers: usize) -> SharedQueues {
        let count = if helpers == 0 { 0 } else { helpers + 1 };
        let queues: Vec<SharedQueue> = (0..count).map(|_| SharedQueue::new()).collect();
        SharedQueues {
            stealers: queues.iter().map(SharedQueue::stealer).collect(),
            queues: queues.into_iter().map(|queue| Mutex::new(Some(queue))).collect(),
        }
    }

    /// How others take from them.
    pub(super) fn stealers(&self) -> &[Stealer<Page>] {
        &self.stealers
    }

    /// The queue of a worker, which puts it back when its work is done.
    pub(super) fn take(&self, worker: usize) -> SharedQueue {
        self.queues[worker].lock().take().expect("a worker slot is taken once")
    }

    /// Takes a queue back, which is empty.
    pub(super) fn put_back(&self, worker: usize, mut queue: SharedQueue) {
        debug_assert!(queue.is_empty(), "MK1");
        queue.shrink();
        *self.queues[worker].lock() = Some(queue);
    }
}
