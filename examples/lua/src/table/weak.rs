//! [`WeakPart`]: the entries of a weak table.
//!
//! A hash table with open addressing. Each entry is an [`Ephemeron`] of the heap, whose key is the
//! entry's *holder*: the object without which there is no entry. Values that are held weakly are
//! [weak handles](heap_api::Weak) besides: weak handles are cleared before finalizers run,
//! ephemerons once it is known which objects finalizers resurrect: the order that Lua's manual
//! requires for values and keys.
//!
//! * LW1: the holder is the key, if keys are weak and the key is an object. Else it is the value,
//!   if values are weak, the value is an object and the key is not: such a key does not lead to the
//!   value. Else it is the part itself, and the entry stays until it is removed.
//! * LW2: the tag of a slot is 0 if it was never used, else the hash of its key with the lowest bit set.
//!   Tags stay when entries go, so that searches and traversals go on behind them.
//! * LW5: an entry whose value is set to nil keeps its key, so that a traversal can go on from it. Its holder is
//!   the key if that is an object, else the part. Of an entry that a collection has removed only the tag is left: a
//!   traversal that is at it goes on from the first removed one with the same tag.
//! * LW3: at most three quarters of the slots have a tag.
//! * LW4: strings, numbers, booleans and library functions without values of their own do not count
//!   as objects here: as in real Lua they are never removed.

use core::cell::Cell;

use heap_api::{AnyGc, AnyObject, Ephemeron, Gc, GcCell, Trace, Weak};

use super::{Entry, InvalidKey, Table, hash};
use crate::error::NoMemory;
use crate::function::{Closure, NativeFn};
use crate::hash::scatter_integer;
use crate::state::{Ctx, Event};
use crate::thread::Thread;
use crate::userdata::UserData;
use crate::value::Value;

/// What a table holds weakly.
#[derive(Clone, Copy, PartialEq, Eq, Trace)]
pub(super) enum WeakMode {
    Keys,
    Values,
    Both,
}

impl WeakMode {
    /// What the `__mode` of a metatable says.
    #[inline]
    pub(super) fn of<'gc>(ctx: Ctx<'gc>, metatable: Gc<'gc, Table<'gc>>) -> Option<WeakMode> {
        let Some(Value::Str(mode)) = metatable.cached_metamethod(ctx, Event::Mode) else {
            return None;
        };
        let mode = mode.as_bytes();
        match (mode.contains(&b'k'), mode.contains(&b'v')) {
            (true, true) => Some(WeakMode::Both),
            (true, false) => Some(WeakMode::Keys),
            (false, true) => Some(WeakMode::Values),
            (false, false) => None,
        }
    }
}

/// A value of an entry.
#[derive(Clone, Copy, Trace)]
enum Held<'gc> {
    Strong(Value<'gc>),
    Table(Weak<'gc, Table<'gc>>),
    Function(Weak<'gc, Closure<'gc>>),
    Native(Weak<'gc, NativeFn<'gc>>),
    Thread(Weak<'gc, Thread<'gc>>),
    UserData(Weak<'gc, UserData<'gc>>),
}

impl<'gc> Held<'gc> {
    /// Holds a value weakly, if it is an object (LW4).
    fn weakly(ctx: Ctx<'gc>, value: Value<'gc>) -> Result<Held<'gc>, NoMemory> {
        Ok(match value {
            _ if object(value).is_none() => Held::Strong(value),
            Value::Table(table) => Held::Table(table.try_downgrade(ctx.cx)?),
            Value::Function(function) => Held::Function(function.try_downgrade(ctx.cx)?),
            Value::Native(native) => Held::Native(native.try_downgrade(ctx.cx)?),
            Value::Thread(thread) => Held::Thread(thread.try_downgrade(ctx.cx)?),
            Value::UserData(data) => Held::UserData(data.try_downgrade(ctx.cx)?),
            _ => Held::Strong(value),
        })
    }

    /// The value; nil if it has been collected.
    fn get(self, ctx: Ctx<'gc>) -> Value<'gc> {
        let found = match self {
            Held::Strong(value) => Some(value),
            Held::Table(table) => table.upgrade(ctx.cx).map(Value::Table),
            Held::Function(function) => function.upgrade(ctx.cx).map(Value::Function),
            Held::Native(native) => native.upgrade(ctx.cx).map(Value::Native),
            Held::Thread(thread) => thread.upgrade(ctx.cx).map(Value::Thread),
            Held::UserData(data) => data.upgrade(ctx.cx).map(Value::UserData),
        };
        found.unwrap_or(Value::Nil)
    }
}

/// The object that a value is (LW4).
fn object(value: Value<'_>) -> Option<AnyGc<'_>> {
    match value {
        Value::Table(table) => Some(table.erase()),
        Value::Function(function) => Some(function.erase()),
        Value::Native(native) if !native.tail.is_empty() => Some(native.erase()),
        Value::Thread(thread) => Some(thread.erase()),
        Value::UserData(data) => Some(data.erase()),
        _ => None,
    }
}

/// What an ephemeron holds for its holder.
#[derive(Clone, Copy, Trace)]
struct Pair<'gc> {
    key: Value<'gc>,
    value: Held<'gc>,
}

type Slot<'gc> = Ephemeron<'gc, AnyObject, Pair<'gc>>;

/// The slots of a part.
#[derive(Clone, Copy, Trace)]
struct Slots<'gc> {
    pairs: Gc<'gc, [Slot<'gc>]>,
    /// LW2.
    tags: Gc<'gc, [Cell<u32>]>,
}

/// How many slots a part has at least.
const SLOTS_MIN: usize = 4;

impl<'gc> Slots<'gc> {
    fn new(ctx: Ctx<'gc>, len: usize) -> Result<Slots<'gc>, NoMemory> {
        Ok(Slots {
            pairs: ctx.cx.try_alloc_ephemerons(len)?,
            tags: ctx.cx.try_alloc_slice_fn(len, |_| Cell::new(0))?,
        })
    }

    fn len(self) -> usize {
        self.tags.len()
    }

    /// The slots that a key with this hash may be in, with their tags.
    fn candidates(self, hash: u32) -> impl Iterator<Item = usize> {
        let mask = self.len() - 1;
        (0..self.len())
            .map(move |step| (hash as usize).wrapping_add(step) & mask)
            .take_while(move |&at| self.tags[at].get() != 0)
            .filter(move |&at| self.tags[at].get() == tag(hash))
    }

    /// The slot of a key that has an entry. While an incremental collection is under way the holder
    /// lives on until the next.
    fn find(self, ctx: Ctx<'gc>, key: Value<'gc>, hash: u32) -> Option<(usize, Pair<'gc>)> {
        self.candidates(hash).find_map(|at| {
            let (_, pair) = self.pairs[at].get(ctx.cx)?;
            pair.key.raw_equal(key).then_some((at, pair))
        })
    }

    /// Puts a new entry into a slot without a tag, of which there is one (LW3).
    fn put(self, ctx: Ctx<'gc>, hash: u32, holder: AnyGc<'gc>, pair: Pair<'gc>) {
        let mask = self.len() - 1;
        let mut at = hash as usize & mask;
        while self.tags[at].get() != 0 {
            at = (at + 1) & mask;
        }
        self.tags[at].set(tag(hash));
        self.pairs[at].set(ctx.cx, holder, pair);
    }
}

fn tag(hash: u32) -> u32 {
    hash | 1
}

/// The entries of a weak table.
#[derive(Trace)]
pub(super) struct WeakPart<'gc> {
    mode: WeakMode,
    slots: GcCell<Slots<'gc>>,
    /// Slots with a tag.
    used: Cell<usize>,
    /// For the hashes of keys.
    seed: u32,
}

impl<'gc> WeakPart<'gc> {
    /// A part without entries.
    pub(super) fn new(ctx: Ctx<'gc>, mode: WeakMode) -> Result<Gc<'gc, WeakPart<'gc>>, NoMemory> {
        let slots = GcCell::new(Slots::new(ctx, SLOTS_MIN)?);
        let seed = ctx.host.hash_seed.narrow;
        Ok(ctx.cx.try_alloc(WeakPart { mode, slots, used: Cell::new(0), seed })?)
    }

    pub(super) fn mode(&self) -> WeakMode {
        self.mode
    }

    /// The hash of a key. It does not depend on the number of slots, and no two keys whose entries a collection
    /// removes are certain to have the same tag (LW5).
    fn hash(&self, key: Value<'_>) -> u32 {
        match key {
            Value::Int(i) => scatter_integer(i, self.seed),
            Value::True => 2,
            _ => hash(key, self.seed, 0),
        }
    }

    /// The value of a normalised key; nil if there is none.
    pub(super) fn get(&self, ctx: Ctx<'gc>, key: Value<'gc>) -> Value<'gc> {
        match self.slots.get().find(ctx, key, self.hash(key)) {
            Some((_, pair)) => pair.value.get(ctx),
            None => Value::Nil,
        }
    }

    /// Assigns a normalised key.
    ///
    /// # Errors
    ///
    /// If there is no memory; nothing has changed then.
    pub(super) fn set(
        part: Gc<'gc, WeakPart<'gc>>,
        ctx: Ctx<'gc>,
        key: Value<'gc>,
        value: Value<'gc>,
    ) -> Result<(), NoMemory> {
        let hash = part.hash(key);
        let slots = part.slots.get();
        if value.is_nil() {
            if let Some((at, _)) = slots.find(ctx, key, hash) {
                // LW5
                let holder = object(key).unwrap_or_else(|| part.erase());
                slots.pairs[at].set(ctx.cx, holder, Pair { key, value: Held::Strong(Value::Nil) });
            }
            return Ok(());
        }
        let (keys_are_weak, values_are_weak) = match part.mode {
            WeakMode::Keys => (true, false),
            WeakMode::Values => (false, true),
            WeakMode::Both => (true, true),
        };
        let value_object = if values_are_weak { object(value) } else { None };
        // LW1
        let holder = match (object(key), value_object) {
            (Some(key), _) if keys_are_weak => key,
            (None, Some(value)) => value,
            _ => part.erase(),
        };
        let held = if values_are_weak { Held::weakly(ctx, value)? } else { Held::Strong(value) };
        let pair = Pair { key, value: held };
        if let Some(at) = part.position(ctx, key) {
            slots.pairs[at].set(ctx.cx, holder, pair);
            return Ok(());
        }
        if part.used.get() >= slots.len() / 4 * 3 {
            part.make_room(ctx)?;
        }
        part.slots.get().put(ctx, hash, holder, pair);
        part.used.set(part.used.get() + 1);
        Ok(())
    }

    /// Makes the slots anew, for the entries that there still are and at least one more (LW3).
    fn make_room(&self, ctx: Ctx<'gc>) -> Result<(), NoMemory> {
        let old = self.slots.get();
        let entries = || {
            let set = old.pairs.as_ref().iter().filter_map(|slot| slot.get(ctx.cx));
            set.filter(|(_, pair)| !pair.value.get(ctx).is_nil())
        };
        let count = entries().count();
        let len = (2 * (count + 1)).next_power_of_two().max(SLOTS_MIN);
        let new = Slots::new(ctx, len)?;
        for (holder, pair) in entries() {
            new.put(ctx, self.hash(pair.key), holder, pair);
        }
        self.slots.set(ctx.cx, new);
        self.used.set(count);
        Ok(())
    }

    /// The entry after `key` in traversal order, as [`Table::next`].
    pub(super) fn next(&self, ctx: Ctx<'gc>, key: Value<'gc>) -> Result<Entry<'gc>, InvalidKey> {
        let slots = self.slots.get();
        let start = if key.is_nil() { 0 } else { self.position(ctx, key).ok_or(InvalidKey)? + 1 };
        for at in start..slots.len() {
            if let Some((_, pair)) = slots.pairs[at].get(ctx.cx) {
                let value = pair.value.get(ctx);
                if !value.is_nil() {
                    return Ok(Some((pair.key, value)));
                }
            }
        }
        Ok(None)
    }

    /// The slot that has a key, or from which a collection has removed it in the middle of a
    /// traversal (LW2).
    fn position(&self, ctx: Ctx<'gc>, key: Value<'gc>) -> Option<usize> {
        let (slots, hash) = (self.slots.get(), self.hash(key));
        let is_gone = |&at: &usize| slots.pairs[at].get(ctx.cx).is_none();
        match slots.find(ctx, key, hash) {
            Some((at, _)) => Some(at),
            None => slots.candidates(hash).find(is_gone),
        }
    }
}
