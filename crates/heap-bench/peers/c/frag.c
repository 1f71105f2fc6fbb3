#include "peer.h"

#include <string.h>

struct block block_of(uint64_t length, uint64_t first) {
    struct block b = {GC_MALLOC_ATOMIC(length * sizeof(uint64_t)), length};
    memset(b.words, 0, length * sizeof(uint64_t));
    b.words[0] = first;
    return b;
}

/* Fill, free nine in ten at random, refill with other sizes; then heap over live. */
void run_frag(const struct options *o, struct result *r) {
    uint64_t rng = SEED, filled = 0, size = (uint64_t)o->size, refilled = 0;
    struct block *blocks = GC_MALLOC(sizeof *blocks * size);
    for (uint64_t i = 0; i < size; i++) {
        blocks[i] = block_of(2 + xorshift64(&rng) % 31, i);
        filled += blocks[i].length;
    }
    uint64_t live = filled;
    for (uint64_t i = 0; i < size; i++)
        if (xorshift64(&rng) % 10 != 0) {
            live -= blocks[i].length;
            blocks[i] = (struct block){0};
        }
    GC_gcollect();
    /* A refill block has at least 35 words, so this many always suffice. */
    struct block *refill = GC_MALLOC(sizeof *refill * (filled / 35 + 1));
    while (live < filled) {
        refill[refilled] = block_of(35 + xorshift64(&rng) % 125, refilled);
        live += refill[refilled++].length;
    }
    GC_gcollect();
    double rss = status_mb("VmRSS:"), heap = (double)GC_get_heap_size() / (1 << 20);
    for (uint64_t i = 0; i < size; i++)
        if (blocks[i].words)
            r->sum += blocks[i].words[0] + blocks[i].length;
    for (uint64_t i = 0; i < refilled; i++)
        r->sum += refill[i].words[0] + refill[i].length;
    double live_mb = (double)live * 8 / (1 << 20);
    snprintf(r->extra, sizeof r->extra, " live_mb=%.1f heap_over_live=%.3f rss_over_live=%.3f", live_mb,
             heap / live_mb, rss / live_mb);
}
