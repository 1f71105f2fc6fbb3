//! [`Frames`]: the stack trace of one sample, as the embedder's hook writes it down.

use super::Frame;

/// Frames beyond this many are left out.
const DEPTH_MAX: usize = 128;

/// The stack of the program's language at an allocation that is sampled, the innermost frame first.
/// A hook pushes the frames (`Cx::set_stack_hook` of heap-api).
#[derive(Debug, Default)]
pub struct Frames {
    /// The names and files of all frames.
    text: String,
    frames: Vec<Pushed>,
    /// The system had no memory for a frame.
    is_refused: bool,
}

#[derive(Clone, Copy, Debug)]
struct Pushed {
    function_end: usize,
    file_end: usize,
    line: u32,
    first_line: u32,
}

impl Frames {
    /// Adds the next frame outwards: the name of its function, the file and the line that it
    /// executes (an empty string, and 0, where there is none).
    pub fn push(&mut self, function: &str, file: &str, line: u32) {
        self.push_function(function, file, line, 0);
    }

    /// As [`Frames::push`], with the line on which the function begins. Tools tell functions of the
    /// same name in the same file apart by it.
    pub fn push_function(&mut self, function: &str, file: &str, line: u32, first_line: u32) {
        if self.is_full() || self.is_refused {
            return;
        }
        let text_is_refused = self.text.try_reserve(function.len() + file.len()).is_err();
        if text_is_refused || self.frames.try_reserve(1).is_err() {
            self.is_refused = true;
            return;
        }
        self.text.push_str(function);
        let function_end = self.text.len();
        self.text.push_str(file);
        let file_end = self.text.len();
        self.frames.push(Pushed { function_end, file_end, line, first_line });
    }

    /// Whether further frames would be left out: there are 128.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.frames.len() == DEPTH_MAX
    }

    /// Frames so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether there are none yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The frames with their strings interned; `None` if there is no memory, or was none.
    pub(super) fn intern(&self, mut intern: impl FnMut(&str) -> Option<u32>) -> Option<Vec<Frame>> {
        if self.is_refused {
            return None;
        }
        let mut stack = Vec::new();
        stack.try_reserve_exact(self.frames.len()).ok()?;
        let mut start = 0;
        for frame in &self.frames {
            let Pushed { function_end, file_end, line, first_line } = *frame;
            let function = intern(&self.text[start..function_end])?;
            let file = intern(&self.text[function_end..file_end])?;
            stack.push(Frame { function, file, line, first_line });
            start = file_end;
        }
        Some(stack)
    }
}

#[cfg(all(test, not(heap_loom)))]
mod tests {
    use super::*;

    #[test]
    fn frames_are_kept_in_order_and_the_outermost_are_left_out() {
        let mut frames = Frames::default();
        (0..200).for_each(|n| frames.push_function(&format!("f{n}"), "file", n, n / 2));
        assert!(frames.is_full() && frames.len() == 128);
        let mut strings = Vec::new();
        let interned = frames.intern(|text| {
            strings.push(text.to_owned());
            u32::try_from(strings.len() - 1).ok()
        });
        let interned = interned.expect("memory");
        for (n, frame) in (0..).zip(&interned) {
            assert_eq!(strings[frame.function as usize], format!("f{n}"));
            assert_eq!(strings[frame.file as usize], "file");
            assert_eq!((frame.line, frame.first_line), (n, n / 2));
        }
        assert_eq!(interned.len(), 128);
    }
}
