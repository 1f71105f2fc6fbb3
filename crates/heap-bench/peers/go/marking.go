package main

import (
	"runtime"
	"time"
)

type graphNode struct {
	edges [4]*graphNode
	index uint64
	word  uint64
}

// graph builds size objects of 48 bytes whose every handle goes to a random one.
func graph(o options) result {
	t := time.Now()
	nodes := make([]*graphNode, o.size)
	for i := range nodes {
		nodes[i] = &graphNode{index: uint64(i), word: ^uint64(i)}
	}
	rng := seed
	for _, n := range nodes {
		for e := range n.edges {
			n.edges[e] = nodes[rng.next()%uint64(o.size)]
		}
	}
	build := millis(time.Since(t))
	best, total := fullGCs()
	sum := uint64(0)
	for _, n := range nodes {
		must(n.word == ^n.index, "object was overwritten")
		for e, to := range n.edges {
			sum += to.index * uint64(e+1)
		}
	}
	return marking(build, best, total, o.size, sum)
}

// treemark is a live tree of two-pointer nodes.
func treemark(o options) result {
	t := time.Now()
	tree := bottomUp(o.size)
	build := millis(time.Since(t))
	best, total := fullGCs()
	n := tree.count()
	must(n == nodesOfDepth(o.size), "tree has the wrong number of nodes")
	return marking(build, best, total, int(n), n)
}

// list is one chain of live cells.
func list(o options) result {
	t := time.Now()
	var head *cell
	for i := range o.size {
		head = &cell{head, int64(i)}
	}
	build := millis(time.Since(t))
	best, total := fullGCs()
	sum, n := uint64(0), 0
	for c := head; c != nil; c = c.next {
		sum += uint64(c.value)
		n++
	}
	must(n == o.size, "list lost cells")
	runtime.KeepAlive(head)
	return marking(build, best, total, n, sum)
}
