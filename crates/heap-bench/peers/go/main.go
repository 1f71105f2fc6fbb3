// Command heapbenchpeer does the workloads of heap-bench on Go's own heap and
// prints the same one line of key=value pairs per run, so that the two can be
// read side by side. What each workload does is written down in the README of
// heap-bench; every program must arrive at the same `sum`.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
)

// options are the command line's, as heap-bench compare passes them to every peer.
type options struct {
	workload string
	size     int
	mutators int
	workers  int
	repeat   int
}

// result is what one run of a workload reports, besides what the meter sees.
type result struct {
	sum   uint64
	wall  float64 // milliseconds; 0 means "use the meter's own"
	extra []pair
}

// pair is one more key=value of the output line.
type pair struct {
	key   string
	value string
}

var workloads = map[string]func(o options) result{
	"trees":    trees,
	"churn":    churn,
	"graph":    graph,
	"treemark": treemark,
	"list":     list,
	"quads":    quads,
	"gcbench":  gcbench,
	"latency":  latency,
	"mixed":    mixed,
	"frag":     frag,
	"shrink":   shrink,
}

func main() {
	o, err := parse(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	run, known := workloads[o.workload]
	if !known {
		fmt.Fprintf(os.Stderr, "skip: workload %q\n", o.workload)
		os.Exit(3)
	}
	runtime.GOMAXPROCS(max(o.mutators, o.workers))
	for range o.repeat {
		m := startMeter()
		r := run(o)
		m.report(o, r)
	}
}

// parse reads WORKLOAD --size N [--mutators M] [--workers W] [--repeat R].
func parse(args []string) (options, error) {
	o := options{mutators: 1, workers: 1, repeat: 1}
	if len(args) == 0 {
		return o, fmt.Errorf("usage: WORKLOAD --size N [--mutators M] [--workers W] [--repeat R]")
	}
	o.workload = args[0]
	for i := 1; i+1 < len(args); i += 2 {
		n, err := strconv.Atoi(args[i+1])
		if err != nil {
			return o, err
		}
		switch args[i] {
		case "--size":
			o.size = n
		case "--mutators":
			o.mutators = n
		case "--workers":
			o.workers = n
		case "--repeat":
			o.repeat = n
		default:
			return o, fmt.Errorf("unknown flag %s", args[i])
		}
	}
	if o.size <= 0 {
		return o, fmt.Errorf("--size is missing")
	}
	return o, nil
}

// must aborts the run when a check of the workload's own structure fails.
func must(ok bool, what string) {
	if !ok {
		fmt.Fprintln(os.Stderr, "check failed:", what)
		os.Exit(1)
	}
}
