package main

import (
	"fmt"
	"runtime"
)

// frag fills, frees nine in ten at random and refills with other sizes, then
// compares what the heap holds with what is live.
func frag(o options) result {
	rng := seed
	blocks := make([][]uint64, o.size)
	filled := 0
	for i := range blocks {
		blocks[i] = make([]uint64, 2+rng.next()%31)
		blocks[i][0] = uint64(i)
		filled += len(blocks[i])
	}
	live := filled
	for i := range blocks {
		if rng.next()%10 != 0 {
			live -= len(blocks[i])
			blocks[i] = nil
		}
	}
	runtime.GC()
	var refill [][]uint64
	for live < filled {
		b := make([]uint64, 35+rng.next()%125)
		b[0] = uint64(len(refill))
		refill = append(refill, b)
		live += len(b)
	}
	runtime.GC()
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	rss := statusMB("VmRSS:")
	heap := float64(ms.HeapInuse) / (1 << 20)
	sum := uint64(0)
	for _, b := range blocks {
		if b != nil {
			sum += b[0] + uint64(len(b))
		}
	}
	for _, b := range refill {
		sum += b[0] + uint64(len(b))
	}
	liveMB := float64(live) * 8 / (1 << 20)
	return result{sum: sum, extra: []pair{
		{"live_mb", fmt.Sprintf("%.1f", liveMB)},
		{"heap_over_live", fmt.Sprintf("%.3f", heap/liveMB)},
		{"rss_over_live", fmt.Sprintf("%.3f", rss/liveMB)},
	}}
}
