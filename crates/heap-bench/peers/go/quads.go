package main

import (
	"fmt"
	"runtime/debug"
	"time"
)

type quad struct{ kids [4]*quad }

// makeQuads builds a tree of the given depth, children first.
func makeQuads(depth int) *quad {
	var kids [4]*quad
	if depth > 0 {
		for i := range kids {
			kids[i] = makeQuads(depth - 1)
		}
	}
	return &quad{kids}
}

// validate counts the nodes of a tree and insists on its shape: no kids at depth 0, four
// above it, or the program faults.
func (q *quad) validate(depth int) uint64 {
	if depth == 0 {
		must(q.kids == [4]*quad{}, "quad tree has the wrong shape")
		return 1
	}
	n := uint64(1)
	for _, kid := range q.kids {
		n += kid.validate(depth - 1)
	}
	return n
}

func quadsOfDepth(depth int) int { return (1<<(2*(depth+1)) - 1) / 3 }

// quads holds the heap to 2.5 times the live tree. Go cannot be given a fixed
// heap, so it collects at 2.5 times the live size: GOGC=150, without its
// minimum of 4 MiB times GOGC/100 mattering at these sizes.
func quads(o options) result {
	debug.SetGCPercent(150)
	t := time.Now()
	live := makeQuads(o.size)
	build := millis(time.Since(t))
	sum := live.validate(o.size)
	heap := quadsOfDepth(o.size) * 32 * 5 / 2
	perRound := heap * 2 / 15 / (quadsOfDepth(3) * 32)
	t = time.Now()
	for range 20 {
		for range perRound {
			makeQuads(3)
		}
		sum += live.validate(o.size)
	}
	return result{sum: sum, wall: millis(time.Since(t)),
		extra: []pair{{"build_ms", fmt.Sprintf("%.3f", build)}}}
}
