package main

import (
	"sync"
	"sync/atomic"
)

type cell struct {
	next  *cell
	value int64
}

// chainLength cells hang together before all of them are dropped; a mutator takes
// chainsPerJob chains at a time.
const (
	chainLength  = 64
	chainsPerJob = 1024
)

// churn allocates short chains of cells; of each chain the last two are read back. Jobs of
// chainsPerJob chains are handed out in order.
func churn(o options) result {
	chains := (o.size + chainLength - 1) / chainLength
	var sum atomic.Uint64
	var nextJob atomic.Int64
	var wg sync.WaitGroup
	for range o.mutators {
		wg.Go(func() {
			local := uint64(0)
			for {
				lo := int(nextJob.Add(1)-1) * chainsPerJob
				if lo >= chains {
					break
				}
				for c := lo; c < min(lo+chainsPerJob, chains); c++ {
					var last *cell
					for i := c * chainLength; i < min((c+1)*chainLength, o.size); i++ {
						last = &cell{last, int64(i)}
					}
					local += uint64(last.value)
					if last.next != nil {
						local += uint64(last.next.value)
					}
				}
			}
			sum.Add(local)
		})
	}
	wg.Wait()
	return result{sum: sum.Load()}
}
