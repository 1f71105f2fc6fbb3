//! [`Reports`]: what the program writes about the heap when it ends, after the script's output.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use heap_api::Heap;

use crate::command_line::Options;
use crate::{gc_stats, report};

/// Which reports the command line asks for.
#[derive(Clone, Debug)]
pub(crate) struct Reports {
    profile: Option<PathBuf>,
    stats: bool,
    stress: bool,
}

impl Reports {
    /// Those of these options; `None` if there are none.
    pub(crate) fn wanted(options: &Options) -> Option<Reports> {
        let reports = Reports {
            profile: options.alloc_profile.clone(),
            stats: options.gc_stats,
            stress: options.gc_stress,
        };
        (reports.profile.is_some() || reports.stats || reports.stress).then_some(reports)
    }

    /// Whether a profile is wanted. Its live figures are those of the last collection.
    pub(crate) fn have_profile(&self) -> bool {
        self.profile.is_some()
    }

    /// Writes them.
    ///
    /// # Errors
    ///
    /// The message, if the file of the profile cannot be written; the other reports are.
    pub(crate) fn write(&self, heap: &Heap) -> Result<(), String> {
        if self.stats {
            report(gc_stats::report(&heap.stats()));
        } else if self.stress {
            report(format_args!("gc-stress: {} collections\n", heap.stats().collections));
        }
        let Some(file) = &self.profile else { return Ok(()) };
        write_profile(file, heap)
            .map_err(|error| format!("cannot write {}: {error}", file.display()))
    }
}

fn write_profile(file: &Path, heap: &Heap) -> io::Result<()> {
    let profile = heap.allocation_profile().unwrap_or_default();
    profile.write_pprof(File::create(file)?)
}
