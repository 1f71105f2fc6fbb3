//! Strings made in the heap: from parts, by formatting, and behind a header ([`HeaderStr`]).

use core::fmt::{self, Write};
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use heap_core::kind::ObjectKind;

use crate::alloc::or_panic;
use crate::cx::Cx;
use crate::error::{AllocError, OutOfMemory};
use crate::gc::Gc;
use crate::payload::{HeaderSlice, HeaderSliceLayout, Payload};
use crate::share::Share;
use crate::trace::Trace;

/// A header and a string in one object, behind a one-word handle: a string with its hash, say.
///
/// ```
/// use heap_api::{Config, Heap};
///
/// let heap = Heap::new(Config::new());
/// let cx = heap.enter();
/// let name = cx.alloc_header_str(0xADA_u32, "ada");
/// assert_eq!((name.header, &name.text), (0xADA, "ada"));
/// ```
#[repr(C)]
#[derive(Debug)]
pub struct HeaderStr<H> {
    len: usize,
    /// The fixed part.
    pub header: H,
    /// The string.
    pub text: str,
}

/// A byte of a text. A type of its own, so that the kind of a [`HeaderStr`] is not that of a
/// [`HeaderSlice`] of bytes, which may be any (K4).
#[derive(Clone, Copy, heap_derive::Trace)]
#[repr(transparent)]
struct TextByte(u8);

// SAFETY: as a `HeaderSlice` of bytes, which are valid UTF-8: nothing else makes objects of this
// kind, because no other module can name `TextByte`.
unsafe impl<H: Trace> Payload for HeaderStr<H> {
    type At<'a> = HeaderStr<H::At<'a>>;
    const KIND: &'static ObjectKind = HeaderSliceLayout::<H, TextByte>::KIND_REF;

    #[inline(always)]
    unsafe fn from_thin<'a>(object: NonNull<u8>) -> &'a Self {
        // SAFETY: the caller promises an object that `alloc_header_str` wrote; both types are
        // `repr(C)` with the same fields, and `str` has the layout of `[u8]`.
        unsafe {
            let bytes = core::ptr::from_ref(HeaderSlice::<H, u8>::from_thin(object));
            &*(bytes as *const HeaderStr<H>)
        }
    }
}

// SAFETY: the header, and immutable bytes.
unsafe impl<H: Share> Share for HeaderStr<H> {}

impl Cx {
    /// Allocates a header followed by a copy of `text`.
    ///
    /// # Panics
    ///
    /// As [`Cx::alloc`].
    #[track_caller]
    pub fn alloc_header_str<'gc, H: Trace<At<'gc> = H>>(
        &'gc self,
        header: H,
        text: &str,
    ) -> Gc<'gc, HeaderStr<H>> {
        or_panic(self.try_alloc_header_str(header, text))
    }

    /// Allocates a header followed by a copy of `text`.
    ///
    /// # Errors
    ///
    /// As [`Cx::try_alloc`]; the header is given back.
    pub fn try_alloc_header_str<'gc, H: Trace<At<'gc> = H>>(
        &'gc self,
        header: H,
        text: &str,
    ) -> Result<Gc<'gc, HeaderStr<H>>, AllocError<H>> {
        let bytes = text.as_bytes();
        // SAFETY: a `TextByte` is a byte.
        let bytes = unsafe { core::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len()) };
        let bytes = self.try_alloc_header_slice_copy::<H, TextByte>(header, bytes)?;
        // SAFETY: `HeaderStr` has the layout of a `HeaderSlice` of bytes, and these are UTF-8.
        Ok(unsafe { Gc::from_object(bytes.object()) })
    }

    /// Allocates the parts as one string.
    ///
    /// ```
    /// use heap_api::{Config, Heap};
    ///
    /// let heap = Heap::new(Config::new());
    /// let cx = heap.enter();
    /// let name = cx.alloc_str("ada");
    /// assert_eq!(&*cx.alloc_str_concat(&["<", &name, ">"]), "<ada>");
    /// ```
    ///
    /// # Panics
    ///
    /// As [`Cx::alloc`].
    #[track_caller]
    pub fn alloc_str_concat<'gc>(&'gc self, parts: &[&str]) -> Gc<'gc, str> {
        or_panic(self.try_alloc_str_concat(parts))
    }

    /// Allocates the parts as one string.
    ///
    /// # Errors
    ///
    /// As [`Cx::try_alloc`].
    pub fn try_alloc_str_concat<'gc>(
        &'gc self,
        parts: &[&str],
    ) -> Result<Gc<'gc, str>, AllocError> {
        let refused = |reason| AllocError { value: (), reason };
        let len = parts.iter().try_fold(0_usize, |len, part| len.checked_add(part.len()));
        let len = len.ok_or(refused(OutOfMemory::TooLarge))?;
        // SAFETY: written to below.
        let object = unsafe { self.header_slice_slot::<(), u8>(len) }.map_err(refused)?;
        // SAFETY: a fresh slot for `len` bytes, which are those of all parts; strings one after
        // the other are a string.
        unsafe {
            let mut to = object.add(HeaderSliceLayout::<(), u8>::TAIL);
            for part in parts {
                to.copy_from_nonoverlapping(NonNull::from(*part).cast(), part.len());
                to = to.add(part.len());
            }
            object.cast::<usize>().write(len);
            Ok(Gc::from_object(object))
        }
    }

    /// Allocates formatted text. Up to half a kilobyte it needs no memory but the heap's; longer
    /// texts are built in a `String` first.
    ///
    /// ```
    /// use heap_api::{Config, Heap};
    ///
    /// let heap = Heap::new(Config::new());
    /// let cx = heap.enter();
    /// let line = cx.alloc_fmt(format_args!("{:>5}: {}", 7, "seven"));
    /// assert_eq!(&*line, "    7: seven");
    /// ```
    ///
    /// # Panics
    ///
    /// As [`Cx::alloc`]; and if a value panics, or returns an error, when it is formatted.
    #[track_caller]
    pub fn alloc_fmt<'gc>(&'gc self, text: fmt::Arguments<'_>) -> Gc<'gc, str> {
        or_panic(self.try_alloc_fmt(text))
    }

    /// As [`Cx::alloc_fmt`].
    ///
    /// # Errors
    ///
    /// As [`Cx::try_alloc`]; also if the system refuses the memory for the `String`.
    ///
    /// # Panics
    ///
    /// If a value panics, or returns an error, when it is formatted.
    pub fn try_alloc_fmt<'gc>(
        &'gc self,
        text: fmt::Arguments<'_>,
    ) -> Result<Gc<'gc, str>, AllocError> {
        if let Some(text) = text.as_str() {
            return self.try_alloc_str(text);
        }
        let mut draft = Draft::new();
        let result = draft.write_fmt(text);
        if draft.refused {
            return Err(AllocError { value: (), reason: OutOfMemory::System });
        }
        assert!(result.is_ok(), "a value returned an error when it was formatted");
        self.try_alloc_str(draft.text())
    }
}

/// Bytes of text that need no `String`.
const SHORT: usize = 512;

/// A text while it is formatted.
struct Draft {
    /// The beginning, or all of it: its first `len` bytes are strings, one after the other.
    short: [MaybeUninit<u8>; SHORT],
    len: usize,
    /// All of it, as soon as it is longer.
    long: String,
    /// Whether there was no memory for it.
    refused: bool,
}

impl Draft {
    fn new() -> Draft {
        Draft {
            short: [const { MaybeUninit::uninit() }; SHORT],
            len: 0,
            long: String::new(),
            refused: false,
        }
    }

    fn text(&self) -> &str {
        if self.long.is_empty() {
            // SAFETY: the first `len` bytes were written, and are strings one after the other.
            unsafe { core::str::from_utf8_unchecked(self.short[..self.len].assume_init_ref()) }
        } else {
            &self.long
        }
    }
}

impl Write for Draft {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        if self.long.is_empty()
            && let Some(to) = self.short.get_mut(self.len..self.len + part.len())
        {
            to.write_copy_of_slice(part.as_bytes());
            self.len += part.len();
            return Ok(());
        }
        let begun = if self.long.is_empty() { self.len } else { 0 };
        if self.long.try_reserve(begun + part.len()).is_err() {
            self.refused = true;
            return Err(fmt::Error);
        }
        if begun > 0 {
            // SAFETY: as in `text`.
            let begun = unsafe { self.short[..begun].assume_init_ref() };
            // SAFETY: as in `text`.
            self.long.push_str(unsafe { core::str::from_utf8_unchecked(begun) });
        }
        self.long.push_str(part);
        Ok(())
    }
}
