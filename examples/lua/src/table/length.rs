//! The length of a table: a border, found with few looks at keys.

use super::{Array, ArrayHead, Table};
use crate::state::Ctx;
use crate::value::Value;

impl<'gc> Table<'gc> {
    /// A border: `n` with `t[n] ~= nil` (or `n == 0`) and `t[n + 1] == nil`.
    #[inline]
    pub fn length(&self, ctx: Ctx<'gc>) -> i64 {
        if self.is_weak() {
            return border_from(0, |key| self.weak_get(ctx, Value::Int(key)).is_nil());
        }
        self.ordinary_length()
    }

    /// As [`Table::length`], for a table that is not weak.
    #[inline]
    pub fn ordinary_length(&self) -> i64 {
        let Array { header: ArrayHead { border }, tail: array, .. } = self.array.get().as_ref();
        let nil_at = |i: usize| array[i].get().is_nil();
        let len = array.len();
        if len == 0 || !nil_at(len - 1) {
            return self.hash_border(len as i64);
        }
        let hint = border.get() as usize;
        if hint > 0 && hint < len && !nil_at(hint - 1) {
            if nil_at(hint) {
                return hint as i64;
            }
            // Most often one element was appended since.
            if hint + 1 < len && nil_at(hint + 1) {
                border.set(hint as u32 + 1);
                return hint as i64 + 1;
            }
        }
        self.find_border()
    }

    /// A border inside the array part, whose last element is nil.
    #[inline(never)]
    fn find_border(&self) -> i64 {
        let Array { header: ArrayHead { border }, tail: array, .. } = self.array.get().as_ref();
        // Binary search between a present (or index 0) and an absent position.
        let (mut present, mut absent) = (0, array.len());
        if absent > 1 && !array[absent - 2].get().is_nil() {
            present = absent - 1;
        }
        while absent - present > 1 {
            let middle = present + (absent - present) / 2;
            if array[middle - 1].get().is_nil() {
                absent = middle;
            } else {
                present = middle;
            }
        }
        border.set(present as u32);
        present as i64
    }

    /// A border at or after `present`, which is 0 or a key with a value.
    fn hash_border(&self, present: i64) -> i64 {
        if self.has_no_nodes() || self.hash_get_int(present + 1).is_nil() {
            return present;
        }
        border_from(present + 1, |key| self.ordinary_int(key).is_nil())
    }
}

/// A border at or after `present`, which is 0 or a key with a value, found with few looks at keys.
fn border_from(mut present: i64, is_nil: impl Fn(i64) -> bool) -> i64 {
    let mut absent = present + 1;
    while !is_nil(absent) {
        present = absent;
        absent = match absent.checked_mul(2) {
            Some(doubled) => doubled,
            None if is_nil(i64::MAX) => i64::MAX,
            None => return i64::MAX,
        };
    }
    while absent - present > 1 {
        let middle = present + (absent - present) / 2;
        if is_nil(middle) {
            absent = middle;
        } else {
            present = middle;
        }
    }
    present
}
