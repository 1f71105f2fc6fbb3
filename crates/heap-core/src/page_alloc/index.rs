//! Finds the first arena with a free run of some length.
//!
//! A tree of maxima over the arenas in address order: a node is the longest free
//! run of the arenas below it. Runs never cross an arena, so maxima are enough.

/// Children of a node; a node's children share a cache line.
const FANOUT: usize = 32;

/// The tree; `levels[0]` has one entry per arena, the last level in use one in all.
#[derive(Default)]
pub(super) struct Index {
    levels: Vec<Vec<u16>>,
    /// Levels in use; those above are empty, and keep their memory.
    height: usize,
}

impl Index {
    /// Makes room for a tree over `arenas` arenas. `None` if there is no memory: then
    /// nothing has changed.
    pub(super) fn reserve(&mut self, arenas: usize) -> Option<()> {
        let (mut level, mut len) = (0, arenas);
        loop {
            if level == self.levels.len() {
                self.levels.try_reserve(1).ok()?;
                self.levels.push(Vec::new());
            }
            let nodes = &mut self.levels[level];
            nodes.try_reserve(len.saturating_sub(nodes.len())).ok()?;
            if len <= 1 {
                return Some(());
            }
            len = len.div_ceil(FANOUT);
            level += 1;
        }
    }

    /// Rebuilds the tree over these longest runs, for which there is room.
    pub(super) fn rebuild(&mut self, runs: impl Iterator<Item = usize>) {
        self.levels.iter_mut().for_each(Vec::clear);
        self.height = 1;
        self.levels[0].extend(runs.map(|run| run as u16));
        while self.levels[self.height - 1].len() > 1 {
            let (below, above) = self.levels.split_at_mut(self.height);
            above[0].extend(below[self.height - 1].chunks(FANOUT).map(largest));
            self.height += 1;
        }
    }

    fn levels(&self) -> &[Vec<u16>] {
        &self.levels[..self.height]
    }

    /// The longest free run of all.
    pub(super) fn largest(&self) -> usize {
        self.levels().last().and_then(|top| top.first()).map_or(0, |&run| run.into())
    }

    /// The longest free run of one arena.
    pub(super) fn get(&self, arena: usize) -> usize {
        self.levels[0][arena].into()
    }

    /// Sets the longest free run of `arena` to `run`.
    pub(super) fn set(&mut self, arena: usize, run: usize) {
        let (mut at, mut run) = (arena, run as u16);
        for level in 0..self.height {
            if std::mem::replace(&mut self.levels[level][at], run) == run {
                return;
            }
            at /= FANOUT;
            run = largest(self.children(level + 1, at));
        }
    }

    /// The first arena with a free run of at least `npages`.
    pub(super) fn first(&self, npages: usize) -> Option<usize> {
        if self.largest() < npages {
            return None;
        }
        (0..self.height - 1).rev().try_fold(0, |node, level| {
            let fits = |&run: &u16| usize::from(run) >= npages;
            Some(node * FANOUT + self.children(level + 1, node).iter().position(fits)?)
        })
    }

    /// Compares the upper levels with a new tree over the lowest.
    pub(super) fn check(&self) -> Result<(), String> {
        let mut fresh = Index::default();
        let runs = self.levels().first().into_iter().flatten().map(|&run| run.into());
        if self.height == 0 {
            return Ok(());
        }
        fresh.reserve(self.levels[0].len()).expect("memory for the check");
        fresh.rebuild(runs);
        if fresh.levels() == self.levels() {
            Ok(())
        } else {
            Err(format!("P4: the tree over the arenas is {:?}", self.levels()))
        }
    }

    /// The children of node `at` of `level`, which are in the level below.
    fn children(&self, level: usize, at: usize) -> &[u16] {
        let below = &self.levels[level - 1];
        &below[(at * FANOUT).min(below.len())..((at + 1) * FANOUT).min(below.len())]
    }
}

fn largest(runs: &[u16]) -> u16 {
    runs.iter().copied().max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn build(runs: &[usize]) -> Index {
        let mut index = Index::default();
        index.reserve(runs.len()).expect("memory");
        index.rebuild(runs.iter().copied());
        index
    }

    #[test]
    fn an_empty_index_finds_nothing() {
        for index in [Index::default(), build(&[])] {
            assert_eq!((index.largest(), index.first(1)), (0, None));
        }
    }

    proptest! {
        #[test]
        fn first_fit_equals_a_linear_scan(
            mut runs in prop::collection::vec(0..9000_usize, 1..2500),
            changes in prop::collection::vec((any::<prop::sample::Index>(), 0..9000_usize), 0..40),
            wanted in prop::collection::vec(1..9000_usize, 10),
        ) {
            let mut index = build(&runs);
            for (at, run) in changes {
                let at = at.index(runs.len());
                runs[at] = run;
                index.set(at, run);
            }
            prop_assert_eq!(index.largest(), *runs.iter().max().unwrap());
            for npages in wanted {
                let slow = runs.iter().position(|&run| run >= npages);
                prop_assert_eq!(index.first(npages), slow);
            }
        }
    }
}
