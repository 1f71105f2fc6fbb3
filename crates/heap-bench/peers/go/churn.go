package main

import (
	"sync"
	"sync/atomic"
)

type cell struct {
	next  *cell
	value int64
}

// chainLength is how many cells hang together before all of them are dropped.
const chainLength = 64

// churn allocates short chains of cells; of each chain the last two are read back.
func churn(o options) result {
	chains := (o.size + chainLength - 1) / chainLength
	var sum atomic.Uint64
	var wg sync.WaitGroup
	for m := range o.mutators {
		lo, hi := share(chains, m, o.mutators)
		wg.Go(func() {
			local := uint64(0)
			for c := lo; c < hi; c++ {
				var last *cell
				for i := c * chainLength; i < min((c+1)*chainLength, o.size); i++ {
					last = &cell{last, int64(i)}
				}
				local += uint64(last.value)
				if last.next != nil {
					local += uint64(last.next.value)
				}
			}
			sum.Add(local)
		})
	}
	wg.Wait()
	return result{sum: sum.Load()}
}
