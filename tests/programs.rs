//! Random programs against a model.
//!
//! A program makes objects of many shapes, links and unlinks them, roots and
//! unroots them, interns strings, collects, gives memory back, and lets other
//! threads in, which become mutators for a while. Next to the heap runs a plain
//! graph of indices, which says at every moment what each root must lead to.
//! After each collection the two graphs are compared, object by object.
//!
//! Where programs come from is the caller's business: `tests/random_programs.rs`
//! draws them at random, the fuzz target `heap_ops` makes them of bytes.

use std::collections::HashMap;
use std::sync::Arc;

use heap_api::{
    AtomicGcCell, Config, Cx, Gc, GcCell, GcRefCell, HeaderSlice, Heap, InternSet, Opaque, Root,
    Trace,
};

use crate::{Counted, Counter};

// ---- The objects ------------------------------------------------------------------

/// A handle to an object of any shape.
#[derive(Trace, Clone, Copy)]
enum Any<'gc> {
    Number(Gc<'gc, u64>),
    /// Shares its slot with up to three others, and with numbers.
    Small(Gc<'gc, [u8; 3]>),
    /// Shares its slot with what is left of it.
    Flat(Gc<'gc, [u32; 3]>),
    Text(Gc<'gc, str>),
    Pair(Gc<'gc, Pair<'gc>>),
    Triple(Gc<'gc, Triple<'gc>>),
    Dropping(Gc<'gc, Dropping<'gc>>),
    Wide(Gc<'gc, Wide<'gc>>),
    Array(Gc<'gc, HeaderSlice<Opaque<u64>, Edge<'gc>>>),
    Bag(Gc<'gc, Bag<'gc>>),
    Atomic(Gc<'gc, Atomic<'gc>>),
}

type Edge<'gc> = GcCell<Option<Any<'gc>>>;

#[derive(Trace)]
struct Pair<'gc> {
    id: u64,
    edges: [Edge<'gc>; 2],
}

/// Three words: the class whose slots do not start at granules.
#[derive(Trace)]
struct Triple<'gc> {
    id: u64,
    edge: Edge<'gc>,
}

#[derive(Trace)]
struct Dropping<'gc> {
    counted: Opaque<Counted>,
    edges: Box<[Edge<'gc>]>,
}

#[derive(Trace)]
#[repr(align(64))]
struct Wide<'gc> {
    id: u64,
    edges: [Edge<'gc>; 20],
}

#[derive(Trace)]
struct Bag<'gc> {
    counted: Opaque<Counted>,
    edges: GcRefCell<Vec<Option<Any<'gc>>>>,
}

/// An edge by way of an object of its own, behind an atomic slot.
#[derive(Trace)]
struct Atomic<'gc> {
    id: u64,
    edges: [AtomicGcCell<'gc, Edge<'gc>>; 3],
}

/// What an object is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A number without edges.
    Number,
    /// Three bytes, which share their slot.
    Small,
    /// Twelve bytes, which share their slot.
    Flat,
    /// A string.
    Text,
    /// Two edges.
    Pair,
    /// One edge, in three words.
    Triple,
    /// A destructor, and so many edges outside the heap.
    Dropping(usize),
    /// Twenty edges, aligned to a cache line.
    Wide,
    /// So many edges behind a header.
    Array(usize),
    /// A destructor, and so many edges behind a lock.
    Bag(usize),
    /// Three edges, each an object behind an atomic slot.
    Atomic,
}

impl Shape {
    fn edges(self) -> usize {
        match self {
            Shape::Number | Shape::Small | Shape::Flat | Shape::Text => 0,
            Shape::Triple => 1,
            Shape::Pair => 2,
            Shape::Atomic => 3,
            Shape::Wide => 20,
            Shape::Dropping(n) | Shape::Array(n) | Shape::Bag(n) => n,
        }
    }
}

/// The content of a small object.
fn small(id: u64) -> [u8; 3] {
    [id as u8, (id >> 8) as u8, (id >> 16) as u8]
}

/// The content of a text object: some are short, some fill pages.
fn text(id: u64) -> String {
    format!("{id}:").repeat(1 + id as usize % 7 * (id as usize % 40))
}

impl<'gc> Any<'gc> {
    /// A new object without edges; `None` if there is no memory for it.
    fn make(cx: &'gc Cx, shape: Shape, id: u64, counter: &Arc<Counter>) -> Option<Any<'gc>> {
        let edge = || Edge::new(None);
        Some(match shape {
            Shape::Number => Any::Number(cx.try_alloc(id).ok()?),
            Shape::Small => Any::Small(cx.try_alloc(small(id)).ok()?),
            Shape::Flat => Any::Flat(cx.try_alloc([id as u32, !id as u32, 7]).ok()?),
            Shape::Text => Any::Text(cx.try_alloc_str(&text(id)).ok()?),
            Shape::Pair => Any::Pair(cx.try_alloc(Pair { id, edges: [edge(), edge()] }).ok()?),
            Shape::Triple => Any::Triple(cx.try_alloc(Triple { id, edge: edge() }).ok()?),
            Shape::Dropping(n) => {
                let (counted, edges) =
                    (Opaque(counter.value(id)), (0..n).map(|_| edge()).collect());
                Any::Dropping(cx.try_alloc(Dropping { counted, edges }).ok()?)
            }
            Shape::Wide => {
                let edges = std::array::from_fn(|_| edge());
                Any::Wide(cx.try_alloc(Wide { id, edges }).ok()?)
            }
            Shape::Array(n) => {
                Any::Array(cx.try_alloc_header_slice_fn(Opaque(id), n, |_| edge()).ok()?)
            }
            Shape::Bag(n) => {
                let counted = Opaque(counter.value(id));
                Any::Bag(cx.try_alloc(Bag { counted, edges: GcRefCell::new(vec![None; n]) }).ok()?)
            }
            Shape::Atomic => {
                let edges = std::array::from_fn(|_| AtomicGcCell::new(None));
                Any::Atomic(cx.try_alloc(Atomic { id, edges }).ok()?)
            }
        })
    }

    fn addr(self) -> usize {
        match self {
            Any::Number(gc) => gc.addr(),
            Any::Small(gc) => gc.addr(),
            Any::Flat(gc) => gc.addr(),
            Any::Text(gc) => gc.addr(),
            Any::Pair(gc) => gc.addr(),
            Any::Triple(gc) => gc.addr(),
            Any::Dropping(gc) => gc.addr(),
            Any::Wide(gc) => gc.addr(),
            Any::Array(gc) => gc.addr(),
            Any::Bag(gc) => gc.addr(),
            Any::Atomic(gc) => gc.addr(),
        }
    }

    fn get(self, i: usize) -> Option<Any<'gc>> {
        match self {
            Any::Number(_) | Any::Small(_) | Any::Flat(_) | Any::Text(_) => None,
            Any::Pair(gc) => gc.edges[i].get(),
            Any::Triple(gc) => gc.edge.get(),
            Any::Dropping(gc) => gc.edges[i].get(),
            Any::Wide(gc) => gc.edges[i].get(),
            Any::Array(gc) => gc.tail[i].get(),
            Any::Bag(gc) => gc.edges.borrow()[i],
            Any::Atomic(gc) => gc.edges[i].get()?.get(),
        }
    }

    fn set(self, cx: &'gc Cx, i: usize, to: Option<Any<'gc>>) -> Result<(), ()> {
        match self {
            Any::Number(_) | Any::Small(_) | Any::Flat(_) | Any::Text(_) => {
                unreachable!("no edges")
            }
            Any::Pair(gc) => gc.edges[i].set(cx, to),
            Any::Triple(gc) => gc.edge.set(cx, to),
            Any::Dropping(gc) => gc.edges[i].set(cx, to),
            Any::Wide(gc) => gc.edges[i].set(cx, to),
            Any::Array(gc) => gc.tail[i].set(cx, to),
            Any::Bag(gc) => gc.edges.borrow_mut(cx)[i] = to,
            Any::Atomic(gc) => match to {
                None => gc.edges[i].set(cx, None),
                Some(_) => gc.edges[i].set(cx, Some(cx.try_alloc(Edge::new(to)).map_err(drop)?)),
            },
        }
        Ok(())
    }

    /// Compares the object's own contents with what the model says.
    fn check(self, shape: Shape, id: u64) {
        let (found, length) = match self {
            Any::Number(gc) => (*gc, 0),
            Any::Small(gc) => {
                assert_eq!(*gc.as_ref(), small(id));
                (id, 0)
            }
            Any::Flat(gc) => {
                assert_eq!(*gc.as_ref(), [id as u32, !id as u32, 7]);
                (id, 0)
            }
            Any::Text(gc) => {
                assert!(*gc == *text(id), "the text of {id}");
                (id, 0)
            }
            Any::Pair(gc) => (gc.id, 2),
            Any::Triple(gc) => (gc.id, 1),
            Any::Dropping(gc) => (gc.counted.0.id(), gc.edges.len()),
            Any::Wide(gc) => (gc.id, 20),
            Any::Array(gc) => (gc.header.0, gc.tail.len()),
            Any::Bag(gc) => (gc.counted.0.id(), gc.edges.borrow().len()),
            Any::Atomic(gc) => (gc.id, 3),
        };
        assert_eq!((found, length), (id, shape.edges()), "{shape:?}");
    }
}

// ---- The programs -----------------------------------------------------------------

/// One step of a program. Indices of edges are taken modulo their number.
#[derive(Clone, Debug)]
pub enum Step {
    /// A new object, in a root.
    New {
        /// Its shape.
        shape: Shape,
        /// Where it goes.
        root: usize,
    },
    /// Edge `edge` of what one root holds leads to what the other holds.
    Link {
        /// Root of the object with the edge.
        from: usize,
        /// The edge.
        edge: usize,
        /// Root of the target.
        to: usize,
    },
    /// An edge leads nowhere.
    Unlink {
        /// Root of the object with the edge.
        from: usize,
        /// The edge.
        edge: usize,
    },
    /// A root takes what an edge of another leads to.
    Follow {
        /// Root of the object with the edge.
        from: usize,
        /// The edge.
        edge: usize,
        /// The root that takes its target.
        root: usize,
    },
    /// A root takes what an edge of another leads to, which then leads nowhere.
    Take {
        /// Root of the object with the edge.
        from: usize,
        /// The edge.
        edge: usize,
        /// The root that takes its target.
        root: usize,
    },
    /// A root is dropped.
    Clear {
        /// Which.
        root: usize,
    },
    /// A string out of the intern set, or a new one.
    Intern {
        /// Which of the `TEXTS` texts.
        text: u64,
        /// Where it goes.
        root: usize,
    },
    /// So many objects that nobody wants.
    Garbage {
        /// How many.
        count: usize,
    },
    /// A safepoint.
    Safepoint,
    /// A blocking region.
    Park,
    /// Other threads enter, allocate, collect and leave, in their own order.
    Visit {
        /// How many.
        threads: usize,
        /// What they make.
        shape: Shape,
        /// How many each, and a few more.
        count: usize,
    },
    /// What is idle goes back to the system.
    Release,
    /// A step of a collection.
    CollectStep,
    /// A collection, and a comparison with the model.
    Collect,
    /// A check of every invariant of the heap.
    Verify,
}

/// Roots of a program.
pub const ROOTS: usize = 12;
/// Texts that a program interns.
pub const TEXTS: u64 = 6;

// ---- The model --------------------------------------------------------------------

#[derive(Debug)]
struct ModelObject {
    shape: Shape,
    id: u64,
    edges: Vec<Option<usize>>,
}

#[derive(Debug, Default)]
struct Model {
    objects: Vec<ModelObject>,
    roots: [Option<usize>; ROOTS],
    /// The object that the intern set gave for each text at last.
    interned: [Option<usize>; TEXTS as usize],
}

impl Model {
    fn reachable(&self) -> Vec<bool> {
        let mut seen = vec![false; self.objects.len()];
        let mut stack: Vec<usize> = self.roots.iter().flatten().copied().collect();
        while let Some(index) = stack.pop() {
            if !std::mem::replace(&mut seen[index], true) {
                stack.extend(self.objects[index].edges.iter().flatten());
            }
        }
        seen
    }

    /// The edge of a root's object that `edge` stands for.
    fn edge(&self, root: usize, edge: usize) -> Option<(usize, usize)> {
        let index = self.roots[root]?;
        let edges = self.objects[index].edges.len();
        (edges > 0).then(|| (index, edge % edges))
    }
}

struct World {
    model: Model,
    counter: Arc<Counter>,
    roots: [Option<Root<Any<'static>>>; ROOTS],
    strings: InternSet<str>,
}

impl World {
    fn get<'gc>(&self, cx: &'gc Cx, root: usize) -> Option<Any<'gc>> {
        Some(*self.roots[root].as_ref()?.get(cx).as_ref())
    }

    /// Puts an object into a root, unless there is no memory for the box.
    fn put<'gc>(&mut self, cx: &'gc Cx, root: usize, object: Any<'gc>, index: usize) {
        if let Ok(boxed) = cx.try_alloc(object) {
            self.roots[root] = Some(cx.root(boxed));
            self.model.roots[root] = Some(index);
        }
    }

    fn new_object(&mut self, shape: Shape, id: u64) -> usize {
        let edges = vec![None; shape.edges()];
        self.model.objects.push(ModelObject { shape, id, edges });
        self.model.objects.len() - 1
    }

    fn step(&mut self, cx: &mut Cx, step: &Step) {
        match *step {
            Step::New { shape, root } => {
                let id = 1000 + self.model.objects.len() as u64;
                if let Some(object) = Any::make(cx, shape, id, &self.counter) {
                    let index = self.new_object(shape, id);
                    self.put(cx, root, object, index);
                }
            }
            Step::Link { from, edge, to } => {
                if let (Some((index, edge)), Some(target)) =
                    (self.model.edge(from, edge), self.model.roots[to])
                {
                    let object = self.get(cx, from).unwrap();
                    if object.set(cx, edge, self.get(cx, to)).is_ok() {
                        self.model.objects[index].edges[edge] = Some(target);
                    }
                }
            }
            Step::Unlink { from, edge } => {
                if let Some((index, edge)) = self.model.edge(from, edge) {
                    self.get(cx, from).unwrap().set(cx, edge, None).unwrap();
                    self.model.objects[index].edges[edge] = None;
                }
            }
            Step::Follow { from, edge, root } => {
                if let Some((index, edge)) = self.model.edge(from, edge) {
                    let target = self.model.objects[index].edges[edge];
                    let found = self.get(cx, from).unwrap().get(edge);
                    assert_eq!(found.is_some(), target.is_some());
                    if let (Some(found), Some(target)) = (found, target) {
                        self.put(cx, root, found, target);
                    }
                }
            }
            Step::Take { from, edge, root } => {
                if from != root {
                    self.step(cx, &Step::Follow { from, edge, root });
                    self.step(cx, &Step::Unlink { from, edge });
                }
            }
            Step::Clear { root } => {
                self.roots[root] = None;
                self.model.roots[root] = None;
            }
            Step::Intern { text: id, root } => self.intern(cx, id, root),
            Step::Garbage { count } => {
                let id = 1000 + self.model.objects.len() as u64;
                for i in 0..count {
                    let shape =
                        [Shape::Pair, Shape::Small, Shape::Dropping(2), Shape::Text, Shape::Bag(1)]
                            [i % 5];
                    let _ = Any::make(cx, shape, id, &self.counter);
                }
            }
            Step::Safepoint => cx.safepoint(),
            Step::Park => cx.park(std::thread::yield_now),
            Step::Visit { threads, shape, count } => {
                let (heap, counter) = (cx.heap(), &self.counter);
                cx.park(|| {
                    std::thread::scope(|scope| {
                        for thread in 0..threads {
                            let heap = &heap;
                            scope.spawn(move || visit(heap, counter, shape, count + thread));
                        }
                    });
                });
            }
            Step::Release => drop(cx.heap().release_idle()),
            Step::CollectStep => _ = cx.collect_step(),
            Step::Collect => {
                cx.collect();
                self.compare(cx);
            }
            Step::Verify => cx.verify().unwrap(),
        }
    }

    fn intern(&mut self, cx: &Cx, id: u64, root: usize) {
        let content = text(id);
        let hash = (id % 2) as u32;
        let found = self.strings.find(cx, hash, |text| text == content);
        let known = self.model.interned[id as usize];
        let object = match (found, known) {
            (Some(found), Some(index)) => (found, index),
            (Some(_), None) => panic!("text {id} was never interned"),
            (None, known) => {
                if let Some(index) = known {
                    assert!(
                        !self.model.reachable()[index],
                        "text {id} is alive, so it is in the set"
                    );
                }
                let Ok(made) = cx.try_alloc_str(&content) else { return };
                self.strings.insert(cx, hash, made);
                let index = self.new_object(Shape::Text, id);
                self.model.interned[id as usize] = Some(index);
                (made, index)
            }
        };
        self.put(cx, root, Any::Text(object.0), object.1);
    }

    /// Walks both graphs from all roots.
    fn compare(&self, cx: &Cx) {
        let mut seen: HashMap<usize, usize> = HashMap::new();
        let mut by_address: HashMap<usize, usize> = HashMap::new();
        let mut stack = Vec::new();
        for root in 0..ROOTS {
            let (found, expected) = (self.get(cx, root), self.model.roots[root]);
            assert_eq!(found.is_some(), expected.is_some(), "root {root}");
            stack.extend(found.zip(expected));
        }
        while let Some((object, index)) = stack.pop() {
            if let Some(address) = seen.insert(index, object.addr()) {
                assert_eq!(address, object.addr(), "object {index} is one object");
                continue;
            }
            assert_eq!(by_address.insert(object.addr(), index), None, "{index} has its own memory");
            let model = &self.model.objects[index];
            object.check(model.shape, model.id);
            for (i, edge) in model.edges.iter().enumerate() {
                let found = object.get(i);
                assert_eq!(found.is_some(), edge.is_some(), "edge {i} of object {index}");
                stack.extend(found.zip(*edge));
            }
        }
        // Every counted value that can be reached is alive (`check` saw that it
        // was not overwritten), so at most the others were dropped.
        let reachable = self.model.reachable();
        let counted =
            |object: &ModelObject| matches!(object.shape, Shape::Dropping(_) | Shape::Bag(_));
        let alive = self.model.objects.iter().zip(reachable).filter(|(o, r)| *r && counted(o));
        assert!(self.counter.dropped() + alive.count() as u64 <= self.counter.made());
    }

    /// The intern set has forgotten what is dead: called right after a collection.
    fn check_strings(&self, cx: &Cx) {
        let reachable = self.model.reachable();
        let alive = self.model.interned.iter().flatten().filter(|index| reachable[**index]);
        assert_eq!(self.strings.len(cx), alive.count());
    }
}

/// What a visiting thread does: makes objects, keeps some for a while, collects once.
fn visit(heap: &Heap, counter: &Arc<Counter>, shape: Shape, count: usize) {
    let mut cx = heap.enter();
    let mut kept = Vec::new();
    for i in 0..count {
        let id = 1_000_000 + i as u64;
        if let Some(object) = Any::make(&cx, shape, id, counter)
            && i % 4 == 0
            && let Ok(boxed) = cx.try_alloc(object)
        {
            kept.push((cx.root(boxed), id));
        }
        if i == count / 2 {
            cx.collect();
        }
        if i % 16 == 0 {
            cx.safepoint();
        }
    }
    for (root, id) in &kept {
        root.get(&cx).check(shape, *id);
    }
}

/// When a program's heap is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// By the steps that say so: the caches are left alone for longer.
    WhenTold,
    /// After every step.
    AfterEveryStep,
}

/// Runs a program on a new heap and compares the heap with the model.
///
/// # Panics
///
/// If they differ, or the heap is broken.
pub fn run(config: Config, verified: Verified, program: &[Step]) {
    let counter = Counter::new();
    let heap = Heap::new(config);
    let mut cx = heap.enter();
    let mut world = World {
        model: Model::default(),
        counter: counter.clone(),
        roots: [const { None }; ROOTS],
        strings: InternSet::new(&heap),
    };
    for (i, step) in program.iter().enumerate() {
        world.step(&mut cx, step);
        if i % 8 == 7 {
            cx.safepoint();
        }
        if verified == Verified::AfterEveryStep {
            cx.verify().unwrap();
        }
    }
    for _ in 0..2 {
        cx.collect();
        world.check_strings(&cx);
        world.compare(&cx);
        cx.verify().unwrap();
    }
    world.roots = [const { None }; ROOTS];
    world.model.roots = [None; ROOTS];
    cx.collect();
    world.check_strings(&cx);
    // Sweeps everything.
    cx.verify().unwrap();
    counter.assert_balanced();
    let stats = heap.stats();
    assert_eq!(stats.allocated_objects, stats.freed_objects, "{stats:?}");
    drop(cx);
}
