package main

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// survivors is the number of places that hold what lives on, over all mutators.
const survivors = 32768

// mixed allocates arrays whose sizes follow a power law: half of words, half of
// pointers. One in twenty replaces a survivor. A pointer array's first slot goes
// to the words of some survivor.
func mixed(o options) result {
	var sum atomic.Uint64
	var wg sync.WaitGroup
	for m := range o.mutators {
		lo, hi := share(o.size, m, o.mutators)
		wg.Go(func() { sum.Add(mixedPart(m, hi-lo, survivors/o.mutators)) })
	}
	wg.Wait()
	return result{sum: sum.Load()}
}

func mixedPart(m, count, places int) uint64 {
	words := make([][]uint64, places)
	refs := make([][]*uint64, places)
	rng := seed + xorshift64(m)
	for i := range count {
		r := rng.next()
		octave := min(bits.TrailingZeros64(r|1<<13), 13)
		length := min(1<<octave+int(r>>32)%(1<<octave), 8192)
		place := int(r>>20&0xfffff) % places
		survives := (r>>16)%20 == 0
		if r>>63 == 0 {
			a := make([]uint64, length)
			a[0] = uint64(i)
			a[length-1] = uint64(i)
			if survives {
				words[place], refs[place] = a, nil
			}
		} else {
			a := make([]*uint64, length)
			if other := words[place]; other != nil {
				a[0] = &other[0]
			}
			if survives {
				words[place], refs[place] = nil, a
			}
		}
	}
	sum := uint64(0)
	for p := range places {
		if w := words[p]; w != nil {
			must(w[0] == w[len(w)-1], "words were overwritten")
			sum += w[0] + uint64(len(w))
		}
		if r := refs[p]; r != nil {
			sum += uint64(len(r))
			if r[0] != nil {
				sum += *r[0]
			}
		}
	}
	return sum
}
