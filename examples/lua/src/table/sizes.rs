//! How large the two parts of a table are, and what that costs (LT7): they are chosen when a key finds no node, by a
//! count of the keys.

use core::cell::Cell;

use heap_api::{Gc, GcCell};

use super::nodes::{Key, Node, new_nodes, put};
use super::{Array, ArrayHead, Table, array_index};
use crate::error::NoMemory;
use crate::state::Ctx;
use crate::value::Value;

/// A hash part for more keys than this has a quarter of its nodes free after a rehash (LT7).
const FEW: usize = 8;

/// The length of an array part from which on a list grows by a count of its keys.
const SHORT_LIST: usize = 4;

/// An array part of at most this length is counted at every rehash (LT7).
pub(super) const SHORT_ARRAY: usize = 64;

/// The insertions that pay for the first count of an array part of this length.
pub(super) fn credit_of_new_array(len: usize) -> usize {
    (len / 16).min(MAX_CREDIT)
}

/// Most that [`Table::credit`] can be.
const MAX_CREDIT: usize = (1 << 23) - 1;

/// The bit above the credit.
pub(super) const FINALIZER: u8 = 1 << 7;

pub(super) fn packed(credit: usize) -> [u8; 3] {
    let [a, b, c, _] = (credit.min(MAX_CREDIT) as u32).to_le_bytes();
    [a, b, c]
}

impl<'gc> Table<'gc> {
    /// Chooses new sizes for both parts, with room for `extra` (LT7).
    #[inline(never)]
    pub(super) fn rehash(&self, ctx: Ctx<'gc>, extra: Value<'gc>) -> Result<(), NoMemory> {
        let mut census = Census::default();
        let nodes = &self.nodes.get().as_ref().tail;
        let mut keys = 1;
        if let Value::Int(i) = extra {
            census.count(i);
        }
        for node in nodes {
            if !node.value.get().is_nil() {
                keys += 1;
                if let Key::Int(_, i) = node.key.get() {
                    census.count(i);
                }
            }
        }
        let old_array = self.array_part();
        let mut credit = self.credit() + (nodes.len() / 4).max(1);
        let mut array = old_array.len();
        if Self::is_worth_counting(array, credit, &census) {
            for (i, slot) in old_array.iter().enumerate() {
                if !slot.get().is_nil() {
                    keys += 1;
                    census.count(i as i64 + 1);
                }
            }
            let covered;
            (array, covered) = census.array_size();
            keys -= covered;
            credit = if array > old_array.len() { credit_of_new_array(array) } else { 0 };
            note_work(ctx, old_array.len());
        }
        self.rebuild(ctx, array, with_slack(keys))?;
        self.set_credit(credit);
        Ok(())
    }

    /// Adds the next element to a short list that is full, as its hash part is, or lacking. A count of the keys would
    /// double the array part and leave the hash part as it is; this finds that out more quickly. Says whether the
    /// table is such a one.
    ///
    /// # Errors
    ///
    /// If there is no memory; nothing has changed then (LT6).
    #[inline(always)]
    pub(super) fn grow_short_list(
        &self,
        ctx: Ctx<'gc>,
        key: i64,
        value: Value<'gc>,
    ) -> Result<bool, NoMemory> {
        let old = self.array_part();
        let next = array_index(key);
        let is_full_list = next == old.len()
            && next < SHORT_LIST
            && old.iter().all(|slot| !slot.get().is_nil())
            && (self.has_no_nodes() || self.has_few_nodes_full_of_other_keys());
        if !is_full_list || value.is_nil() {
            return Ok(false);
        }
        let array = resized_array(ctx, old, (next + 1).next_power_of_two())?;
        array.tail[next].set(ctx.cx, value);
        note_work(ctx, array.tail.len() + self.nodes.get().tail.len());
        self.array.set(ctx.cx, array);
        Ok(true)
    }

    /// Whether a count of the keys would leave the hash part as it is, which is full: it has no integers, and
    /// no keys without values.
    fn has_few_nodes_full_of_other_keys(&self) -> bool {
        let nodes = &self.nodes.get().as_ref().tail;
        let stays = |node: &Node<'gc>| {
            !node.value.get().is_nil() && !matches!(node.key.get(), Key::Int(..))
        };
        nodes.len() <= FEW && nodes.iter().all(stays)
    }

    /// A lower bound of the insertions into the hash part since the array part was last counted. A
    /// long new array part starts with credit for the first count that may find that the part
    /// should grow.
    #[inline]
    pub(super) fn credit(&self) -> usize {
        let [a, b, c] = self.credit.get();
        u32::from_le_bytes([a, b, c & !FINALIZER, 0]) as usize
    }

    pub(super) fn set_credit(&self, credit: usize) {
        let [a, b, c] = packed(credit);
        self.credit.set([a, b, c | (self.credit.get()[2] & FINALIZER)]);
    }

    /// Whether a rehash is to count how much of the array part is in use, which costs time in
    /// proportion to its length, and choose a new length for it. That takes a certain credit; half
    /// of it is enough if the integer keys outside of the part, which `census` has, would make the
    /// part grow provided that all of it is in use.
    fn is_worth_counting(array: usize, credit: usize, census: &Census) -> bool {
        if array <= SHORT_ARRAY || credit >= (2 * credit_of_new_array(array)).min(MAX_CREDIT) {
            return true;
        }
        if credit < credit_of_new_array(array) || census.integers == 0 {
            return false;
        }
        let mut full = census.clone();
        full.count_all(array);
        full.array_size().0 > array
    }

    /// Makes both parts anew, with the same content: an array part of `array` elements, a hash part of
    /// at least `hash` nodes, which must be enough for all keys that the array part does not cover.
    ///
    /// # Errors
    ///
    /// If there is no memory; nothing has changed then (LT6).
    fn rebuild(&self, ctx: Ctx<'gc>, array: usize, hash: usize) -> Result<(), NoMemory> {
        let old_array = self.array_part();
        let old_nodes = self.nodes.get();
        let new_array_part = if array == old_array.len() {
            self.array.get()
        } else {
            resized_array(ctx, old_array, array)?
        };
        let new_nodes_part =
            if hash == 0 { ctx.state.no_parts.nodes } else { new_nodes(ctx, hash)? };
        note_work(ctx, old_nodes.tail.len() + new_nodes_part.tail.len());
        if array != old_array.len() {
            note_work(ctx, old_array.len() + array);
            self.array.set(ctx.cx, new_array_part);
        }
        self.set_nodes(ctx, new_nodes_part);
        for (i, slot) in old_array.iter().enumerate().skip(array) {
            let value = slot.get();
            if !value.is_nil() {
                put(ctx, new_nodes_part.as_ref(), Value::Int(i as i64 + 1), value);
            }
        }
        for node in &old_nodes.as_ref().tail {
            let value = node.value.get();
            if value.is_nil() {
                continue;
            }
            let key = node.key.get().value();
            match key {
                Value::Int(i) if array_index(i) < array => {
                    new_array_part.tail[array_index(i)].set(ctx.cx, value);
                }
                _ => put(ctx, new_nodes_part.as_ref(), key, value),
            }
        }
        Ok(())
    }

    /// Makes the array part at least this long, for a caller that is about to fill it.
    ///
    /// # Errors
    ///
    /// If there is no memory for it.
    pub fn reserve_array(&self, ctx: Ctx<'gc>, len: usize) -> Result<(), NoMemory> {
        let old = self.array_part();
        if len <= old.len() || self.is_weak() {
            return Ok(());
        }
        let new = resized_array(ctx, old, len)?;
        note_work(ctx, old.len() + len);
        if !self.has_no_nodes() {
            // LT2: what the array part covers now leaves the hash part.
            for (i, slot) in new.tail.iter().enumerate().skip(old.len()) {
                let key = i as i64 + 1;
                if let Some(found) = self.hash_int_slot(key, self.hash_int(key)) {
                    slot.set(ctx.cx, found.replace(ctx.cx, Value::Nil));
                }
            }
        }
        self.array.set(ctx.cx, new);
        self.set_credit(credit_of_new_array(len));
        Ok(())
    }
}

/// An array part with the content of another, as far as it reaches.
fn resized_array<'gc>(
    ctx: Ctx<'gc>,
    old: &[GcCell<Value<'gc>>],
    len: usize,
) -> Result<Gc<'gc, Array<'gc>>, NoMemory> {
    if len == 0 {
        return Ok(ctx.state.no_parts.array);
    }
    let fill = |i: usize| GcCell::new(old.get(i).map_or(Value::Nil, GcCell::get));
    let head = ArrayHead { border: Cell::new(0) };
    Ok(ctx.cx.try_alloc_header_slice_fn(head, len, fill)?)
}

/// How many nodes a rehash makes for `keys` keys: a power of two, of which a quarter stays free (LT7)
/// unless the keys are few. A full hash part of living keys doubles by the power of two alone.
fn with_slack(keys: usize) -> usize {
    let nodes = keys.next_power_of_two();
    match keys {
        0 => 0,
        _ if keys > FEW && keys > nodes - nodes / 4 => 2 * nodes,
        _ => nodes,
    }
}

/// Counts slots and nodes that were looked at or made, for the tests of LT7.
#[inline(always)]
fn note_work(ctx: Ctx<'_>, slots: usize) {
    #[cfg(test)]
    ctx.host.table_work.set(ctx.host.table_work.get() + slots as u64);
    #[cfg(not(test))]
    let _ = (ctx, slots);
}

/// How many integer keys lie in each power-of-two slice.
#[derive(Clone)]
struct Census {
    /// `slices[k]`: keys in `2^(k - 1) + 1 ..= 2^k`.
    slices: [usize; 33],
    integers: usize,
}

/// `2^k`, if there can be as many keys in the address space.
fn power_of_two(k: usize) -> Option<usize> {
    1_usize.checked_shl(k as u32)
}

impl Default for Census {
    fn default() -> Census {
        Census { slices: [0; 33], integers: 0 }
    }
}

impl Census {
    fn count(&mut self, key: i64) {
        if (1..=1 << 32).contains(&key) {
            let slice = 64 - (key as u64 - 1).leading_zeros() as usize;
            self.slices[slice] += 1;
            self.integers += 1;
        }
    }

    /// Counts all keys from 1 to `last`.
    fn count_all(&mut self, last: usize) {
        let mut before = 0;
        for (k, in_slice) in self.slices.iter_mut().enumerate() {
            let end = power_of_two(k).map_or(last, |size| last.min(size));
            *in_slice += end - before;
            before = end;
        }
        self.integers += before;
    }

    /// The largest `n`, a power of two, such that more than half of `1..=n` is in use; and how many
    /// keys that covers.
    fn array_size(&self) -> (usize, usize) {
        let (mut best, mut covered, mut seen) = (0, 0, 0);
        for (k, in_slice) in self.slices.iter().enumerate() {
            let Some(size) = power_of_two(k) else { break };
            if self.integers <= size / 2 {
                break;
            }
            seen += in_slice;
            if seen > size / 2 {
                (best, covered) = (size, seen);
            }
        }
        (best, covered)
    }
}
