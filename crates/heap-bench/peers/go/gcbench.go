package main

import (
	"sync"
	"sync/atomic"
)

type gcbenchNode struct {
	left, right *gcbenchNode
	i, j        int32
}

func makeTopDown(depth int) *gcbenchNode {
	root := &gcbenchNode{}
	populate(depth, root)
	return root
}

func populate(depth int, n *gcbenchNode) {
	if depth <= 0 {
		return
	}
	left := &gcbenchNode{i: int32(depth)}
	n.left = left
	right := &gcbenchNode{j: int32(depth)}
	n.right = right
	populate(depth-1, left)
	populate(depth-1, right)
}

func makeBottomUp(depth int) *gcbenchNode {
	if depth <= 0 {
		return &gcbenchNode{}
	}
	return &gcbenchNode{left: makeBottomUp(depth - 1), right: makeBottomUp(depth - 1), i: int32(depth)}
}

func (n *gcbenchNode) count() uint64 {
	must(n.i >= 0 && n.j >= 0, "node was overwritten")
	if n.left == nil {
		return 1
	}
	return 1 + n.left.count() + n.right.count()
}

// spines is the length of the leftmost path plus that of the rightmost.
func (n *gcbenchNode) spines() uint64 {
	s := uint64(0)
	for l := n; l != nil; l = l.left {
		s++
	}
	for r := n; r != nil; r = r.right {
		s++
	}
	return s
}

const floatCount = 500_000

// gcbench builds short-lived trees of growing depth in both orders beside a
// long-lived tree and a long-lived array; a job is one depth in one order.
func gcbench(o options) result {
	var sum atomic.Uint64
	sum.Add(makeTopDown(o.size + 2).count())
	long := makeTopDown(o.size)
	array := make([]float64, floatCount)
	for i := range array[:floatCount/2] {
		array[i] = 1 / float64(i+1)
	}
	var nextJob atomic.Int64
	var wg sync.WaitGroup
	for range o.mutators {
		wg.Go(func() {
			for {
				job := int(nextJob.Add(1) - 1)
				d := 4 + job/2*2
				if d > o.size {
					return
				}
				trees := 2 * nodesOfDepth(o.size+2) / nodesOfDepth(d)
				local := uint64(0)
				for range trees {
					if job%2 == 0 {
						local += makeTopDown(d).spines()
					} else {
						local += makeBottomUp(d).spines()
					}
				}
				sum.Add(local)
			}
		})
	}
	wg.Wait()
	must(long.count() == nodesOfDepth(o.size), "long-lived tree lost nodes")
	must(array[999] == 1.0/1000, "array lost its floats")
	sum.Add(nodesOfDepth(o.size) + uint64(1/array[999]+0.5))
	return result{sum: sum.Load()}
}
