#include "peer.h"

#include <stdatomic.h>

enum { CHAIN_LENGTH = 64, CHAINS_PER_JOB = 1024 };

struct jobs {
    int64_t size;
    atomic_int next;
};

static uint64_t chain(int64_t from, int64_t to) {
    struct cell *last = NULL;
    for (int64_t i = from; i < to; i++) {
        struct cell *n = GC_NEW(struct cell);
        n->next = last;
        n->value = i;
        last = n;
    }
    return (uint64_t)last->value + (last->next ? (uint64_t)last->next->value : 0);
}

static uint64_t part(int mutator, void *argument) {
    struct jobs *jobs = argument;
    int64_t chains = (jobs->size + CHAIN_LENGTH - 1) / CHAIN_LENGTH;
    uint64_t sum = 0;
    (void)mutator;
    for (int64_t lo; (lo = (int64_t)atomic_fetch_add(&jobs->next, 1) * CHAINS_PER_JOB) < chains;)
        for (int64_t c = lo; c < lo + CHAINS_PER_JOB && c < chains; c++) {
            int64_t end = (c + 1) * CHAIN_LENGTH;
            sum += chain(c * CHAIN_LENGTH, end < jobs->size ? end : jobs->size);
        }
    return sum;
}

/* Short chains of cells, dropped at once; of each chain the last two are read back. */
void run_churn(const struct options *o, struct result *r) {
    struct jobs jobs = {.size = o->size};
    r->sum = on_mutators(o->mutators, part, &jobs);
}
