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
	filled := make([][]uint64, o.size)
	for i := range filled {
		filled[i] = make([]uint64, 2+rng.next()%31)
		filled[i][0] = uint64(i)
	}
	var blocks [][]uint64
	for _, b := range filled {
		if rng.next()%10 == 0 {
			blocks = append(blocks, b)
		}
	}
	blocks = append(make([][]uint64, 0, len(blocks)), blocks...)
	filled = nil
	runtime.GC()
	var ms runtime.MemStats
	heapMB := func() float64 {
		runtime.ReadMemStats(&ms)
		return float64(ms.HeapInuse) / (1 << 20)
	}
	roundsMB := 0.0
	n := uint64(len(blocks))
	start := time.Now()
	for range shrinkRounds {
		for range n {
			i := rng.next() % n
			b := make([]uint64, 2+rng.next()%31)
			b[0] = i
			blocks[i] = b
		}
		roundsMB += heapMB()
	}
	wall := millis(time.Since(start))
	runtime.GC()
	heap, rss := heapMB(), statusMB("VmRSS:")
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
