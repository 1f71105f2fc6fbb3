package main

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

const messageBytes = 1024

// latency pushes five ring lengths of messages into the ring and times each push.
func latency(o options) result {
	tree := bottomUp(19)
	ring := make([][]byte, o.size)
	push := func(i int) {
		m := make([]byte, messageBytes)
		binary.LittleEndian.PutUint64(m, uint64(i))
		m[messageBytes-1] = byte(i)
		ring[i%o.size] = m
	}
	for i := range o.size {
		push(i)
	}
	times := make([]int64, 5*o.size)
	start := time.Now()
	for i := range times {
		// Since reads one clock, Now two.
		t := time.Since(start)
		push(o.size + i)
		times[i] = (time.Since(start) - t).Nanoseconds()
	}
	wall := millis(time.Since(start))
	sum := uint64(0)
	for _, m := range ring {
		i := binary.LittleEndian.Uint64(m)
		must(m[messageBytes-1] == byte(i), "message was overwritten")
		sum += i
	}
	n := tree.count()
	must(n == nodesOfDepth(19), "tree has the wrong number of nodes")
	slices.Sort(times)
	at := func(per10000 int) string {
		return fmt.Sprintf("%.2f", float64(times[(len(times)-1)*per10000/10000])/1000)
	}
	return result{sum: sum + n, wall: wall, extra: []pair{
		{"p50_us", at(5000)}, {"p99.9_us", at(9990)}, {"p99.99_us", at(9999)}, {"max_us", at(10000)},
	}}
}
