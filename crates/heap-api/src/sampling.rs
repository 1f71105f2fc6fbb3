//! Allocation sampling as an embedder sees it: the stack hook, and the profile.
//!
//! `Config::sample_allocations` switches it on; what is sampled and what is kept of it is described
//! in `docs/design/sampling.md`.

use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

use heap_gc::Frames;
use heap_observe::{AllocationProfile, AllocationSite, Frame};

use crate::cx::Cx;
use crate::heap::Heap;

impl Cx {
    /// Sets the function that is called for each allocation of this context that is sampled, to
    /// write down the stack of the program's language: the innermost frame first. Without one the
    /// profile shows types only. It replaces the one before, and is dropped with the context.
    ///
    /// It runs in the middle of an allocation. It may read the heap. It must not allocate in it,
    /// nor take what the code around an allocation may hold: a borrow of a `RefCell`, a lock.
    ///
    /// ```
    /// use std::cell::Cell;
    /// use std::rc::Rc;
    ///
    /// use heap_api::{Config, Heap};
    ///
    /// let heap = Heap::new(Config::new().sample_bytes(1));
    /// let mut cx = heap.enter();
    /// let line = Rc::new(Cell::new(0));
    /// let at = Rc::clone(&line);
    /// cx.set_stack_hook(move |_cx, frames| {
    ///     frames.push("main", "script.lua", at.get());
    /// });
    /// for n in 1..=3 {
    ///     line.set(n);
    ///     cx.alloc([n; 8]);
    /// }
    /// let profile = heap.allocation_profile().expect("the heap samples");
    /// let lines: Vec<u32> = profile.sites.iter().map(|site| site.frames[0].line).collect();
    /// assert_eq!(lines, [1, 2, 3]);
    /// assert_eq!(profile.allocated_bytes(), 96);
    /// // Nothing holds them.
    /// cx.collect();
    /// assert_eq!(heap.allocation_profile().unwrap().live_bytes(), 0);
    /// ```
    ///
    /// # Panics
    ///
    /// The allocation panics if the hook does, or if the hook allocates in the heap or asks it for a
    /// stack. The heap is none the worse for it.
    pub fn set_stack_hook(&self, hook: impl Fn(&Cx, &mut Frames) + 'static) {
        let before = self.mutator().set_stack_hook(Some(Rc::new(move |mutator, frames| {
            // SAFETY: the mutator of this context calls it.
            hook(unsafe { Cx::of_mutator(mutator) }, frames);
        })));
        drop(before);
    }

    /// Removes the function that [`Cx::set_stack_hook`] has set.
    pub fn clear_stack_hook(&self) {
        let before = self.mutator().set_stack_hook(None);
        drop(before);
    }
}

impl Heap {
    /// Where the objects were allocated that were sampled, with estimates of all that were
    /// allocated and of what the last completed collection has found alive. `None` if the heap does
    /// not sample ([`Config::sample_allocations`](crate::Config::sample_allocations)). It stops no
    /// mutator; those that come to a sampled allocation meanwhile wait.
    ///
    /// [`AllocationProfile::write_pprof`] writes it as a file for `go tool pprof`.
    ///
    /// ```
    /// use heap_api::{Config, Heap};
    ///
    /// let heap = Heap::new(Config::new().sample_bytes(4 << 10));
    /// let mut cx = heap.enter();
    /// let kept: Vec<_> = (0..10_000_u64).map(|n| cx.root(cx.alloc([n; 4]))).collect();
    /// cx.collect();
    /// let profile = heap.allocation_profile().expect("the heap samples");
    /// let (live, kept) = (profile.live_bytes() as f64, (kept.len() * 32) as f64);
    /// assert!((live / kept - 1.0).abs() < 0.5, "{live} is an estimate of {kept}");
    /// ```
    #[must_use]
    pub fn allocation_profile(&self) -> Option<AllocationProfile> {
        let mut profile = AllocationProfile::default();
        let mut strings = HashSet::new();
        let mut shared = |text: &str| match strings.get(text) {
            Some(known) => Arc::clone(known),
            None => {
                let new: Arc<str> = text.into();
                strings.insert(Arc::clone(&new));
                new
            }
        };
        // The figures need the rate, which is known at the end.
        let mut counts = Vec::new();
        let totals = self.shared().each_sampled_site(|site| {
            counts.push((site.allocated_samples, site.live_samples));
            let frames = site.frames().map(|frame| Frame {
                function: shared(frame.function),
                file: shared(frame.file),
                line: frame.line,
                first_line: frame.first_line,
            });
            let frames = frames.collect();
            profile.sites.push(AllocationSite {
                type_name: shared(site.kind),
                slot_bytes: site.slot_bytes as u64,
                frames,
                allocated: Default::default(),
                live: Default::default(),
            });
        })?;
        profile.sample_bytes = totals.sample_bytes as u64;
        profile.lost_samples = totals.lost_samples;
        let mut sites = std::mem::take(&mut profile.sites);
        for (site, (allocated, live)) in sites.iter_mut().zip(counts) {
            site.allocated = profile.count(site.slot_bytes, allocated);
            site.live = profile.count(site.slot_bytes, live);
        }
        profile.sites = sites;
        Some(profile)
    }
}
