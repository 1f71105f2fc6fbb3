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

// place holds a survivor, words or pointers.
type place struct {
	words []uint64
	refs  []*uint64
}

func mixedPart(m, count, places int) uint64 {
	table := make([]place, places)
	rng := seed + xorshift64(m)
	for i := range count {
		r := rng.next()
		octave := bits.TrailingZeros64(r | 1<<13)
		length := min(1<<octave+int(r>>32)&(1<<octave-1), 8192)
		p := &table[int(r>>20&0xfffff)%places]
		survives := (r>>16)%20 == 0
		if r>>63 == 0 {
			a := make([]uint64, length)
			a[0] = uint64(i)
			a[length-1] = uint64(i)
			if survives {
				p.words, p.refs = a, nil
			}
		} else {
			a := make([]*uint64, length)
			if p.words != nil {
				a[0] = &p.words[0]
			}
			if survives {
				p.words, p.refs = nil, a
			}
		}
	}
	sum := uint64(0)
	for _, p := range table {
		if w := p.words; w != nil {
			must(w[0] == w[len(w)-1], "words were overwritten")
			sum += w[0] + uint64(len(w))
		}
		if r := p.refs; r != nil {
			sum += uint64(len(r))
			if r[0] != nil {
				sum += *r[0]
			}
		}
	}
	return sum
}
