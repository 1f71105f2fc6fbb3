//! [`Central`]: the spans of one kind and size class that no mutator caches.
//! (Go: `mcentral.go`.)
//!
//! Two lists, spans with free slots and spans without, each in two halves: the
//! swept and the unswept ones. When the clock advances the halves swap roles.
//! Lock-free: the lists are [`SpanSet`]s. A mutator takes what a list gives, in
//! about the order in which the spans were swept: fullest, emptiest and lowest
//! first were measured, see `docs/decisions/006-span-choice.md`.
//!
//! * N1: a span in a swept half has phase `Swept`; in an unswept half it has
//!   phase `NeedsSweep`.
//! * N2: popping a span is not owning it; a claim or a cache token is.

use crate::kind::ObjectKind;
use crate::mspan::Span;
use crate::size_class::SizeClass;
use crate::span_set::SpanSet;
use crate::sweep_gen::SweepGen;

/// The lists of one kind and size class.
#[derive(Debug)]
pub struct Central {
    kind: &'static ObjectKind,
    class: SizeClass,
    partial: [SpanSet<Span>; 2],
    full: [SpanSet<Span>; 2],
}

impl Central {
    pub(crate) fn new(kind: &'static ObjectKind, class: SizeClass) -> Central {
        Central {
            kind,
            class,
            partial: [SpanSet::new(), SpanSet::new()],
            full: [SpanSet::new(), SpanSet::new()],
        }
    }

    /// Kind of the objects.
    #[must_use]
    pub fn kind(&self) -> &'static ObjectKind {
        self.kind
    }

    /// Size class of the slots.
    #[must_use]
    pub fn class(&self) -> SizeClass {
        self.class
    }

    /// Swept spans with free slots.
    pub(crate) fn partial_swept(&self, now: SweepGen) -> &SpanSet<Span> {
        &self.partial[now.swept_half()]
    }

    /// Swept spans without.
    pub(crate) fn full_swept(&self, now: SweepGen) -> &SpanSet<Span> {
        &self.full[now.swept_half()]
    }

    /// Unswept spans that had free slots.
    pub(crate) fn partial_unswept(&self, now: SweepGen) -> &SpanSet<Span> {
        &self.partial[now.unswept_half()]
    }

    /// Unswept spans that had none.
    pub(crate) fn full_unswept(&self, now: SweepGen) -> &SpanSet<Span> {
        &self.full[now.unswept_half()]
    }
}
