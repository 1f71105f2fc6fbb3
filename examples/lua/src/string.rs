//! Lua strings: immutable bytes, header and content in one heap object.
//!
//! * LS1: a string of at most [`SHORT_MAX`] bytes is *short* and interned: equal short strings are
//!   the same object, so they compare by address and their hash is known from birth.
//! * the intern set is weak ([`heap_api::InternSet`]): it keeps no string alive.
//! * LS3: long strings are compared by content and hashed when they first serve as a key; until
//!   then the field of the hash holds the seed for it.

use core::cell::Cell;

use heap_api::{Cx, Gc, HeaderSlice, Trace};

use crate::error::NoMemory;
use crate::hash::HashSeed;
use crate::state::{Ctx, Host};

/// Longest interned string.
pub const SHORT_MAX: usize = 40;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Short,
    Long,
    LongHashed,
}

/// What precedes the bytes of a string.
#[derive(Trace, Debug)]
pub struct StrHead {
    hash: Cell<u32>,
    form: Cell<Form>,
}

/// A string object.
pub type LuaStr = HeaderSlice<StrHead, u8>;

/// A handle to a string.
#[derive(Clone, Copy, Trace)]
pub struct Str<'gc>(Gc<'gc, LuaStr>);

impl StrHead {
    /// The header of a long string, with the seed for a hash in the field of the hash (LS3).
    #[inline(always)]
    fn long(host: &Host) -> StrHead {
        StrHead { hash: Cell::new(host.hash_seed.narrow), form: Cell::new(Form::Long) }
    }
}

impl<'gc> Str<'gc> {
    /// The string with these bytes: found (short) or made.
    ///
    /// # Errors
    ///
    /// If the heap has no memory for it.
    #[inline]
    pub fn new(ctx: Ctx<'gc>, bytes: &[u8]) -> Result<Str<'gc>, NoMemory> {
        if bytes.len() > SHORT_MAX {
            return Ok(Str(ctx.cx.try_alloc_header_slice_copy(StrHead::long(ctx.host), bytes)?));
        }
        Self::intern(ctx.cx, ctx.host, bytes)
    }

    /// The short string with these bytes.
    ///
    /// # Errors
    ///
    /// If the heap has no memory for it.
    pub(crate) fn intern(cx: &'gc Cx, host: &Host, bytes: &[u8]) -> Result<Str<'gc>, NoMemory> {
        let hash = host.hash_seed.bytes(bytes);
        let mut strings = host.strings.borrow_mut();
        if let Some(found) = strings.find(cx, hash, |text| text.tail == *bytes) {
            return Ok(Str(found));
        }
        let head = StrHead { hash: Cell::new(hash), form: Cell::new(Form::Short) };
        let made = cx.try_alloc_header_slice_copy(head, bytes)?;
        strings.try_insert(cx, hash, made)?;
        Ok(Str(made))
    }

    /// A long string of `len` bytes made one by one.
    ///
    /// # Errors
    ///
    /// If the heap has no memory for it.
    ///
    /// # Panics
    ///
    /// If `len` is the length of a short string.
    pub fn generate(
        ctx: Ctx<'gc>,
        len: usize,
        byte: impl FnMut(usize) -> u8,
    ) -> Result<Str<'gc>, NoMemory> {
        assert!(len > SHORT_MAX, "short strings are interned (LS1)");
        Ok(Str(ctx.cx.try_alloc_header_slice_fn(StrHead::long(ctx.host), len, byte)?))
    }

    /// The content.
    #[inline(always)]
    #[must_use]
    pub fn as_bytes(self) -> &'gc [u8] {
        &self.0.as_ref().tail
    }

    /// Number of bytes.
    #[inline(always)]
    #[must_use]
    pub fn len(self) -> usize {
        self.as_bytes().len()
    }

    /// Whether this is the empty string.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether the string is interned (LS1).
    #[inline(always)]
    #[must_use]
    pub fn is_short(self) -> bool {
        self.0.header.form.get() == Form::Short
    }

    /// Whether both are the same object; for short strings: whether they are equal.
    #[inline(always)]
    #[must_use]
    pub fn ptr_eq(self, other: Str<'gc>) -> bool {
        self.0.ptr_eq(other.0)
    }

    /// The hash of a short string.
    #[inline(always)]
    #[must_use]
    pub(crate) fn short_hash(self) -> u32 {
        self.0.header.hash.get()
    }

    /// The hash, computed now if need be.
    #[must_use]
    pub(crate) fn hash(self) -> u32 {
        let head = &self.0.as_ref().header;
        if head.form.get() == Form::Long {
            let seed = HashSeed::new(head.hash.get().into());
            head.hash.set(seed.bytes(self.as_bytes()));
            head.form.set(Form::LongHashed);
        }
        head.hash.get()
    }

    /// The object's address.
    #[must_use]
    pub fn address(self) -> usize {
        self.0.addr()
    }

    /// The content as text for messages; bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn to_text(self) -> String {
        String::from_utf8_lossy(self.as_bytes()).into_owned()
    }
}

impl PartialEq for Str<'_> {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.0.ptr_eq(other.0) || (!self.is_short() && self.as_bytes() == other.as_bytes())
    }
}

impl Eq for Str<'_> {}

impl core::fmt::Debug for Str<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:?}", self.to_text())
    }
}
