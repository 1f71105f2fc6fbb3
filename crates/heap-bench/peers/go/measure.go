package main

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/metrics"
	"strings"
	"time"
)

// meter remembers the clock and the collector's counters at the start of a run.
type meter struct {
	start time.Time
	gcs   uint32
}

func startMeter() meter {
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	return meter{start: time.Now(), gcs: ms.NumGC}
}

// report prints the run's line. Go keeps no peak of its heap, but HeapSys never
// shrinks (pages given back stay counted), so it is the peak, in steps of 4 MiB.
func (m meter) report(o options, r result) {
	wall := r.wall
	if wall == 0 {
		wall = millis(time.Since(m.start))
	}
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	fmt.Printf("workload=%s size=%d mutators=%d workers=%d wall_ms=%.3f gcs=%d max_pause_us=%.1f rss_peak_mb=%.1f heap_peak_mb=%.1f sum=%d",
		o.workload, o.size, o.mutators, o.workers, wall, ms.NumGC-m.gcs, maxPauseMicros(),
		statusMB("VmHWM:"), float64(ms.HeapSys)/(1<<20), r.sum)
	for _, p := range r.extra {
		fmt.Printf(" %s=%s", p.key, p.value)
	}
	fmt.Println()
}

// maxPauseMicros is the upper bound of the highest occupied bucket of the
// runtime's histogram of stop-the-world times for the collector: all pauses of
// the process so far, not only the last 256 that MemStats keeps.
func maxPauseMicros() float64 {
	sample := []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindFloat64Histogram {
		return 0
	}
	h := sample[0].Value.Float64Histogram()
	for i := len(h.Counts) - 1; i >= 0; i-- {
		if h.Counts[i] == 0 {
			continue
		}
		if bound := h.Buckets[i+1]; !math.IsInf(bound, 1) {
			return bound * 1e6
		}
		return h.Buckets[i] * 1e6
	}
	return 0
}

// heapInUseMB is what spans of the heap hold, in MiB: HeapInuse of MemStats, read without
// stopping the world.
func heapInUseMB() float64 {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
	}
	metrics.Read(samples)
	bytes := uint64(0)
	for _, s := range samples {
		bytes += s.Value.Uint64()
	}
	return float64(bytes) / (1 << 20)
}

// statusMB reads one "kB" line of /proc/self/status, in MiB.
func statusMB(key string) float64 {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), key); ok {
			var kb float64
			fmt.Sscan(rest, &kb)
			return kb / 1024
		}
	}
	return 0
}

func millis(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// fullGCs collects seven times and gives the shortest time and all of them together.
func fullGCs() (best, total float64) {
	best = math.Inf(1)
	for range 7 {
		t := time.Now()
		runtime.GC()
		took := millis(time.Since(t))
		best = min(best, took)
		total += took
	}
	return best, total
}

// marking assembles the result of graph, treemark and list.
func marking(build, best, total float64, marked int, sum uint64) result {
	return result{sum: sum, wall: build + total, extra: []pair{
		{"build_ms", fmt.Sprintf("%.3f", build)},
		{"best_full_gc_ms", fmt.Sprintf("%.3f", best)},
		{"marked_objects", fmt.Sprint(marked)},
	}}
}

// xorshift64 is the generator of every workload that needs random numbers.
type xorshift64 uint64

const seed xorshift64 = 88172645463325252

func (x *xorshift64) next() uint64 {
	v := *x
	v ^= v << 13
	v ^= v >> 7
	v ^= v << 17
	*x = v
	return uint64(v)
}

// share is the part [lo, hi) of n that falls to mutator m of all.
func share(n, m, all int) (int, int) { return n * m / all, n * (m + 1) / all }
