//! The hash part of a table: its nodes, the main position of a key (LT9), and how a key gets a node (LT4, LT5).

use core::cell::Cell;

use heap_api::{Gc, GcCell, HeaderSlice, Trace};

use super::Table;
use super::weak::WeakPart;
use crate::error::NoMemory;
use crate::function::{Closure, NativeFn};
use crate::hash::{scatter, scatter_integer};
use crate::state::Ctx;
use crate::string::Str;
use crate::thread::Thread;
use crate::userdata::UserData;
use crate::value::{Double, Value};

/// Index of the next node in a chain; beyond every table at the end.
pub(super) type Link = u32;

pub(super) const END: Link = Link::MAX;

/// A key with the link to the next node of its chain.
#[derive(Clone, Copy, Trace)]
pub(super) enum Key<'gc> {
    Empty(Link),
    False(Link),
    True(Link),
    Int(Link, i64),
    Float(Link, Double),
    Str(Link, Str<'gc>),
    Table(Link, Gc<'gc, Table<'gc>>),
    Function(Link, Gc<'gc, Closure<'gc>>),
    Native(Link, Gc<'gc, NativeFn<'gc>>),
    Thread(Link, Gc<'gc, Thread<'gc>>),
    UserData(Link, Gc<'gc, UserData<'gc>>),
    LightUserData(Link, usize),
    /// No key: the entries of a weak table (LT8).
    Weak(Link, Gc<'gc, WeakPart<'gc>>),
}

const _: () = assert!(size_of::<Key<'_>>() <= 16);

impl<'gc> Key<'gc> {
    pub(super) fn new(value: Value<'gc>, link: Link) -> Key<'gc> {
        match value {
            Value::Nil => Key::Empty(link),
            Value::False => Key::False(link),
            Value::True => Key::True(link),
            Value::Int(i) => Key::Int(link, i),
            Value::Float(f) => Key::Float(link, f),
            Value::Str(s) => Key::Str(link, s),
            Value::Table(t) => Key::Table(link, t),
            Value::Function(f) => Key::Function(link, f),
            Value::Native(f) => Key::Native(link, f),
            Value::Thread(t) => Key::Thread(link, t),
            Value::UserData(u) => Key::UserData(link, u),
            Value::LightUserData(word) => Key::LightUserData(link, word),
        }
    }

    pub(super) fn value(self) -> Value<'gc> {
        match self {
            Key::Empty(_) | Key::Weak(..) => Value::Nil,
            Key::False(_) => Value::False,
            Key::True(_) => Value::True,
            Key::Int(_, i) => Value::Int(i),
            Key::Float(_, f) => Value::Float(f),
            Key::Str(_, s) => Value::Str(s),
            Key::Table(_, t) => Value::Table(t),
            Key::Function(_, f) => Value::Function(f),
            Key::Native(_, f) => Value::Native(f),
            Key::Thread(_, t) => Value::Thread(t),
            Key::UserData(_, u) => Value::UserData(u),
            Key::LightUserData(_, word) => Value::LightUserData(word),
        }
    }

    #[inline(always)]
    pub(super) fn link(self) -> Link {
        match self {
            Key::Empty(link)
            | Key::False(link)
            | Key::True(link)
            | Key::Int(link, _)
            | Key::Float(link, _)
            | Key::Str(link, _)
            | Key::Table(link, _)
            | Key::Function(link, _)
            | Key::Native(link, _)
            | Key::Thread(link, _)
            | Key::UserData(link, _)
            | Key::LightUserData(link, _)
            | Key::Weak(link, _) => link,
        }
    }

    pub(super) fn is_empty(self) -> bool {
        matches!(self, Key::Empty(_))
    }
}

#[derive(Trace)]
pub(super) struct Node<'gc> {
    pub(super) key: GcCell<Key<'gc>>,
    pub(super) value: GcCell<Value<'gc>>,
}

impl<'gc> Node<'gc> {
    pub(super) fn empty() -> Node<'gc> {
        Node { key: GcCell::new(Key::Empty(END)), value: GcCell::new(Value::Nil) }
    }
}

/// What precedes the nodes of a hash part.
#[derive(Trace)]
pub(super) struct NodesHead {
    /// All nodes from here on are in use; [`SHARED`] and [`WEAK`] mark
    /// hash parts without keys.
    pub(super) last_free: Cell<u32>,
    /// For the hashes of numbers and addresses.
    pub(super) seed: u32,
}

/// A hash part.
pub(super) type Nodes<'gc> = HeaderSlice<NodesHead, Node<'gc>>;

/// The shared empty hash part (LT3).
pub(super) const SHARED: u32 = u32::MAX;

/// That of a weak table (LT8).
pub(super) const WEAK: u32 = u32::MAX - 1;

/// The hash of a key, for a hash part of `mask + 1` nodes.
pub(super) fn hash(key: Value<'_>, seed: u32, mask: u32) -> u32 {
    match key {
        Value::Nil => 0,
        Value::False => 0,
        Value::True => 1,
        Value::Int(i) => hash_int(i, seed, mask),
        Value::Float(f) => scatter(f.get().to_bits(), seed),
        Value::Str(s) => s.hash(),
        other => scatter(other.address().unwrap_or(0) as u64, seed),
    }
}

/// The hash of an integer key, see [`hash`]. An integer that is the index of a node is its own hash (LT9).
#[inline(always)]
pub(super) fn hash_int(key: i64, seed: u32, mask: u32) -> u32 {
    if key as u64 <= u64::from(mask) { key as u32 } else { scatter_integer(key, seed) }
}

pub(super) fn new_nodes<'gc>(ctx: Ctx<'gc>, len: usize) -> Result<Gc<'gc, Nodes<'gc>>, NoMemory> {
    // Links are 32 bits wide.
    if len > 1 << 31 {
        return Err(NoMemory);
    }
    let len = len.next_power_of_two();
    let last_free = Cell::new(len as u32);
    let head = NodesHead { last_free, seed: ctx.host.hash_seed.narrow };
    Ok(ctx.cx.try_alloc_header_slice_fn(head, len, |_| Node::empty())?)
}

/// Puts a new key into a hash part that has room.
pub(super) fn put<'gc>(ctx: Ctx<'gc>, nodes: &'gc Nodes<'gc>, key: Value<'gc>, value: Value<'gc>) {
    let hash = hash(key, nodes.header.seed, nodes.tail.len() as u32 - 1);
    insert_node(ctx, nodes, key, hash, value);
}

/// Puts a new key with this hash into a hash part; says whether there was room.
pub(super) fn insert_node<'gc>(
    ctx: Ctx<'gc>,
    nodes: &'gc Nodes<'gc>,
    key: Value<'gc>,
    hash: u32,
    value: Value<'gc>,
) -> bool {
    let mask = nodes.tail.len() as u32 - 1;
    let main = (hash & mask) as usize;
    let node = &nodes.tail[main];
    let resident = node.key.get();
    if node.value.get().is_nil() {
        // Free, or left by a key whose value is nil: its place in a chain stays (LT4).
        node.key.set(ctx.cx, Key::new(key, resident.link()));
        node.value.set(ctx.cx, value);
        return true;
    }
    let Some(free) = take_free(nodes) else { return false };
    let free_node = &nodes.tail[free];
    let resident_hash = self::hash(resident.value(), nodes.header.seed, mask);
    let resident_main = (resident_hash & mask) as usize;
    if resident_main == main {
        free_node.key.set(ctx.cx, Key::new(key, resident.link()));
        free_node.value.set(ctx.cx, value);
        node.key.set(ctx.cx, Key::new(resident.value(), free as Link));
    } else {
        // LT5: find the node that links to the resident, and move it.
        let mut before = resident_main;
        loop {
            let link = nodes.tail[before].key.get().link() as usize;
            if link == main {
                break;
            }
            before = link;
        }
        let linker = &nodes.tail[before];
        linker.key.set(ctx.cx, Key::new(linker.key.get().value(), free as Link));
        free_node.key.set(ctx.cx, resident);
        free_node.value.set(ctx.cx, node.value.get());
        node.key.set(ctx.cx, Key::new(key, END));
        node.value.set(ctx.cx, value);
    }
    true
}

/// The highest node that never held a key.
fn take_free(nodes: &Nodes<'_>) -> Option<usize> {
    let mut last = nodes.header.last_free.get();
    while last > 0 {
        last -= 1;
        if nodes.tail[last as usize].key.get().is_empty() {
            nodes.header.last_free.set(last);
            return Some(last as usize);
        }
    }
    nodes.header.last_free.set(0);
    None
}
