//! `treemark`: a live tree of depth N; then seven full collections.

use std::time::Instant;

use heap_api::{Cx, Root};

use super::trees::{Node, bottom_up, checked};
use crate::args::RunArgs;
use crate::measure::{FullCollections, Outcome};

pub(super) fn run(_: &RunArgs, size: usize, cx: &mut Cx) -> Outcome {
    let start = Instant::now();
    let tree: Root<Node<'static>> = cx.root(bottom_up(cx, size));
    let build = start.elapsed();
    let collections = FullCollections::run(cx);
    let nodes = checked(&tree.get(cx), size);
    collections.outcome(build, nodes, nodes)
}
