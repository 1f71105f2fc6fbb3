//! Tables: an array part and a hash part (`nodes`), both objects of their own in the heap.
//!
//! The hash part is a chained scatter table with Brent's variation, the sizes of both parts follow
//! from a count of the keys at a rehash: the scheme of PUC-Rio Lua (`ltable.c`). Here the link of a
//! chain lies in the padding of its key, so a node is two values, 32 bytes. Hashes depend on a seed
//! of the interpreter ([`crate::hash`]).
//!
//! * LT1: keys are normalised: a float with an integer value is stored as that integer.
//! * LT2: integer keys `1..=array.len()` are in the array part, never in the hash part.
//! * LT3: the hash part has a power of two of nodes. The empty hash part is one object that all
//!   tables share ([`EmptyParts`]); it is never written.
//! * LT4: a key stays in its node when its value becomes nil, so that a traversal can go on from it.
//! * LT5: a colliding node that is not in its main position leaves it to the newcomer.
//! * LT6: an insertion that fails for lack of memory leaves the table as it was.
//! * LT8: a *weak* table, one whose metatable has asked for that by its `__mode`, has its entries in a
//!   part of their own ([`weak`]). Its array part is empty; its hash part is one node that leads there
//!   and is never written. So a search in the two ordinary parts finds no key, and only then has to
//!   check whether the table is weak. A weak table has a metatable, which the interpreter loop asks
//!   about for every key that it does not find.
//! * LT9: the main position of an integer that is the index of a node is that node, whatever the seed. So a
//!   traversal finds small integers in their order unless other keys are in their way, as in real Lua, and
//!   such integers never collide with each other.
//! * LT10: a table knows the number of its nodes itself, so that a search need not wait for the length of
//!   the hash part to know where a key's main position is. Only [`Table::set_nodes`] changes either.
//! * LT7: any sequence of operations on a table costs amortised constant time for each, apart from the
//!   length of chains, which the hash functions keep short. A rehash costs time in proportion to the
//!   nodes, and if it counts the array part, to that too; both are paid by insertions before it:
//!     * Nodes: a rehash leaves at least a quarter of the new nodes free (`with_slack`), unless there
//!       are very few. An insertion takes at most one, and the next rehash comes when none is left.
//!     * Array part, counting it: see [`Table::is_worth_counting`]. A long one is counted once after it
//!       has grown, at the growth's expense, and then only when the insertions since the last count
//!       ([`Table::credit`]) have come to a certain part of its length.
//!     * Array part, growing: more than half of it is in use then. Between two growths without a
//!       shrinking in between its length doubles. A shrinking is the outcome of a count, and leaves no
//!       credit: the growth after it needs a count that has been paid for.

use core::cell::Cell;
use core::hint::cold_path;

use heap_api::{Cx, Gc, GcCell, HeaderSlice, Trace};

use crate::error::NoMemory;
use crate::number;
use crate::state::{Ctx, Event};
use crate::string::Str;
use crate::value::Value;

use nodes::{
    END, Key, Node, Nodes, NodesHead, SHARED, WEAK, hash, hash_int, insert_node, new_nodes, put,
};
use sizes::{FINALIZER, credit_of_new_array, packed};
use weak::{WeakMode, WeakPart};

mod length;
mod nodes;
mod sizes;
#[cfg(test)]
mod tests;
mod weak;

/// What precedes the elements of an array part.
#[derive(Trace)]
pub struct ArrayHead {
    /// Where the border was last found in the part; 0 in the one that all tables share.
    border: Cell<u32>,
}

/// An array part.
type Array<'gc> = HeaderSlice<ArrayHead, GcCell<Value<'gc>>>;

/// The parts that new tables start with (LT3).
#[derive(Trace)]
pub struct EmptyParts<'gc> {
    array: Gc<'gc, Array<'gc>>,
    nodes: Gc<'gc, Nodes<'gc>>,
}

impl<'gc> EmptyParts<'gc> {
    /// Makes them, once per interpreter.
    ///
    /// # Errors
    ///
    /// If the heap has no memory for it.
    pub fn new(cx: &'gc Cx) -> Result<EmptyParts<'gc>, NoMemory> {
        let head = NodesHead { last_free: Cell::new(SHARED), seed: 0 };
        Ok(EmptyParts {
            array: new_array(cx, 0)?,
            nodes: cx.try_alloc_header_slice_fn(head, 1, |_| Node::empty())?,
        })
    }
}

/// A table.
#[derive(Trace)]
pub struct Table<'gc> {
    array: GcCell<Gc<'gc, Array<'gc>>>,
    nodes: GcCell<Gc<'gc, Nodes<'gc>>>,
    metatable: GcCell<Option<Gc<'gc, Table<'gc>>>>,
    /// The number of nodes less one (LT10).
    node_mask: Cell<u32>,
    /// Bits by [`Event`]: metamethods known to be absent from this (meta)table.
    absent: Cell<u8>,
    /// See [`Table::credit`]; the highest bit: whether it is registered for finalization.
    credit: Cell<[u8; 3]>,
}

const _: () = assert!(size_of::<Table<'_>>() <= 32);

/// Why a key could not be assigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetError {
    /// The key is nil.
    NilKey,
    /// The key is NaN.
    NanKey,
    /// No memory for the new node.
    NoMemory,
}

impl From<NoMemory> for SetError {
    fn from(_: NoMemory) -> Self {
        SetError::NoMemory
    }
}

impl<'gc> From<SetError> for crate::error::Failure<'gc> {
    #[cold]
    fn from(error: SetError) -> Self {
        match error {
            SetError::NilKey => crate::error::fail("index is nil"),
            SetError::NanKey => crate::error::fail("index is NaN"),
            SetError::NoMemory => NoMemory.into(),
        }
    }
}

/// The key as tables have it (LT1).
fn normalised(key: Value<'_>) -> Value<'_> {
    match key {
        Value::Float(f) => number::float_to_integer(f.get()).map_or(key, Value::Int),
        _ => key,
    }
}

/// Position in the array part of an integer key, far out of range if it is not positive.
#[inline(always)]
fn array_index(key: i64) -> usize {
    (key as u64).wrapping_sub(1) as usize
}

impl<'gc> Table<'gc> {
    /// A new, empty table.
    ///
    /// # Errors
    ///
    /// If the heap has no memory for it.
    #[inline(always)]
    pub fn new(ctx: Ctx<'gc>) -> Result<Gc<'gc, Table<'gc>>, NoMemory> {
        Table::from_parts(ctx.cx, &ctx.state.no_parts)
    }

    /// A new, empty table, while there is no state yet.
    ///
    /// # Errors
    ///
    /// If the heap has no memory for it.
    #[inline(always)]
    pub(crate) fn from_parts(
        cx: &'gc Cx,
        empty: &EmptyParts<'gc>,
    ) -> Result<Gc<'gc, Table<'gc>>, NoMemory> {
        Ok(cx.try_alloc(Table {
            array: GcCell::new(empty.array),
            nodes: GcCell::new(empty.nodes),
            metatable: GcCell::new(None),
            node_mask: Cell::new(0),
            absent: Cell::new(0),
            credit: Cell::new([0; 3]),
        })?)
    }

    /// An empty table with room for that many elements and keys.
    ///
    /// # Errors
    ///
    /// If the heap has no memory for it.
    #[inline]
    pub fn with_capacity(
        ctx: Ctx<'gc>,
        array: usize,
        hash: usize,
    ) -> Result<Gc<'gc, Table<'gc>>, NoMemory> {
        let empty = &ctx.state.no_parts;
        let credit = credit_of_new_array(array);
        let array = if array == 0 { empty.array } else { new_array(ctx.cx, array)? };
        let nodes = if hash == 0 { empty.nodes } else { new_nodes(ctx, hash)? };
        let node_mask = nodes.tail.len() as u32 - 1;
        Ok(ctx.cx.try_alloc(Table {
            array: GcCell::new(array),
            nodes: GcCell::new(nodes),
            metatable: GcCell::new(None),
            node_mask: Cell::new(node_mask),
            absent: Cell::new(0),
            credit: Cell::new(packed(credit)),
        })?)
    }

    // ---- metatables ----

    /// The metatable.
    #[inline(always)]
    pub fn metatable(&self) -> Option<Gc<'gc, Table<'gc>>> {
        self.metatable.get()
    }

    /// Replaces the metatable, and makes the table weak, or no longer weak, as its `__mode` says now.
    ///
    /// # Errors
    ///
    /// If there is no memory for entries of another kind; nothing has changed then.
    pub fn set_metatable(
        &self,
        ctx: Ctx<'gc>,
        metatable: Option<Gc<'gc, Table<'gc>>>,
    ) -> Result<(), NoMemory> {
        let mode = metatable.and_then(|metatable| WeakMode::of(ctx, metatable));
        if mode.is_some() || self.is_weak() {
            self.set_weak_mode(ctx, mode)?;
        }
        self.metatable.set(ctx.cx, metatable);
        Ok(())
    }

    /// Moves the entries to where those of a table with this mode are.
    #[inline(never)]
    fn set_weak_mode(&self, ctx: Ctx<'gc>, mode: Option<WeakMode>) -> Result<(), NoMemory> {
        if self.weak_part().map(|part| part.mode()) == mode {
            return Ok(());
        }
        let fresh = Table::new(ctx)?;
        if let Some(mode) = mode {
            let head = NodesHead { last_free: Cell::new(WEAK), seed: 0 };
            let part = WeakPart::new(ctx, mode)?;
            let node =
                |_| Node { key: GcCell::new(Key::Weak(END, part)), value: GcCell::new(Value::Nil) };
            fresh.set_nodes(ctx, ctx.cx.try_alloc_header_slice_fn(head, 1, node)?);
        }
        let mut last = Value::Nil;
        while let Ok(Some((key, value))) = self.next(ctx, last) {
            fresh.set(ctx, key, value).map_err(|_| NoMemory)?;
            last = key;
        }
        self.array.set(ctx.cx, fresh.array.get());
        self.set_nodes(ctx, fresh.nodes.get());
        self.set_credit(fresh.credit());
        Ok(())
    }

    /// Whether the table is weak (LT8).
    #[inline(always)]
    pub fn is_weak(&self) -> bool {
        self.nodes.get().as_ref().header.last_free.get() == WEAK
    }

    /// The entries of a weak table.
    fn weak_part(&self) -> Option<Gc<'gc, WeakPart<'gc>>> {
        match self.nodes.get().as_ref().tail.first()?.key.get() {
            Key::Weak(_, part) => Some(part),
            _ => None,
        }
    }

    /// Whether the table is registered for finalization.
    pub fn has_finalizer(&self) -> bool {
        self.credit.get()[2] & FINALIZER != 0
    }

    /// Notes whether the table is registered for finalization.
    pub fn set_has_finalizer(&self, on: bool) {
        let [a, b, c] = self.credit.get();
        self.credit.set([a, b, if on { c | FINALIZER } else { c & !FINALIZER }]);
    }

    /// The metamethod in this metatable for one of the first eight events, if any. That there is
    /// none is remembered until a key is added.
    #[inline(always)]
    pub fn cached_metamethod(&self, ctx: Ctx<'gc>, event: Event) -> Option<Value<'gc>> {
        if self.absent.get() & (1 << event as u8) != 0 {
            return None;
        }
        self.look_up_metamethod(ctx, event)
    }

    /// Whether the table is known to take new keys without asking a metamethod.
    #[inline(always)]
    pub fn takes_new_keys(&self) -> bool {
        let is_absent = |metatable: Gc<'gc, Table<'gc>>| {
            metatable.absent.get() & (1 << Event::NewIndex as u8) != 0
        };
        self.metatable().is_none_or(is_absent)
    }

    #[inline(always)]
    fn look_up_metamethod(&self, ctx: Ctx<'gc>, event: Event) -> Option<Value<'gc>> {
        let found = self.get_short(ctx, ctx.state.event_key(event));
        if found.is_nil() {
            self.absent.set(self.absent.get() | (1 << event as u8));
            return None;
        }
        Some(found)
    }

    // ---- reading ----

    /// The value of any key; nil if absent.
    #[inline]
    pub fn get(&self, ctx: Ctx<'gc>, key: Value<'gc>) -> Value<'gc> {
        self.or_weak(ctx, key, self.ordinary(key))
    }

    /// The value of an integer key.
    #[inline]
    pub fn get_int(&self, ctx: Ctx<'gc>, key: i64) -> Value<'gc> {
        self.or_weak(ctx, Value::Int(key), self.ordinary_int(key))
    }

    /// The value of a string key of any length.
    #[inline]
    pub fn get_str(&self, ctx: Ctx<'gc>, key: Str<'gc>) -> Value<'gc> {
        self.or_weak(ctx, Value::Str(key), self.ordinary_str(key))
    }

    /// The value of a short string key.
    #[inline]
    pub fn get_short(&self, ctx: Ctx<'gc>, key: Str<'gc>) -> Value<'gc> {
        self.or_weak(ctx, Value::Str(key), self.ordinary_short(key))
    }

    /// What the ordinary parts say about a key, or if that is nothing, a weak table's part (LT8).
    #[inline(always)]
    fn or_weak(&self, ctx: Ctx<'gc>, key: Value<'gc>, found: Value<'gc>) -> Value<'gc> {
        if found.is_nil() && self.is_weak() { self.weak_get(ctx, key) } else { found }
    }

    #[cold]
    #[inline(never)]
    fn weak_get(&self, ctx: Ctx<'gc>, key: Value<'gc>) -> Value<'gc> {
        self.weak_part().map_or(Value::Nil, |part| part.get(ctx, normalised(key)))
    }

    /// The value of an integer key; nil also if the table is weak (LT8), in which case the caller,
    /// the interpreter loop, goes on in its slow paths. So do the callers of all `ordinary`
    /// functions.
    #[inline(always)]
    pub fn ordinary_int(&self, key: i64) -> Value<'gc> {
        match self.array_part().get(array_index(key)) {
            Some(slot) => slot.get(),
            None if self.has_no_nodes() => Value::Nil,
            None => {
                cold_path();
                self.hash_get_int(key)
            }
        }
    }

    /// Replaces the hash part (LT10).
    fn set_nodes(&self, ctx: Ctx<'gc>, nodes: Gc<'gc, Nodes<'gc>>) {
        self.nodes.set(ctx.cx, nodes);
        self.node_mask.set(nodes.tail.len() as u32 - 1);
    }

    /// Whether the hash part is the empty one (LT3).
    #[inline(always)]
    fn has_no_nodes(&self) -> bool {
        self.nodes.get().as_ref().header.last_free.get() == SHARED
    }

    #[inline(never)]
    fn hash_get_int(&self, key: i64) -> Value<'gc> {
        self.hash_int_slot(key, self.hash_int(key)).map_or(Value::Nil, GcCell::get)
    }

    /// The hash of an integer key in the hash part that there is now.
    #[inline(always)]
    fn hash_int(&self, key: i64) -> u32 {
        hash_int(key, self.seed(), self.node_mask.get())
    }

    /// That of any key.
    #[inline(always)]
    fn hash(&self, key: Value<'_>) -> u32 {
        hash(key, self.seed(), self.node_mask.get())
    }

    /// The seed for the hashes of this table's keys.
    #[inline(always)]
    fn seed(&self) -> u32 {
        self.nodes.get().as_ref().header.seed
    }

    /// The slot of an integer key in the hash part.
    #[inline(always)]
    fn hash_int_slot(&self, key: i64, hash: u32) -> Option<&'gc GcCell<Value<'gc>>> {
        let nodes = &self.nodes.get().as_ref().tail;
        let mut at = (hash & self.node_mask.get()) as usize;
        while let Some(node) = nodes.get(at) {
            match node.key.get() {
                Key::Int(_, k) if k == key => return Some(&node.value),
                other => at = other.link() as usize,
            }
        }
        None
    }

    /// The slot of an integer key that the array part covers.
    #[inline(always)]
    pub fn array_slot(&self, key: i64) -> Option<&'gc GcCell<Value<'gc>>> {
        self.array_part().get(array_index(key))
    }

    /// The whole array part.
    #[inline(always)]
    pub fn array_part(&self) -> &'gc [GcCell<Value<'gc>>] {
        &self.array.get().as_ref().tail
    }

    /// The slot of a short string key, if the key is present.
    #[inline(always)]
    pub fn short_slot(&self, key: Str<'gc>) -> Option<&'gc GcCell<Value<'gc>>> {
        let nodes = &self.nodes.get().as_ref().tail;
        let mut at = (key.short_hash() & self.node_mask.get()) as usize;
        while let Some(node) = nodes.get(at) {
            match node.key.get() {
                Key::Str(_, k) if k.ptr_eq(key) => return Some(&node.value),
                other => at = other.link() as usize,
            }
        }
        None
    }

    /// Assigns a string key, if that needs neither metamethods nor memory: the key is short and has a
    /// value already, or its main position is free. Says whether it did.
    #[inline(always)]
    pub fn set_str_in_place(&self, ctx: Ctx<'gc>, key: Str<'gc>, value: Value<'gc>) -> bool {
        let nodes = self.nodes.get().as_ref();
        let mut at = (key.short_hash() & self.node_mask.get()) as usize;
        while let Some(node) = nodes.tail.get(at) {
            match node.key.get() {
                // The same object is the same key, however long it is.
                Key::Str(_, k) if k.ptr_eq(key) => {
                    if node.value.get().is_nil() {
                        if !self.takes_new_keys() {
                            return false;
                        }
                        self.absent.set(0);
                    }
                    node.value.set(ctx.cx, value);
                    return true;
                }
                Key::Empty(_) => {
                    // A node that never held a key is in no chain: this is the main position.
                    if self.has_no_nodes()
                        || !self.takes_new_keys()
                        || value.is_nil()
                        || !key.is_short()
                    {
                        return false;
                    }
                    self.absent.set(0);
                    node.key.set(ctx.cx, Key::Str(END, key));
                    node.value.set(ctx.cx, value);
                    return true;
                }
                other => at = other.link() as usize,
            }
        }
        false
    }

    #[inline(always)]
    fn ordinary_short(&self, key: Str<'gc>) -> Value<'gc> {
        match self.short_slot(key) {
            Some(slot) => slot.get(),
            None => Value::Nil,
        }
    }

    /// The value of a string key of any length; nil also if the table is weak.
    #[inline(always)]
    pub fn ordinary_str(&self, key: Str<'gc>) -> Value<'gc> {
        // The same object is the same key, however long it is; a long one that is not found so may
        // be equal to another object, or its hash has not been computed yet.
        match self.short_slot(key) {
            Some(slot) => slot.get(),
            None if key.is_short() => Value::Nil,
            None => {
                cold_path();
                self.hash_get(Value::Str(key))
            }
        }
    }

    /// The value of any key; nil if absent, and also if the table is weak.
    #[inline]
    pub fn ordinary(&self, key: Value<'gc>) -> Value<'gc> {
        match key {
            Value::Int(i) => self.ordinary_int(i),
            Value::Str(s) if s.is_short() => self.ordinary_short(s),
            Value::Nil => Value::Nil,
            Value::Float(f) => match number::float_to_integer(f.get()) {
                Some(i) => self.ordinary_int(i),
                None => self.hash_get(key),
            },
            _ => self.hash_get(key),
        }
    }

    #[inline(never)]
    fn hash_get(&self, key: Value<'gc>) -> Value<'gc> {
        self.node_of(key, self.hash(key)).map_or(Value::Nil, |(_, node)| node.value.get())
    }

    /// The node of a normalised key with this hash.
    fn node_of(&self, key: Value<'gc>, hash: u32) -> Option<(usize, &'gc Node<'gc>)> {
        let nodes = &self.nodes.get().as_ref().tail;
        let mut at = (hash & self.node_mask.get()) as usize;
        while let Some(node) = nodes.get(at) {
            let found = node.key.get();
            // A float key is never an integer here (LT1), so this compares like with like.
            if found.value().raw_equal(key) && !found.is_empty() {
                return Some((at, node));
            }
            at = found.link() as usize;
        }
        None
    }

    // ---- writing ----

    /// Assigns any key.
    ///
    /// # Errors
    ///
    /// If the key is nil or NaN, or there is no memory.
    pub fn set(&self, ctx: Ctx<'gc>, key: Value<'gc>, value: Value<'gc>) -> Result<(), SetError> {
        match key {
            Value::Int(i) => return Ok(self.set_int(ctx, i, value)?),
            Value::Str(s) => return Ok(self.set_str(ctx, s, value)?),
            Value::Nil => return Err(SetError::NilKey),
            Value::Float(f) => {
                if let Some(i) = number::float_to_integer(f.get()) {
                    return Ok(self.set_int(ctx, i, value)?);
                }
                if f.get().is_nan() {
                    return Err(SetError::NanKey);
                }
            }
            _ => {}
        }
        Ok(self.hash_set(ctx, key, value)?)
    }

    /// Assigns an integer key.
    ///
    /// # Errors
    ///
    /// If there is no memory for a new key.
    #[inline]
    pub fn set_int(&self, ctx: Ctx<'gc>, key: i64, value: Value<'gc>) -> Result<(), NoMemory> {
        match self.array_slot(key) {
            Some(slot) => {
                slot.set(ctx.cx, value);
                Ok(())
            }
            None => self.hash_set_int(ctx, key, value),
        }
    }

    #[inline(never)]
    fn hash_set_int(&self, ctx: Ctx<'gc>, key: i64, value: Value<'gc>) -> Result<(), NoMemory> {
        if self.has_no_nodes() && self.grow_short_list(ctx, key, value)? {
            return Ok(());
        }
        let hash = self.hash_int(key);
        if let Some(slot) = self.hash_int_slot(key, hash) {
            slot.set(ctx.cx, value);
            return Ok(());
        }
        if value.is_nil() && !self.is_weak() {
            return Ok(());
        }
        self.insert(ctx, Value::Int(key), hash, value)
    }

    /// Assigns a string key.
    ///
    /// # Errors
    ///
    /// If there is no memory for a new key.
    #[inline]
    pub fn set_str(&self, ctx: Ctx<'gc>, key: Str<'gc>, value: Value<'gc>) -> Result<(), NoMemory> {
        if key.is_short() {
            if let Some(slot) = self.short_slot(key) {
                slot.set(ctx.cx, value);
                self.absent.set(0);
                return Ok(());
            }
            if value.is_nil() && !self.is_weak() {
                return Ok(());
            }
            return self.insert(ctx, Value::Str(key), key.short_hash(), value);
        }
        self.hash_set(ctx, Value::Str(key), value)
    }

    fn hash_set(&self, ctx: Ctx<'gc>, key: Value<'gc>, value: Value<'gc>) -> Result<(), NoMemory> {
        let hash = self.hash(key);
        if let Some((_, node)) = self.node_of(key, hash) {
            node.value.set(ctx.cx, value);
            self.absent.set(0);
            return Ok(());
        }
        if value.is_nil() && !self.is_weak() {
            return Ok(());
        }
        self.insert(ctx, key, hash, value)
    }

    /// Adds a normalised key that is not present, or assigns any in a weak table.
    fn insert(
        &self,
        ctx: Ctx<'gc>,
        key: Value<'gc>,
        hash: u32,
        value: Value<'gc>,
    ) -> Result<(), NoMemory> {
        self.absent.set(0);
        let nodes = self.nodes.get().as_ref();
        if !self.has_no_nodes() && !self.is_weak() && insert_node(ctx, nodes, key, hash, value) {
            return Ok(());
        }
        self.insert_after_rehash(ctx, key, value)
    }

    #[inline(never)]
    fn insert_after_rehash(
        &self,
        ctx: Ctx<'gc>,
        key: Value<'gc>,
        value: Value<'gc>,
    ) -> Result<(), NoMemory> {
        if let Some(part) = self.weak_part() {
            return WeakPart::set(part, ctx, key, value);
        }
        if let Value::Int(key) = key
            && self.grow_short_list(ctx, key, value)?
        {
            return Ok(());
        }
        self.rehash(ctx, key)?;
        // There is room now, in one part or the other.
        if let Value::Int(i) = key
            && let Some(slot) = self.array_slot(i)
        {
            slot.set(ctx.cx, value);
        } else {
            put(ctx, self.nodes.get().as_ref(), key, value);
        }
        Ok(())
    }

    // ---- traversal ----

    /// The entry after `key` in traversal order, `None` at the end; nil starts.
    ///
    /// # Errors
    ///
    /// If the key is not in the table.
    #[inline]
    pub fn next(&self, ctx: Ctx<'gc>, key: Value<'gc>) -> Result<Entry<'gc>, InvalidKey> {
        match self.weak_part() {
            Some(part) => part.next(ctx, normalised(key)),
            None => self.ordinary_next(key),
        }
    }

    /// As [`Table::next`]; an error also if the table is weak.
    ///
    /// # Errors
    ///
    /// As for [`Table::next`].
    #[inline]
    pub fn ordinary_next(&self, key: Value<'gc>) -> Result<Entry<'gc>, InvalidKey> {
        let array = self.array_part();
        let start = match key {
            Value::Nil => 0,
            Value::Int(i) if array_index(i) < array.len() => array_index(i) + 1,
            _ => {
                let normal = normalised(key);
                match normal {
                    Value::Int(i) if array_index(i) < array.len() => array_index(i) + 1,
                    _ => {
                        array.len()
                            + self.node_of(normal, self.hash(normal)).ok_or(InvalidKey)?.0
                            + 1
                    }
                }
            }
        };
        for (i, slot) in array.iter().enumerate().skip(start) {
            let value = slot.get();
            if !value.is_nil() {
                return Ok(Some((Value::Int(i as i64 + 1), value)));
            }
        }
        let nodes = &self.nodes.get().as_ref().tail;
        for node in nodes.iter().skip(start.saturating_sub(array.len())) {
            let value = node.value.get();
            if !value.is_nil() {
                return Ok(Some((node.key.get().value(), value)));
            }
        }
        if self.is_weak() { Err(InvalidKey) } else { Ok(None) }
    }
}

/// A key and its value, if there is one more.
pub type Entry<'gc> = Option<(Value<'gc>, Value<'gc>)>;

/// The key given to `next` is not in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidKey;

fn new_array<'gc>(cx: &'gc Cx, len: usize) -> Result<Gc<'gc, Array<'gc>>, NoMemory> {
    let head = ArrayHead { border: Cell::new(0) };
    Ok(cx.try_alloc_header_slice_fill_cells(head, len, Value::Nil)?)
}
