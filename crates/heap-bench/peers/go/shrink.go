package main

import (
	"fmt"
	"runtime"
	"time"
)

const shrinkRounds = 100

// shrink fills, keeps one in ten at random, and then replaces those again and
// again, a hundred times as many as there are.
func shrink(o options) result {
	rng := seed
	blocks := fillAndKeep(&rng, o.size)
	runtime.GC()
	roundsMB := 0.0
	n := uint64(len(blocks))
	start := time.Now()
	for range shrinkRounds {
		for range n {
			i := rng.next() % n
			blocks[i] = block(2+rng.next()%31, i)
		}
		roundsMB += heapInUseMB()
	}
	wall := millis(time.Since(start))
	runtime.GC()
	heap, rss := heapInUseMB(), statusMB("VmRSS:")
	sum, live := uint64(0), 0
	for _, b := range blocks {
		sum += b[0] + uint64(len(b))
		live += len(b)
	}
	liveMB := float64(live) * 8 / (1 << 20)
	return result{sum: sum, wall: wall, extra: []pair{
		{"live_mb", fmt.Sprintf("%.1f", liveMB)},
		{"mean_over_live", fmt.Sprintf("%.3f", roundsMB/shrinkRounds/liveMB)},
		{"heap_over_live", fmt.Sprintf("%.3f", heap/liveMB)},
		{"rss_over_live", fmt.Sprintf("%.3f", rss/liveMB)},
	}}
}

// fillAndKeep is the one in ten, in a slice of their own.
func fillAndKeep(rng *xorshift64, size int) [][]uint64 {
	filled, _ := fill(rng, size)
	n, _ := thin(rng, filled)
	blocks := make([][]uint64, 0, n)
	for _, b := range filled {
		if b != nil {
			blocks = append(blocks, b)
		}
	}
	return blocks
}
