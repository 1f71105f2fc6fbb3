#include "peer.h"

#include <string.h>

struct block block_of(uint64_t length, uint64_t first) {
    struct block b = {GC_MALLOC_ATOMIC(length * sizeof(uint64_t)), length};
    memset(b.words, 0, length * sizeof(uint64_t));
    b.words[0] = first;
    return b;
}

uint64_t blocks_fill(uint64_t *rng, struct block *blocks, uint64_t size) {
    uint64_t words = 0;
    for (uint64_t i = 0; i < size; i++) {
        blocks[i] = block_of(2 + xorshift64(rng) % 31, i);
        words += blocks[i].length;
    }
    return words;
}

uint64_t blocks_thin(uint64_t *rng, struct block *blocks, uint64_t size, uint64_t *words) {
    uint64_t left = 0;
    *words = 0;
    for (uint64_t i = 0; i < size; i++)
        if (xorshift64(rng) % 10 != 0) {
            blocks[i] = (struct block){0};
        } else {
            left++;
            *words += blocks[i].length;
        }
    return left;
}

/* Fill, free nine in ten at random, refill free places with other sizes; then heap over live. */
void run_frag(const struct options *o, struct result *r) {
    double start = now_ms();
    uint64_t rng = SEED, size = (uint64_t)o->size, live, refilled = 0;
    struct block *blocks = GC_MALLOC(sizeof *blocks * size);
    uint64_t filled = blocks_fill(&rng, blocks, size);
    blocks_thin(&rng, blocks, size, &live);
    GC_gcollect();
    for (uint64_t i = 0; live < filled; i++)
        if (!blocks[i].words) {
            blocks[i] = block_of(35 + xorshift64(&rng) % 125, refilled++);
            live += blocks[i].length;
        }
    GC_gcollect();
    r->wall_ms = now_ms() - start;
    double rss = status_mb("VmRSS:"), heap = (double)GC_get_heap_size() / (1 << 20);
    for (uint64_t i = 0; i < size; i++)
        if (blocks[i].words)
            r->sum += blocks[i].words[0] + blocks[i].length;
    double live_mb = (double)live * 8 / (1 << 20);
    snprintf(r->extra, sizeof r->extra, " live_mb=%.1f heap_over_live=%.3f rss_over_live=%.3f", live_mb,
             heap / live_mb, rss / live_mb);
}
