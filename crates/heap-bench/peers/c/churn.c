#include "peer.h"

enum { CHAIN_LENGTH = 64 };

static uint64_t part(int mutator, void *argument) {
    const struct options *o = argument;
    int64_t chains = (o->size + CHAIN_LENGTH - 1) / CHAIN_LENGTH;
    int64_t hi = chains * (mutator + 1) / o->mutators;
    uint64_t sum = 0;
    for (int64_t c = chains * mutator / o->mutators; c < hi; c++) {
        int64_t end = (c + 1) * CHAIN_LENGTH < o->size ? (c + 1) * CHAIN_LENGTH : o->size;
        struct cell *last = NULL;
        for (int64_t i = c * CHAIN_LENGTH; i < end; i++) {
            struct cell *n = GC_NEW(struct cell);
            n->next = last;
            n->value = i;
            last = n;
        }
        sum += (uint64_t)last->value;
        if (last->next)
            sum += (uint64_t)last->next->value;
    }
    return sum;
}

/* Short chains of cells, dropped at once; of each chain the last two are read back. */
void run_churn(const struct options *o, struct result *r) {
    struct options copy = *o;
    r->sum = on_mutators(o->mutators, part, &copy);
}
