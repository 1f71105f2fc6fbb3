package main

import (
	"fmt"
	"runtime"
	"time"
)

// block is a zeroed array of words with its number in the first.
func block(length, first uint64) []uint64 {
	b := make([]uint64, length)
	b[0] = first
	return b
}

// fill makes as many blocks of 2 to 32 words and says how many words those are.
func fill(rng *xorshift64, size int) (blocks [][]uint64, words int) {
	blocks = make([][]uint64, size)
	for i := range blocks {
		blocks[i] = block(2+rng.next()%31, uint64(i))
		words += len(blocks[i])
	}
	return blocks, words
}

// thin frees nine in ten at random and says how many are left, and of how many words.
func thin(rng *xorshift64, blocks [][]uint64) (left, words int) {
	for i := range blocks {
		if rng.next()%10 != 0 {
			blocks[i] = nil
		} else {
			left++
			words += len(blocks[i])
		}
	}
	return left, words
}

// frag fills, frees nine in ten at random and refills free places with other sizes, then
// compares what the heap holds with what is live.
func frag(o options) result {
	start := time.Now()
	rng := seed
	blocks, filled := fill(&rng, o.size)
	_, live := thin(&rng, blocks)
	runtime.GC()
	refilled := uint64(0)
	for i := 0; live < filled; i++ {
		if blocks[i] == nil {
			blocks[i] = block(35+rng.next()%125, refilled)
			live += len(blocks[i])
			refilled++
		}
	}
	runtime.GC()
	wall := millis(time.Since(start))
	heap, rss := heapInUseMB(), statusMB("VmRSS:")
	sum := uint64(0)
	for _, b := range blocks {
		if b != nil {
			sum += b[0] + uint64(len(b))
		}
	}
	liveMB := float64(live) * 8 / (1 << 20)
	return result{sum: sum, wall: wall, extra: []pair{
		{"live_mb", fmt.Sprintf("%.1f", liveMB)},
		{"heap_over_live", fmt.Sprintf("%.3f", heap/liveMB)},
		{"rss_over_live", fmt.Sprintf("%.3f", rss/liveMB)},
	}}
}
