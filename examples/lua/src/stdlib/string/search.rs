//! `string.find`, `match`, `gmatch` and `gsub`: arguments, captures and replacements for
//! [`crate::lstr::pattern`].
//!
//! * SR1: a fast body makes all strings of its result before it puts the first one in place,
//!   because results overwrite arguments and the body may have to run again.
//! * while a replacement function runs, the subject and the pattern are copies outside the
//!   heap: nothing that borrows from the heap survives the call.

use core::ops::Range;

use memchr::memmem;

use super::buffer::{Buffer, copied};
use super::substring;
use crate::error::{Fail, Failure, Raised, fail};
use crate::function::new_native;
use crate::lstr::format::ITEM_MAX;
use crate::lstr::pattern::{self, Capture, Matcher, PatternError};
use crate::lstr::range_start;
use crate::native::{Call, NativeDef, NativeResult};
use crate::state::{Ctx, Event};
use crate::string::Str;
use crate::value::Value;
use crate::vm::{self, Indexed, Task, append_number};

impl From<PatternError> for Failure<'_> {
    #[cold]
    fn from(error: PatternError) -> Self {
        match error {
            PatternError::Interrupted => Box::new(Fail::Interrupted),
            error => fail(error.to_string()),
        }
    }
}

/// Value `index` of a match that spanned `found`.
fn captured<'gc>(
    ctx: Ctx<'gc>,
    matcher: &Matcher<'_>,
    text: Str<'gc>,
    index: usize,
    found: &Range<usize>,
) -> Result<Value<'gc>, Failure<'gc>> {
    match matcher.value(index, found.start, found.end)? {
        Capture::Range(from, to) => Ok(Value::Str(substring(ctx, text, from..to)?)),
        Capture::Position(at) => Ok(Value::Int(at as i64 + 1)),
    }
}

/// How many results need no memory outside the stack.
const FEW: usize = 4;

/// Results, collected before they are put in place (SR1).
struct Results<'gc> {
    few: [Value<'gc>; FEW],
    /// All of them, once there are more.
    many: Vec<Value<'gc>>,
    count: usize,
}

impl<'gc> Results<'gc> {
    fn new() -> Results<'gc> {
        Results { few: [Value::Nil; FEW], many: Vec::new(), count: 0 }
    }

    fn push(&mut self, value: Value<'gc>) {
        if self.count < FEW {
            self.few[self.count] = value;
        } else {
            if self.count == FEW {
                self.many.extend_from_slice(&self.few);
            }
            self.many.push(value);
        }
        self.count += 1;
    }

    fn values(&self) -> &[Value<'gc>] {
        if self.count <= FEW { &self.few[..self.count] } else { &self.many }
    }

    fn ret(&self, call: &Call<'gc>) -> NativeResult<'gc> {
        call.ret_all(self.values())
    }
}

// ---- find and match ----

/// The offset where a search starts, if it is inside the string or at its end.
fn search_start<'gc>(call: &Call<'gc>, text: Str<'gc>) -> Result<Option<usize>, Failure<'gc>> {
    let start = match call.arg(2) {
        Value::Nil => 0,
        _ => range_start(call.int(2)?, text.len()),
    };
    Ok((start <= text.len()).then_some(start))
}

pub(super) fn find<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let (text, wanted) = (call.string(0)?, call.string(1)?.as_bytes());
    let Some(start) = search_start(call, text)? else { return call.ret(Value::Nil) };
    let positions = |from: usize, to: usize| [Value::Int(from as i64 + 1), Value::Int(to as i64)];
    if !call.arg(3).is_falsy() || pattern::is_plain(wanted) {
        return match memmem::find(&text.as_bytes()[start..], wanted) {
            Some(at) => call.ret_all(&positions(start + at, start + at + wanted.len())),
            None => call.ret(Value::Nil),
        };
    }
    let mut matcher = Matcher::new(text.as_bytes(), wanted, &call.ctx.host.interrupt);
    let Some((from, to)) = matcher.search(start, None)? else {
        return call.ret(Value::Nil);
    };
    let mut results = Results::new();
    positions(from, to).into_iter().for_each(|value| results.push(value));
    for index in 0..matcher.capture_count() {
        results.push(captured(call.ctx, &matcher, text, index, &(from..to))?);
    }
    results.ret(call)
}

pub(super) fn match_<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let (text, wanted) = (call.string(0)?, call.string(1)?.as_bytes());
    let Some(start) = search_start(call, text)? else { return call.ret(Value::Nil) };
    let mut matcher = Matcher::new(text.as_bytes(), wanted, &call.ctx.host.interrupt);
    match matcher.search(start, None)? {
        Some((from, to)) => all_values(call.ctx, &matcher, text, &(from..to))?.ret(call),
        None => call.ret(Value::Nil),
    }
}

/// The captures, or the whole match if the pattern has none.
fn all_values<'gc>(
    ctx: Ctx<'gc>,
    matcher: &Matcher<'_>,
    text: Str<'gc>,
    found: &Range<usize>,
) -> Result<Results<'gc>, Failure<'gc>> {
    let mut results = Results::new();
    for index in 0..matcher.value_count() {
        results.push(captured(ctx, matcher, text, index, found)?);
    }
    Ok(results)
}

// ---- gmatch ----

/// The iterator that `gmatch` returns. Its upvalues: subject, pattern, where to go on, and where
/// the last match ended (-1 before the first).
static GMATCH_NEXT: NativeDef = NativeDef::fast("gmatch_iterator", gmatch_next);

pub(super) fn gmatch<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let (text, wanted) = (call.string(0)?, call.string(1)?);
    // One past the end finds nothing, not even the empty string.
    let start = search_start(call, text)?.unwrap_or(text.len() + 1);
    let upvalues = [Value::Str(text), Value::Str(wanted), Value::Int(start as i64), Value::Int(-1)];
    call.ret(Value::Native(new_native(call.ctx, &GMATCH_NEXT, &upvalues)?))
}

fn gmatch_next<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let (Value::Str(text), Value::Str(wanted), Value::Int(start), Value::Int(last_end)) =
        (call.upvalue(0), call.upvalue(1), call.upvalue(2), call.upvalue(3))
    else {
        unreachable!("gmatch gives its iterator these upvalues")
    };
    if start as usize > text.len() {
        return call.ret_none();
    }
    let interrupt = &call.ctx.host.interrupt;
    let mut matcher = Matcher::for_gmatch(text.as_bytes(), wanted.as_bytes(), interrupt);
    let last_end = usize::try_from(last_end).ok();
    let found = matcher.search(start as usize, last_end)?;
    let Some((from, to)) = found else {
        call.set_upvalue(2, Value::Int(text.len() as i64 + 1));
        return call.ret_none();
    };
    let results = all_values(call.ctx, &matcher, text, &(from..to))?;
    call.set_upvalue(2, Value::Int(to as i64));
    call.set_upvalue(3, Value::Int(to as i64));
    results.ret(call)
}

// ---- gsub ----

/// Where `gsub` is in its subject.
struct Progress {
    /// Everything before has been copied or replaced.
    at: usize,
    last_end: Option<usize>,
    count: i64,
    limit: i64,
}

impl Progress {
    fn new(limit: i64) -> Progress {
        Progress { at: 0, last_end: None, count: 0, limit }
    }

    /// Finds the next match and copies what lies before it.
    fn next<'gc>(
        &mut self,
        matcher: &mut Matcher<'_>,
        subject: &[u8],
        out: &mut Buffer<'_>,
    ) -> Result<Option<Range<usize>>, Failure<'gc>> {
        let exhausted = self.count >= self.limit || (self.count > 0 && matcher.is_anchored());
        if exhausted {
            return Ok(None);
        }
        let Some((from, to)) = matcher.search(self.at, self.last_end)? else { return Ok(None) };
        out.append(&subject[self.at..from])?;
        self.at = to;
        self.last_end = Some(to);
        self.count += 1;
        Ok(Some(from..to))
    }
}

fn gsub_limit<'gc>(call: &Call<'gc>, text: Str<'gc>) -> Result<i64, Failure<'gc>> {
    let limit = call.opt_int(3, text.len() as i64 + 1)?;
    match call.arg(2) {
        Value::Str(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Table(_)
        | Value::Function(_)
        | Value::Native(_) => Ok(limit),
        _ => Err(call.type_error(2, "string/function/table")),
    }
}

/// Appends the value that a table or function gave for a match, or the match itself. Where nothing
/// has changed, the result of `gsub` is its subject, not a copy.
fn append_replacement<'gc>(
    out: &mut Buffer<'_>,
    value: Value<'gc>,
    original: &[u8],
    has_changed: &mut bool,
) -> Result<(), Failure<'gc>> {
    match value {
        Value::Nil | Value::False => {
            out.append(original)?;
            return Ok(());
        }
        Value::Str(text) => out.append(text.as_bytes())?,
        Value::Int(_) | Value::Float(_) => append_number(out.room(ITEM_MAX)?, value),
        _ => return Err(fail(format!("invalid replacement value (a {})", value.ty().name()))),
    }
    *has_changed = true;
    Ok(())
}

/// The fast body: replacement by a string, or from a table without `__index`.
pub(super) fn gsub<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let (text, wanted) = (call.string(0)?, call.string(1)?.as_bytes());
    let limit = gsub_limit(call, text)?;
    let subject = text.as_bytes();
    let template = match call.arg(2) {
        Value::Table(table) => {
            let metatable = table.metatable();
            if metatable.is_some_and(|m| m.cached_metamethod(call.ctx, Event::Index).is_some()) {
                return call.slow();
            }
            None
        }
        Value::Function(_) | Value::Native(_) => return call.slow(),
        _ => Some(call.string(2)?.as_bytes()),
    };
    let literal = template.filter(|template| !template.contains(&b'%'));
    let mut matcher = Matcher::new(subject, wanted, &call.ctx.host.interrupt);
    let mut progress = Progress::new(limit);
    let mut has_changed = false;
    let mut out = Buffer::new(call.ctx.host);
    while let Some(found) = progress.next(&mut matcher, subject, &mut out)? {
        match (literal, template, call.arg(2)) {
            (Some(literal), _, _) => {
                out.append(literal)?;
                has_changed = true;
            }
            (None, Some(template), _) => {
                has_changed = true;
                matcher.expand::<Failure<'gc>>(template, found.start, found.end, &mut out)?;
            }
            (None, None, Value::Table(table)) => {
                let key = captured(call.ctx, &matcher, text, 0, &found)?;
                let value = table.get(call.ctx, key);
                append_replacement(&mut out, value, &subject[found], &mut has_changed)?;
            }
            (None, None, _) => unreachable!("any other replacement is a template or slow"),
        }
    }
    if !has_changed {
        return call.ret_all(&[Value::Str(text), Value::Int(progress.count)]);
    }
    out.append(&subject[progress.at..])?;
    let result = out.finish(call.ctx)?;
    call.ret_all(&[Value::Str(result), Value::Int(progress.count)])
}

/// What a replacement in the slow body needs.
enum Replacement {
    /// It is in the result already.
    Appended,
    /// A call with that many arguments, which are on the stack.
    Call(usize),
}

/// The slow body: everything, with calls.
pub(super) fn gsub_slow(task: &mut Task<'_>) -> Result<usize, Raised> {
    let (subject, wanted, limit) = task.enter(|call| {
        let text = call.string(0)?;
        let limit = gsub_limit(call, text)?;
        let wanted = call.string(1)?.as_bytes();
        let host = call.ctx.host;
        Ok((copied(host, text.as_bytes())?, copied(host, wanted)?, limit))
    })?;
    let host = task.runner().host;
    let mut matcher = Matcher::new(&subject, &wanted, &host.interrupt);
    let mut progress = Progress::new(limit);
    let mut has_changed = false;
    let mut out = Buffer::new(host);
    while let Some(found) = task.enter(|_| progress.next(&mut matcher, &subject, &mut out))? {
        let step = task.enter(|call| {
            replacement(call, &matcher, &subject, &found, &mut out, &mut has_changed)
        })?;
        if let Replacement::Call(arguments) = step {
            task.call_for(arguments, 1)?;
            task.enter(|call| {
                let original = &subject[found.clone()];
                append_replacement(&mut out, call.pushed(0), original, &mut has_changed)?;
                call.pop();
                Ok(())
            })?;
        }
    }
    task.enter(|_| Ok(out.append(&subject[progress.at..])?))?;
    task.enter(|call| {
        let result = if has_changed { out.finish(call.ctx)? } else { call.string(0)? };
        Ok(call.place(&[Value::Str(result), Value::Int(progress.count)]))
    })
}

/// Appends the replacement for a match, or sets up the call that gives it. If it fails, it has
/// appended nothing, and can be tried again.
fn replacement<'gc>(
    call: &Call<'gc>,
    matcher: &Matcher<'_>,
    subject: &[u8],
    found: &Range<usize>,
    out: &mut Buffer<'_>,
    has_changed: &mut bool,
) -> Result<Replacement, Failure<'gc>> {
    let value = |index| -> Result<Value<'gc>, Failure<'gc>> {
        match matcher.value(index, found.start, found.end)? {
            Capture::Range(from, to) => Ok(Value::Str(call.ctx.str(&subject[from..to])?)),
            Capture::Position(at) => Ok(Value::Int(at as i64 + 1)),
        }
    };
    let replacer = call.arg(2);
    match replacer {
        Value::Function(_) | Value::Native(_) => {
            let count = matcher.value_count();
            let mut values = Results::new();
            for index in 0..count {
                values.push(value(index)?);
            }
            call.push(replacer)?;
            for value in values.values() {
                call.push(*value)?;
            }
            Ok(Replacement::Call(count))
        }
        Value::Table(_) => {
            let key = value(0)?;
            match vm::index(call.ctx, replacer, key)? {
                Indexed::Done(value) => {
                    append_replacement(out, value, &subject[found.clone()], has_changed)?;
                    Ok(Replacement::Appended)
                }
                Indexed::Call { handler, object } => {
                    call.push(handler)?;
                    call.push(object)?;
                    call.push(key)?;
                    Ok(Replacement::Call(2))
                }
                Indexed::NotIndexable { object, .. } => {
                    let kind = call.type_name(object);
                    Err(fail(format!("attempt to index a {kind} value")))
                }
            }
        }
        _ => {
            let template = call.string(2)?;
            let before = out.bytes().len();
            let expanded = matcher.expand(template.as_bytes(), found.start, found.end, out);
            expanded.inspect_err(|_: &Failure<'gc>| out.truncate(before))?;
            *has_changed = true;
            Ok(Replacement::Appended)
        }
    }
}
