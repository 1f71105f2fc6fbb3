package main

import (
	"sync"
	"sync/atomic"
)

type treeNode struct{ left, right *treeNode }

func bottomUp(depth int) *treeNode {
	if depth == 0 {
		return &treeNode{}
	}
	return &treeNode{bottomUp(depth - 1), bottomUp(depth - 1)}
}

func (n *treeNode) count() uint64 {
	if n.left == nil {
		return 1
	}
	return 1 + n.left.count() + n.right.count()
}

func nodesOfDepth(depth int) uint64 { return 1<<(depth+1) - 1 }

// trees is the binary-trees game: jobs (one per depth) are handed out in order.
func trees(o options) result {
	check := func(t *treeNode, depth int) uint64 {
		n := t.count()
		must(n == nodesOfDepth(depth), "tree has the wrong number of nodes")
		return n
	}
	var sum atomic.Uint64
	sum.Add(check(bottomUp(o.size+1), o.size+1))
	long := bottomUp(o.size)
	var nextJob atomic.Int64
	var wg sync.WaitGroup
	for range o.mutators {
		wg.Go(func() {
			for {
				d := 4 + 2*int(nextJob.Add(1)-1)
				if d > o.size {
					return
				}
				local := uint64(0)
				for range 1 << (o.size - d + 4) {
					local += check(bottomUp(d), d)
				}
				sum.Add(local)
			}
		})
	}
	wg.Wait()
	sum.Add(check(long, o.size))
	return result{sum: sum.Load()}
}
