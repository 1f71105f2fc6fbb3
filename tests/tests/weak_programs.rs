//! Random programs with weak handles, ephemerons, weak maps, intern sets and finalizers, against an
//! oracle.
//!
//! Beside the heap runs a plain graph of indices. In one test collections are whole: after each one
//! the oracle computes what the documentation promises, and everything has to agree: what was dropped,
//! what is cleared, what is queued, and in which order. In the other one collections are done in
//! steps, between which the program goes on: what the program can reach has to be there and intact,
//! tables have to agree with the graph for every key that the program has, and nothing that was
//! cleared may come back. When the program has ended, two whole collections leave what the oracle says.
//!
//! `PROPTEST_CASES` sets the number of programs. A failure prints its program, and keeps its seed in a
//! file beside this one, to be replayed first from then on.

mod support;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use heap_api::{
    Config, Cx, Ephemeron, Finalizers, Gc, GcCell, Heap, InternSet, Opaque, Root, Trace, Weak,
    WeakMap, WeakRoot,
};
use proptest::collection::vec;
use proptest::prelude::*;

// ---- the objects ------------------------------------------------------------------

/// Where the numbers of dropped objects go.
type Log = Arc<Mutex<Vec<usize>>>;

/// The number of an object, which is intact if the check agrees.
#[derive(Trace)]
#[trace(leaf)]
struct Life {
    log: Log,
    index: usize,
    check: usize,
}

impl Life {
    fn new(index: usize, log: &Log) -> Life {
        Life { log: Arc::clone(log), index, check: !index }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        assert_eq!(self.index, !self.check, "overwritten, or dropped twice");
        self.check = 0;
        self.log.lock().unwrap().push(self.index);
    }
}

type Pairs<'gc> = [Ephemeron<'gc, Node<'gc>, Gc<'gc, Node<'gc>>>];

#[derive(Trace)]
struct Node<'gc> {
    life: Opaque<Life>,
    edges: [GcCell<Option<Gc<'gc, Node<'gc>>>>; EDGES],
    weak: GcCell<Option<Weak<'gc, Node<'gc>>>>,
    table: GcCell<Option<Gc<'gc, Pairs<'gc>>>>,
    map: WeakMap<'gc, Node<'gc>, Gc<'gc, Node<'gc>>>,
}

impl Node<'_> {
    #[track_caller]
    fn index(&self) -> usize {
        let Life { index, check, .. } = self.life.0;
        assert_eq!(index, !check, "the object was overwritten");
        index
    }
}

const EDGES: usize = 2;
const ROOTS: usize = 6;
const WEAK_ROOTS: usize = 4;
const REGISTRIES: usize = 2;

// ---- the programs -----------------------------------------------------------------

/// One step of a program. `from`, `to`, `key`, `value` and `root` are roots; places are taken modulo
/// their number.
#[derive(Clone, Debug)]
enum Step {
    New {
        root: usize,
        others: usize,
    },
    Link {
        from: usize,
        edge: usize,
        to: usize,
    },
    Unlink {
        from: usize,
        edge: usize,
    },
    Follow {
        from: usize,
        edge: usize,
        root: usize,
        /// Whether it goes from where it was.
        is_moved: bool,
    },
    Clear {
        root: usize,
    },
    SetWeak {
        from: usize,
        to: usize,
    },
    WeakRoot {
        weak: usize,
        to: usize,
    },
    ForgetWeak {
        weak: usize,
    },
    /// An object with a child, both out of reach at once: what leads to them is weak.
    Lose {
        weak: usize,
        is_child: bool,
        is_interned: bool,
        registry: Option<usize>,
    },
    /// A chain of entries, or of pairs: the value of each is, or leads to, the key of the next.
    Chain {
        from: usize,
        key: usize,
        links: usize,
        is_table: bool,
        is_reversed: bool,
    },
    Upgrade {
        weak: usize,
        root: usize,
    },
    UpgradeField {
        from: usize,
        root: usize,
    },
    /// Looks whether a handle is cleared, and if so whether it stays so when the object is found.
    Glance {
        weak: usize,
        root: usize,
    },
    NewTable {
        from: usize,
        len: usize,
    },
    ShareTable {
        from: usize,
        to: usize,
    },
    SetPair {
        from: usize,
        at: usize,
        key: usize,
        value: usize,
    },
    ClearPair {
        from: usize,
        at: usize,
    },
    TakePair {
        from: usize,
        at: usize,
        root: usize,
        is_key: bool,
        /// Whether it goes from where it was.
        is_moved: bool,
    },
    Insert {
        from: usize,
        key: usize,
        value: usize,
    },
    Remove {
        from: usize,
        key: usize,
    },
    TakeEntry {
        from: usize,
        at: usize,
        root: usize,
        is_key: bool,
        /// Whether it goes from where it was.
        is_moved: bool,
    },
    Shrink {
        from: usize,
    },
    ClearMap {
        from: usize,
    },
    Intern {
        from: usize,
    },
    Find {
        object: usize,
        root: usize,
    },
    Register {
        registry: usize,
        from: usize,
    },
    Next {
        registry: usize,
        root: Option<usize>,
        again: bool,
    },
    EnqueueAll {
        registry: usize,
    },
    /// A whole collection, or so many steps of one.
    Collect {
        steps: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    use Step::{
        Chain, Clear, ClearMap, ClearPair, Collect, EnqueueAll, Find, Follow, ForgetWeak, Glance,
        Insert, Intern, Link, Lose, New, NewTable, Next, Register, Remove, SetPair, SetWeak,
        ShareTable, Shrink, TakeEntry, TakePair, Unlink, Upgrade, UpgradeField, WeakRoot,
    };
    let (r, w, f) = (0..ROOTS, 0..WEAK_ROOTS, 0..REGISTRIES);
    let (any, flag) = (any::<usize>(), any::<bool>());
    let (r2, r3) = ((r.clone(), r.clone()), (r.clone(), r.clone(), r.clone()));
    let places = (r.clone(), any, r.clone(), flag, flag);
    let objects = prop_oneof![
        8 => (r.clone(), prop_oneof![3 => Just(0_usize), 1 => 1_usize..200])
            .prop_map(|(root, others)| New { root, others }),
        9 => (r2.clone(), any).prop_map(|((from, to), edge)| Link { from, edge, to }),
        2 => (r.clone(), any).prop_map(|(from, edge)| Unlink { from, edge }),
        5 => (r2.clone(), any, flag).prop_map(|((from, root), edge, is_moved)| {
            Follow { from, edge, root, is_moved }
        }),
        4 => r.clone().prop_map(|root| Clear { root }),
    ];
    let handles = prop_oneof![
        3 => r2.clone().prop_map(|(from, to)| SetWeak { from, to }),
        3 => (w.clone(), r.clone()).prop_map(|(weak, to)| WeakRoot { weak, to }),
        1 => w.clone().prop_map(|weak| ForgetWeak { weak }),
        4 => (w.clone(), flag, flag, proptest::option::of(f.clone()))
            .prop_map(|(weak, is_child, is_interned, registry)| {
                Lose { weak, is_child, is_interned, registry }
            }),
        4 => (w.clone(), r.clone()).prop_map(|(weak, root)| Glance { weak, root }),
        6 => (w, r.clone()).prop_map(|(weak, root)| Upgrade { weak, root }),
        3 => r2.clone().prop_map(|(from, root)| UpgradeField { from, root }),
    ];
    let tables = prop_oneof![
        3 => (r.clone(), prop_oneof![9 => 1_usize..6, 1 => 3000_usize..6000])
            .prop_map(|(from, len)| NewTable { from, len }),
        1 => r2.clone().prop_map(|(from, to)| ShareTable { from, to }),
        6 => (r3.clone(), any)
            .prop_map(|((from, key, value), at)| SetPair { from, at, key, value }),
        1 => (r.clone(), any).prop_map(|(from, at)| ClearPair { from, at }),
        6 => places.clone().prop_map(|(from, at, root, is_key, is_moved)| {
            TakePair { from, at, root, is_key, is_moved }
        }),
        4 => (r2.clone(), 1_usize..8, flag, flag)
            .prop_map(|((from, key), links, is_table, is_reversed)| {
                Chain { from, key, links, is_table, is_reversed }
            }),
        8 => r3.prop_map(|(from, key, value)| Insert { from, key, value }),
        1 => r2.prop_map(|(from, key)| Remove { from, key }),
        4 => places.prop_map(|(from, at, root, is_key, is_moved)| {
            TakeEntry { from, at, root, is_key, is_moved }
        }),
        1 => r.clone().prop_map(|from| Shrink { from }),
        1 => r.clone().prop_map(|from| ClearMap { from }),
        2 => r.clone().prop_map(|from| Intern { from }),
        3 => (any, r.clone()).prop_map(|(object, root)| Find { object, root }),
    ];
    let finalizers = prop_oneof![
        6 => (f.clone(), r.clone()).prop_map(|(registry, from)| Register { registry, from }),
        4 => (f.clone(), proptest::option::of(r), flag)
            .prop_map(|(registry, root, again)| Next { registry, root, again }),
        1 => f.prop_map(|registry| EnqueueAll { registry }),
    ];
    prop_oneof![
        9 => objects,
        4 => handles,
        7 => tables,
        3 => finalizers,
        5 => prop_oneof![4 => 1_usize..4, 1 => 4_usize..120]
            .prop_map(|steps| Collect { steps }),
    ]
}

// ---- the oracle -------------------------------------------------------------------

#[derive(Debug, Default)]
struct Object {
    edges: [Option<usize>; EDGES],
    /// Cells.
    weak: Option<usize>,
    cell: Option<usize>,
    table: Option<usize>,
    map: BTreeMap<usize, usize>,
}

/// All weak handles that are equal.
#[derive(Debug)]
struct Cell {
    target: usize,
    is_cleared: bool,
    /// Whether the target was out of reach since the program made a handle.
    was_lost: bool,
    /// Whether handles to it may be equal to later ones: no handle was in reach that would have told.
    is_vague: bool,
}

#[derive(Debug)]
struct Table {
    len: usize,
    pairs: BTreeMap<usize, (usize, usize)>,
}

#[derive(Debug, Default)]
struct Registry {
    /// The earliest first. In steps also those in the queue.
    registered: Vec<usize>,
    /// In each batch the earliest first. Where collections are whole.
    queue: VecDeque<Vec<usize>>,
}

#[derive(Debug, Default)]
struct Model {
    objects: Vec<Object>,
    tables: Vec<Table>,
    cells: Vec<Cell>,
    roots: [Option<usize>; ROOTS],
    weak_roots: [Option<usize>; WEAK_ROOTS],
    interned: Vec<usize>,
    registries: [Registry; REGISTRIES],
    /// Those that were dropped.
    dead: Vec<bool>,
    /// Those that the last collections must have dropped.
    dying: Vec<usize>,
}

/// What marking reaches.
struct Reached {
    objects: Vec<bool>,
    tables: Vec<bool>,
}

impl Model {
    fn nothing(&self) -> Reached {
        Reached { objects: vec![false; self.objects.len()], tables: vec![false; self.tables.len()] }
    }

    /// Marks from these objects, with ephemerons, as simply as can be: until nothing changes.
    fn mark(&self, reached: &mut Reached, from: impl IntoIterator<Item = usize>) {
        let mut stack: Vec<usize> = from.into_iter().collect();
        loop {
            while let Some(index) = stack.pop() {
                if std::mem::replace(&mut reached.objects[index], true) {
                    continue;
                }
                let object = &self.objects[index];
                stack.extend(object.edges.iter().flatten());
                if let Some(table) = object.table {
                    reached.tables[table] = true;
                }
            }
            let maps = self.objects.iter().enumerate().filter(|(index, _)| reached.objects[*index]);
            let entries = maps.flat_map(|(_, object)| object.map.iter().map(|(k, v)| (*k, *v)));
            let tables = self.tables.iter().enumerate().filter(|(index, _)| reached.tables[*index]);
            let pairs = tables.flat_map(|(_, table)| table.pairs.values().copied());
            let is_new =
                |(key, value): &(usize, usize)| reached.objects[*key] && !reached.objects[*value];
            stack.extend(entries.chain(pairs).filter(is_new).map(|(_, value)| value));
            if stack.is_empty() {
                return;
            }
        }
    }

    /// What the program reaches.
    fn reachable(&self) -> Reached {
        let mut reached = self.nothing();
        self.mark(&mut reached, self.roots.iter().flatten().copied());
        reached
    }

    /// A whole collection.
    fn collect(&mut self) {
        let mut reached = self.reachable();
        let queued = self.registries.iter().flat_map(|r| r.queue.iter().flatten());
        self.mark(&mut reached, queued.copied());
        for cell in self.cells.iter_mut().filter(|cell| !reached.objects[cell.target]) {
            cell.is_cleared = true;
        }
        for object in &mut self.objects {
            object.cell.take_if(|cell| self.cells[*cell].is_cleared);
        }
        let mut revived = Vec::new();
        for registry in &mut self.registries {
            let registered = std::mem::take(&mut registry.registered);
            let (kept, found): (Vec<_>, Vec<_>) =
                registered.into_iter().partition(|index| reached.objects[*index]);
            registry.registered = kept;
            revived.extend(found.iter().copied());
            if !found.is_empty() {
                registry.queue.push_back(found);
            }
        }
        self.mark(&mut reached, revived);
        self.forget_dead(&reached);
        self.dying.extend((0..self.dead.len()).filter(|i| !reached.objects[*i] && !self.dead[*i]));
        self.dead = reached.objects.iter().map(|is_reached| !is_reached).collect();
    }

    /// Forgets what has a key that was not reached.
    fn forget_dead(&mut self, reached: &Reached) {
        for object in &mut self.objects {
            object.map.retain(|key, _| reached.objects[*key]);
        }
        for table in &mut self.tables {
            table.pairs.retain(|_, (key, _)| reached.objects[*key]);
        }
        self.interned.retain(|index| reached.objects[*index]);
    }

    /// Enters that handles to what is out of reach may be cleared.
    fn note_lost(&mut self) {
        let reached = self.reachable();
        for cell in &mut self.cells {
            cell.was_lost |= !reached.objects[cell.target];
        }
    }

    fn new_object(&mut self) -> usize {
        self.objects.push(Object::default());
        self.dead.push(false);
        self.objects.len() - 1
    }
}

// ---- both -------------------------------------------------------------------------

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Whole,
    Steps,
}

struct World {
    how: How,
    /// Whether the heap has no other mutator.
    is_alone: bool,
    model: Model,
    log: Log,
    roots: [Option<Root<Node<'static>>>; ROOTS],
    weak_roots: [Option<WeakRoot<Node<'static>>>; WEAK_ROOTS],
    interned: InternSet<Node<'static>>,
    registries: [Finalizers<Node<'static>>; REGISTRIES],
}

fn hash(index: usize) -> u32 {
    index as u32 % 3
}

impl World {
    fn new(heap: &Heap, how: How, is_alone: bool) -> World {
        World {
            how,
            is_alone,
            model: Model::default(),
            log: Log::default(),
            roots: Default::default(),
            weak_roots: Default::default(),
            interned: InternSet::new(heap),
            registries: std::array::from_fn(|_| Finalizers::new(heap)),
        }
    }

    fn make<'gc>(&mut self, cx: &'gc Cx) -> (Gc<'gc, Node<'gc>>, usize) {
        let index = self.model.new_object();
        let node = cx.alloc(Node {
            life: Opaque(Life::new(index, &self.log)),
            edges: [const { GcCell::new(None) }; EDGES],
            weak: GcCell::new(None),
            table: GcCell::new(None),
            map: WeakMap::new(),
        });
        (node, index)
    }

    /// What a root has.
    fn get<'gc>(&self, cx: &'gc Cx, root: usize) -> Option<(Gc<'gc, Node<'gc>>, usize)> {
        let (node, index) = (self.roots[root].as_ref()?.get(cx), self.model.roots[root]);
        assert_eq!(Some(node.index()), index);
        Some((node, node.index()))
    }

    fn put<'gc>(&mut self, cx: &'gc Cx, root: usize, node: Gc<'gc, Node<'gc>>, index: usize) {
        assert_eq!(node.index(), index);
        assert!(!self.model.dead[index], "{index} was dropped");
        self.roots[root] = Some(cx.root(node));
        self.model.roots[root] = Some(index);
    }

    /// Makes a handle to an object; returns also its cell.
    fn downgrade<'gc>(
        &mut self,
        cx: &'gc Cx,
        node: Gc<'gc, Node<'gc>>,
        index: usize,
    ) -> (Weak<'gc, Node<'gc>>, usize) {
        let weak = node.downgrade(cx);
        let cells = &self.model.cells;
        let mut known = self.model.objects[index].cell.filter(|cell| !cells[*cell].is_cleared);
        let may_be_cleared = |cell: usize| self.how == How::Steps && cells[cell].was_lost;
        let handles = known.filter(|cell| may_be_cleared(*cell)).map(|_| self.handles(cx));
        let Model { objects, cells, .. } = &mut self.model;
        if let Some((cell, handles)) = known.zip(handles) {
            match handles.iter().find(|(_, of)| *of == cell) {
                Some((old, _)) if *old == weak => {}
                Some(_) => {
                    cells[cell].is_cleared = true;
                    known = None;
                }
                None => {
                    cells[cell].is_vague = true;
                    known = None;
                }
            }
        }
        let cell = known.unwrap_or_else(|| {
            cells.push(Cell { target: index, is_cleared: false, was_lost: false, is_vague: false });
            cells.len() - 1
        });
        objects[index].cell = Some(cell);
        cells[cell].was_lost = false;
        (weak, cell)
    }

    /// All handles that are in reach, with their cells.
    fn handles<'gc>(&self, cx: &'gc Cx) -> Vec<(Weak<'gc, Node<'gc>>, usize)> {
        let roots = self.weak_roots.iter().zip(&self.model.weak_roots);
        let mut all: Vec<_> =
            roots.filter_map(|(weak, cell)| Some((weak.as_ref()?.get(cx), (*cell)?))).collect();
        for (index, node) in self.nodes(cx) {
            all.extend(node.weak.get().zip(self.model.objects[index].weak));
        }
        all
    }

    /// What an upgrade has to give, given what it gave.
    fn check_upgrade(&mut self, node: Option<Gc<'_, Node<'_>>>, cell: usize) -> Option<usize> {
        let cell = &mut self.model.cells[cell];
        match node {
            Some(node) if cell.is_vague => {
                assert_eq!(node.index(), cell.target);
                Some(cell.target)
            }
            None if cell.is_vague => None,
            Some(node) => {
                assert_eq!(node.index(), cell.target);
                assert!(!cell.is_cleared, "a cleared handle to {} came back", cell.target);
                Some(cell.target)
            }
            None => {
                let may_be = cell.is_cleared || (self.how == How::Steps && cell.was_lost);
                assert!(may_be, "a handle to {} was cleared", cell.target);
                cell.is_cleared = true;
                None
            }
        }
    }

    /// The objects that the program reaches, which it has to find intact.
    fn nodes<'gc>(&self, cx: &'gc Cx) -> HashMap<usize, Gc<'gc, Node<'gc>>> {
        let mut nodes: HashMap<usize, Gc<'gc, Node<'gc>>> = HashMap::new();
        let mut stack: Vec<_> = (0..ROOTS).filter_map(|root| self.get(cx, root)).collect();
        loop {
            while let Some((node, index)) = stack.pop() {
                assert_eq!(node.index(), index);
                if let Some(known) = nodes.insert(index, node) {
                    assert!(known.ptr_eq(node), "two objects {index}");
                    continue;
                }
                let object = &self.model.objects[index];
                for (edge, wanted) in node.edges.iter().zip(object.edges) {
                    assert_eq!(edge.get().map(|node| node.index()), wanted);
                    stack.extend(edge.get().zip(wanted));
                }
                assert_eq!(node.weak.get().is_some(), object.weak.is_some());
                let table = object.table.map(|table| self.model.tables[table].len);
                assert_eq!(node.table.get().map(|table| table.len()), table);
            }
            // Values of keys that are in reach.
            for (index, node) in &nodes {
                let object = &self.model.objects[*index];
                for (key, value) in &object.map {
                    if let Some(key_node) = nodes.get(key) {
                        let found = node.map.get(*key_node);
                        let found = found.unwrap_or_else(|| panic!("{index} has lost {key}"));
                        assert_eq!(found.index(), *value);
                        stack.extend((!nodes.contains_key(value)).then_some((found, *value)));
                    }
                }
                let Some((table, pairs)) = node.table.get().zip(object.table) else { continue };
                for (at, (key, value)) in &self.model.tables[pairs].pairs {
                    if let Some(key_node) = nodes.get(key) {
                        let found = table[*at].value_of(*key_node);
                        let found = found.unwrap_or_else(|| panic!("a table has lost {key}"));
                        assert_eq!(found.index(), *value);
                        stack.extend((!nodes.contains_key(value)).then_some((found, *value)));
                    }
                }
            }
            if stack.is_empty() {
                return nodes;
            }
        }
    }

    /// Compares the heap with the oracle, in ways that mark nothing.
    fn check(&mut self, cx: &Cx) {
        let reached = self.model.reachable();
        let nodes = self.nodes(cx);
        let count = reached.objects.iter().filter(|is_reached| **is_reached).count();
        assert_eq!(nodes.len(), count);
        // What is missing was lost by the program; no key leads to what the shadow does not have.
        for (index, node) in &nodes {
            let object = &self.model.objects[*index];
            for (key, key_node) in &nodes {
                let found = node.map.get(*key_node).map(|value| value.index());
                assert_eq!(found, object.map.get(key).copied(), "entry {key} of {index}");
            }
        }
        self.check_lives(&reached);
        let handles = self.handles(cx);
        for (n, (weak, cell)) in handles.iter().enumerate() {
            for (other, other_cell) in &handles[n..] {
                let cells = [cell, other_cell].map(|cell| &self.model.cells[*cell]);
                let is_vague =
                    cells[0].target == cells[1].target && cells.iter().any(|c| c.is_vague);
                if !is_vague {
                    assert_eq!(weak == other, cell == other_cell, "equal handles");
                }
            }
        }
        for (registry, finalizers) in self.model.registries.iter().zip(&self.registries) {
            let (registered, queued) = (finalizers.registered_len(), finalizers.queue_len());
            let in_queue: usize = registry.queue.iter().map(Vec::len).sum();
            match self.how {
                How::Whole => {
                    assert_eq!((registered, queued), (registry.registered.len(), in_queue));
                }
                How::Steps => assert_eq!(registered + queued, registry.registered.len()),
            }
        }
        let any_queued = self.registries.iter().any(|registry| registry.queue_len() > 0);
        assert!(cx.has_finalizable() == any_queued || !self.is_alone);
    }

    /// All that must live does; where collections are whole, all that must die is dead.
    fn check_lives(&mut self, reached: &Reached) {
        let log = std::mem::take(&mut *self.log.lock().unwrap());
        if self.how == How::Whole {
            let mut log = log;
            log.sort_unstable();
            assert_eq!(log, std::mem::take(&mut self.model.dying), "dropped objects");
            return;
        }
        for index in log {
            assert!(!std::mem::replace(&mut self.model.dead[index], true), "dropped twice");
        }
        let mut protected =
            Reached { objects: reached.objects.clone(), tables: reached.tables.clone() };
        let registered = self.model.registries.iter().flat_map(|r| r.registered.iter().copied());
        self.model.mark(&mut protected, registered);
        for (index, is_protected) in protected.objects.iter().enumerate() {
            assert!(!is_protected || !self.model.dead[index], "{index} was dropped");
        }
    }

    fn step(&mut self, cx: &mut Cx, step: &Step) {
        match *step {
            Step::New { root, others } => {
                for _ in 0..others {
                    // Spans with handles, so that they are cleared in several stops.
                    let (node, index) = self.make(cx);
                    let _ = self.downgrade(cx, node, index);
                }
                let (node, index) = self.make(cx);
                self.put(cx, root, node, index);
            }
            Step::Link { from, edge, to } => {
                let (Some((node, index)), Some((to, to_index))) =
                    (self.get(cx, from), self.get(cx, to))
                else {
                    return;
                };
                node.edges[edge % EDGES].set(cx, Some(to));
                self.model.objects[index].edges[edge % EDGES] = Some(to_index);
            }
            Step::Unlink { from, edge } => {
                let Some((node, index)) = self.get(cx, from) else { return };
                node.edges[edge % EDGES].set(cx, None);
                self.model.objects[index].edges[edge % EDGES] = None;
            }
            Step::Follow { from, edge, root, is_moved } => {
                let Some((node, index)) = self.get(cx, from) else { return };
                let Some(to) = node.edges[edge % EDGES].get() else { return };
                let to_index = self.model.objects[index].edges[edge % EDGES].unwrap();
                self.put(cx, root, to, to_index);
                if is_moved {
                    node.edges[edge % EDGES].set(cx, None);
                    self.model.objects[index].edges[edge % EDGES] = None;
                }
            }
            Step::Clear { root } => {
                self.roots[root] = None;
                self.model.roots[root] = None;
            }
            Step::SetWeak { from, to } => {
                let (Some((node, index)), Some((to, to_index))) =
                    (self.get(cx, from), self.get(cx, to))
                else {
                    return;
                };
                let (weak, cell) = self.downgrade(cx, to, to_index);
                node.weak.set(cx, Some(weak));
                self.model.objects[index].weak = Some(cell);
            }
            Step::WeakRoot { weak, to } => {
                let Some((to, to_index)) = self.get(cx, to) else { return };
                let (_, cell) = self.downgrade(cx, to, to_index);
                self.weak_roots[weak] = Some(cx.weak_root(to));
                self.model.weak_roots[weak] = Some(cell);
            }
            Step::ForgetWeak { weak } => {
                self.weak_roots[weak] = None;
                self.model.weak_roots[weak] = None;
            }
            Step::Lose { weak, is_child, is_interned, registry } => {
                let ((child, child_index), (node, index)) = (self.make(cx), self.make(cx));
                node.edges[0].set(cx, Some(child));
                self.model.objects[index].edges[0] = Some(child_index);
                if is_interned {
                    self.interned.insert(cx, hash(index), node);
                    self.model.interned.push(index);
                }
                for (node, index) in [(node, index), (child, child_index), (node, index)] {
                    if let Some(registry) = registry {
                        self.registries[registry].register(cx, node);
                        self.model.registries[registry].registered.push(index);
                    }
                }
                let (to, to_index) = if is_child { (child, child_index) } else { (node, index) };
                let (_, cell) = self.downgrade(cx, to, to_index);
                self.weak_roots[weak] = Some(cx.weak_root(to));
                self.model.weak_roots[weak] = Some(cell);
            }
            Step::Upgrade { weak, root } => {
                let Some(cell) = self.model.weak_roots[weak] else { return };
                let node = self.weak_roots[weak].as_ref().unwrap().upgrade(cx);
                let index = self.check_upgrade(node, cell);
                if let Some((node, index)) = node.zip(index) {
                    self.put(cx, root, node, index);
                }
            }
            Step::Glance { weak, root } => {
                let Some(cell) = self.model.weak_roots[weak] else { return };
                let target = self.model.cells[cell].target;
                let found = self.weak_roots[weak].as_ref().unwrap().upgrade(cx);
                if self.check_upgrade(found, cell).is_none()
                    && let Some(object) = self.model.interned.iter().position(|i| *i == target)
                {
                    self.step(cx, &Step::Find { object, root });
                    let found = self.weak_roots[weak].as_ref().unwrap().upgrade(cx);
                    let _ = self.check_upgrade(found, cell);
                }
            }
            Step::UpgradeField { from, root } => {
                let Some((node, index)) = self.get(cx, from) else { return };
                let Some(weak) = node.weak.get() else { return };
                let node = weak.upgrade(cx);
                let index = self.check_upgrade(node, self.model.objects[index].weak.unwrap());
                if let Some((node, index)) = node.zip(index) {
                    self.put(cx, root, node, index);
                }
            }
            Step::NewTable { .. }
            | Step::ShareTable { .. }
            | Step::SetPair { .. }
            | Step::Chain { is_table: true, .. }
            | Step::ClearPair { .. }
            | Step::TakePair { .. } => self.table_step(cx, step),
            Step::Insert { .. }
            | Step::Remove { .. }
            | Step::Chain { .. }
            | Step::TakeEntry { .. }
            | Step::Shrink { .. }
            | Step::ClearMap { .. } => self.map_step(cx, step),
            Step::Intern { from } => {
                let Some((node, index)) = self.get(cx, from) else { return };
                if !self.model.interned.contains(&index) {
                    self.interned.insert(cx, hash(index), node);
                    self.model.interned.push(index);
                }
            }
            Step::Find { object, root } => {
                if self.model.interned.is_empty() {
                    return;
                }
                let index = self.model.interned[object % self.model.interned.len()];
                match self.interned.find(cx, hash(index), |node| node.index() == index) {
                    Some(node) => self.put(cx, root, node, index),
                    None => {
                        let is_lost = !self.model.reachable().objects[index];
                        assert!(self.how == How::Steps && is_lost, "{index} is interned");
                        self.model.interned.retain(|other| *other != index);
                    }
                }
            }
            Step::Register { registry, from } => {
                let Some((node, index)) = self.get(cx, from) else { return };
                self.registries[registry].register(cx, node);
                self.model.registries[registry].registered.push(index);
            }
            Step::Next { registry, root, again } => {
                let Some(index) = self.next(cx, registry, root) else { return };
                if again && let Some(root) = root {
                    let (node, of_root) = self.get(cx, root).unwrap();
                    assert_eq!(of_root, index);
                    self.registries[registry].register(cx, node);
                    self.model.registries[registry].registered.push(index);
                }
            }
            Step::EnqueueAll { registry } => {
                self.registries[registry].enqueue_all(cx);
                assert_eq!(self.registries[registry].registered_len(), 0);
                let registry = &mut self.model.registries[registry];
                if self.how == How::Whole && !registry.registered.is_empty() {
                    registry.queue.push_back(std::mem::take(&mut registry.registered));
                }
            }
            Step::Collect { steps } => {
                match self.how {
                    How::Whole => {
                        cx.collect();
                        self.model.collect();
                        cx.verify().expect("a sound heap");
                    }
                    How::Steps => {
                        for _ in 0..steps {
                            let _ = cx.collect_step();
                        }
                    }
                }
                self.check(cx);
            }
        }
    }

    /// Takes an object from a queue, into a root if one is given.
    fn next(&mut self, cx: &Cx, registry: usize, root: Option<usize>) -> Option<usize> {
        let node = self.registries[registry].next(cx);
        let Registry { registered, queue } = &mut self.model.registries[registry];
        let index = match self.how {
            How::Whole => {
                let index = queue.front_mut().and_then(|batch| batch.pop());
                queue.pop_front_if(|batch| batch.is_empty());
                assert_eq!(node.map(|node| node.index()), index, "the order of the queue");
                index?
            }
            How::Steps => {
                let index = node?.index();
                let at = registered.iter().rposition(|other| *other == index);
                registered.remove(at.expect("registered"));
                index
            }
        };
        if let Some((root, node)) = root.zip(node) {
            self.put(cx, root, node, index);
        }
        Some(index)
    }

    fn table_step(&mut self, cx: &Cx, step: &Step) {
        match *step {
            Step::NewTable { from, len } => {
                let Some((node, index)) = self.get(cx, from) else { return };
                node.table.set(cx, Some(cx.alloc_ephemerons(len)));
                self.model.tables.push(Table { len, pairs: BTreeMap::new() });
                self.model.objects[index].table = Some(self.model.tables.len() - 1);
            }
            Step::Chain { from, key, links, is_reversed, .. } => {
                let (Some((node, index)), Some((mut key, mut k))) =
                    (self.get(cx, from), self.get(cx, key))
                else {
                    return;
                };
                let pairs = cx.alloc_ephemerons(links);
                node.table.set(cx, Some(pairs));
                let mut all = BTreeMap::new();
                for link in 0..links {
                    let (next, value) = self.link(cx, link);
                    let at = if is_reversed { links - 1 - link } else { link };
                    pairs[at].set(cx, key, value.0);
                    all.insert(at, (k, value.1));
                    (key, k) = next;
                }
                self.model.tables.push(Table { len: links, pairs: all });
                self.model.objects[index].table = Some(self.model.tables.len() - 1);
            }
            Step::ShareTable { from, to } => {
                let (Some((node, index)), Some((to, to_index))) =
                    (self.get(cx, from), self.get(cx, to))
                else {
                    return;
                };
                node.table.set(cx, to.table.get());
                self.model.objects[index].table = self.model.objects[to_index].table;
            }
            Step::SetPair { from, at, key, value } => {
                let (Some((key, k)), Some((value, v))) = (self.get(cx, key), self.get(cx, value))
                else {
                    return;
                };
                let Some((pairs, table)) = self.table(cx, from) else { return };
                pairs[at % pairs.len()].set(cx, key, value);
                self.model.tables[table].pairs.insert(at % pairs.len(), (k, v));
            }
            Step::ClearPair { from, at } => {
                let Some((pairs, table)) = self.table(cx, from) else { return };
                let at = self.pair_of(table, at).unwrap_or(0);
                pairs[at].clear(cx);
                self.model.tables[table].pairs.remove(&at);
            }
            Step::TakePair { from, at, root, is_key, is_moved } => {
                let Some((pairs, table)) = self.table(cx, from) else { return };
                let Some(at) = self.pair_of(table, at) else { return };
                let (k, v) = self.model.tables[table].pairs[&at];
                match pairs[at].get(cx) {
                    Some((key, value)) => {
                        assert_eq!((key.index(), value.index()), (k, v));
                        let (node, index) = if is_key { (key, k) } else { (value, v) };
                        self.put(cx, root, node, index);
                        if is_moved {
                            pairs[at].clear(cx);
                            self.model.tables[table].pairs.remove(&at);
                        }
                    }
                    None => {
                        let is_lost = !self.model.reachable().objects[k];
                        assert!(self.how == How::Steps && is_lost, "{k} is a key");
                    }
                }
            }
            _ => unreachable!("no step with a table"),
        }
    }

    /// The next key of a chain, and the value that leads to it.
    fn link<'gc>(
        &mut self,
        cx: &'gc Cx,
        link: usize,
    ) -> ((Gc<'gc, Node<'gc>>, usize), (Gc<'gc, Node<'gc>>, usize)) {
        let next = self.make(cx);
        if link.is_multiple_of(2) {
            return (next, next);
        }
        let value = self.make(cx);
        value.0.edges[1].set(cx, Some(next.0));
        self.model.objects[value.1].edges[1] = Some(next.1);
        (next, value)
    }

    fn table<'gc>(&self, cx: &'gc Cx, root: usize) -> Option<(Gc<'gc, Pairs<'gc>>, usize)> {
        let (node, index) = self.get(cx, root)?;
        node.table.get().zip(self.model.objects[index].table)
    }

    /// A place of a table that has a pair.
    fn pair_of(&self, table: usize, at: usize) -> Option<usize> {
        let pairs = &self.model.tables[table].pairs;
        pairs.keys().nth(at % pairs.len().max(1)).copied()
    }

    fn map_step(&mut self, cx: &Cx, step: &Step) {
        match *step {
            Step::Insert { from, key, value } => {
                let (Some((key, k)), Some((value, v))) = (self.get(cx, key), self.get(cx, value))
                else {
                    return;
                };
                let Some((node, index)) = self.get(cx, from) else { return };
                let before = node.map.insert(cx, key, value).map(|value| value.index());
                assert_eq!(before, self.model.objects[index].map.insert(k, v));
            }
            Step::Chain { from, key, links, .. } => {
                let (Some((node, index)), Some((mut key, mut k))) =
                    (self.get(cx, from), self.get(cx, key))
                else {
                    return;
                };
                for link in 0..links {
                    let (next, value) = self.link(cx, link);
                    let _ = node.map.insert(cx, key, value.0);
                    self.model.objects[index].map.insert(k, value.1);
                    (key, k) = next;
                }
            }
            Step::Remove { from, key } => {
                let Some((key, k)) = self.get(cx, key) else { return };
                let Some((node, index)) = self.get(cx, from) else { return };
                let before = node.map.remove(cx, key).map(|value| value.index());
                assert_eq!(before, self.model.objects[index].map.remove(&k));
            }
            Step::TakeEntry { from, at, root, is_key, is_moved } => {
                let Some((node, index)) = self.get(cx, from) else { return };
                let entries: Vec<_> = node.map.iter(cx).collect();
                let map = &self.model.objects[index].map;
                for (key, value) in &entries {
                    assert_eq!(map.get(&key.index()), Some(&value.index()), "an entry came back");
                }
                if self.how == How::Whole {
                    assert_eq!(entries.len(), map.len());
                    assert_eq!(node.map.len(cx), map.len());
                }
                let Some((key, value)) = entries.get(at % entries.len().max(1)) else { return };
                let taken = if is_key { *key } else { *value };
                self.put(cx, root, taken, taken.index());
                if is_moved {
                    let before = node.map.remove(cx, *key).map(|value| value.index());
                    assert_eq!(before, self.model.objects[index].map.remove(&key.index()));
                }
            }
            Step::Shrink { from } => {
                let Some((node, _)) = self.get(cx, from) else { return };
                node.map.shrink_to_fit(cx).expect("memory");
            }
            Step::ClearMap { from } => {
                let Some((node, index)) = self.get(cx, from) else { return };
                node.map.clear(cx);
                self.model.objects[index].map.clear();
            }
            _ => unreachable!("no step with a map"),
        }
    }

    /// Two whole collections after a program in steps leave what the oracle says.
    fn finish(&mut self, cx: &mut Cx) {
        cx.collect();
        cx.verify().expect("a sound heap");
        cx.collect();
        cx.verify().expect("a sound heap");
        self.check(cx);
        let mut reached = self.model.reachable();
        let registered = self.model.registries.iter().flat_map(|r| r.registered.iter().copied());
        self.model.mark(&mut reached, registered);
        for (index, is_reached) in reached.objects.iter().enumerate() {
            assert_eq!(*is_reached, !self.model.dead[index], "whether {index} lives");
        }
        self.model.forget_dead(&reached);
        assert_eq!(self.interned.len(cx), self.model.interned.len());
        for (index, node) in self.nodes(cx) {
            let object = &self.model.objects[index];
            assert_eq!(node.map.len(cx), object.map.len());
            assert_eq!(node.map.iter(cx).count(), object.map.len());
            if let Some((pairs, table)) = node.table.get().zip(object.table) {
                let count = pairs.iter().filter(|pair| pair.get(cx).is_some()).count();
                assert_eq!(count, self.model.tables[table].pairs.len());
            }
        }
        for (weak, cell) in self.handles(cx) {
            let target = self.model.cells[cell].target;
            let node = weak.upgrade(cx);
            assert!(node.is_none() || reached.objects[target], "a handle to {target}");
            let _ = self.check_upgrade(node, cell);
        }
        // Each registration comes out once.
        for registry in 0..REGISTRIES {
            self.registries[registry].enqueue_all(cx);
            while self.next(cx, registry, None).is_some() {}
            assert!(self.model.registries[registry].registered.is_empty());
        }
    }
}

fn run(config: Config, how: How, program: &[Step]) {
    let heap = Heap::new(config);
    let mut cx = heap.enter();
    let mut world = World::new(&heap, how, true);
    for step in program {
        world.step(&mut cx, step);
        if how == How::Steps {
            world.model.note_lost();
        }
    }
    match how {
        How::Whole => {
            world.step(&mut cx, &Step::Collect { steps: 1 });
            world.step(&mut cx, &Step::Collect { steps: 1 });
        }
        How::Steps => world.finish(&mut cx),
    }
    let log = Arc::clone(&world.log);
    let World { model, .. } = world;
    drop(cx);
    drop(heap);
    let dropped = model.dead.iter().filter(|is_dead| **is_dead).count() + log.lock().unwrap().len();
    assert_eq!(dropped, model.objects.len(), "dropped once, all of them");
}

/// Two programs on one heap, each with objects of its own, which collect for each other.
fn run_together(config: Config, programs: [&[Step]; 2]) {
    let heap = Heap::new(config);
    let run = |program: &[Step]| {
        let mut cx = heap.enter();
        let mut world = World::new(&heap, How::Steps, false);
        for step in program {
            world.step(&mut cx, step);
            world.model.note_lost();
        }
        world.finish(&mut cx);
        let log = Arc::clone(&world.log);
        (world.model, log)
    };
    let ends = std::thread::scope(|scope| {
        programs.map(|program| scope.spawn(move || run(program))).map(|thread| thread.join())
    });
    let ends = ends.map(|end| end.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
    drop(heap);
    for (model, log) in ends {
        let dead = model.dead.iter().filter(|is_dead| **is_dead).count();
        let dropped = dead + log.lock().unwrap().len();
        assert_eq!(dropped, model.objects.len(), "dropped once, all of them");
    }
}

proptest! {
    #![proptest_config(support::programs(250, 3000))]

    #[test]
    fn whole_collections_do_what_is_promised(
        mark_threads in prop_oneof![Just(0_usize), Just(2)],
        sample_bytes in prop_oneof![Just(0_usize), Just(1), Just(100)],
        program in vec(step(), 1..150),
    ) {
        let config = Config::new().mark_threads(mark_threads).min_heap_bytes(256 << 20);
        run(config.sample_bytes(sample_bytes).huge_pages(false), How::Whole, &program);
    }

    #[test]
    fn collections_in_steps_lose_nothing(
        mark_threads in prop_oneof![Just(0_usize), Just(2)],
        sample_bytes in prop_oneof![Just(0_usize), Just(1), Just(100)],
        stress in any::<bool>(),
        slice in prop_oneof![3 => Just(0_u64), 1 => 1_u64..50],
        program in vec(step(), 1..150),
    ) {
        let config = Config::new()
            .mark_threads(mark_threads)
            .stress(stress)
            .mark_slice(Duration::from_micros(slice))
            .min_heap_bytes(256 << 20);
        run(config.sample_bytes(sample_bytes).huge_pages(false), How::Steps, &program);
    }

    #[test]
    fn two_mutators_lose_nothing(
        mark_threads in prop_oneof![Just(0_usize), Just(2)],
        sample_bytes in prop_oneof![Just(0_usize), Just(1), Just(100)],
        slice in prop_oneof![3 => Just(0_u64), 1 => 1_u64..50],
        one in vec(step(), 1..100),
        other in vec(step(), 1..100),
    ) {
        let config = Config::new()
            .mark_threads(mark_threads)
            .mark_slice(Duration::from_micros(slice))
            .min_heap_bytes(256 << 20);
        run_together(config.sample_bytes(sample_bytes).huge_pages(false), [&one, &other]);
    }
}
