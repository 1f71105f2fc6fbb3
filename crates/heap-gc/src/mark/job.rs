//! [`MarkJob`]: what the workers of a step of marking share.

use std::collections::VecDeque;

use crossbeam_deque::Stealer;
use heap_core::marks::Isa;
use heap_sync::lock::Mutex;

use super::deadline::Deadline;
use super::ephemerons::Ephemerons;
use super::pieces::{Pieces, SharedPiece};
use super::queue::Page;
use super::termination::Termination;

/// What the workers of a step share.
#[derive(Debug)]
pub(super) struct MarkJob {
    pub(super) isa: Isa,
    pub(super) stealers: Vec<Stealer<Page>>,
    pub(super) termination: Termination,
    pub(super) pieces: Pieces,
    /// When to leave the work for later.
    pub(super) deadline: Deadline,
    /// Pages that were left for later.
    pub(super) left: Mutex<VecDeque<Page>>,
    /// Changed by a worker that is alone, and read by all (EP2); besides, workers that end leave here
    /// what they have found.
    pub(super) ephemerons: Mutex<Ephemerons>,
}

impl MarkJob {
    pub(super) fn new(
        isa: Isa,
        stealers: Vec<Stealer<Page>>,
        pieces: Vec<SharedPiece>,
        ephemerons: Ephemerons,
        deadline: Deadline,
    ) -> MarkJob {
        MarkJob {
            isa,
            stealers,
            termination: Termination::new(),
            pieces: Pieces::new(pieces),
            deadline,
            left: Mutex::default(),
            ephemerons: Mutex::new(ephemerons),
        }
    }
}
