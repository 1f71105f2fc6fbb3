#include "peer.h"

enum { ROUNDS = 100 };

static double heap_mb(void) { return (double)GC_get_heap_size() / (1 << 20); }

/* The one in ten, in an array of their own; a function of its own, so that the collector finds
 * no old copy of `filled` in the caller's frame. */
static __attribute__((noinline)) struct block *fill_and_keep(uint64_t *rng, uint64_t size, uint64_t *n) {
    uint64_t words, kept = 0;
    struct block *filled = GC_MALLOC(sizeof *filled * size);
    blocks_fill(rng, filled, size);
    *n = blocks_thin(rng, filled, size, &words);
    struct block *blocks = GC_MALLOC(sizeof *blocks * *n);
    for (uint64_t i = 0; i < size; i++)
        if (filled[i].words)
            blocks[kept++] = filled[i];
    return blocks;
}

/* Fill, keep one in ten at random, then replace those again and again. */
void run_shrink(const struct options *o, struct result *r) {
    uint64_t rng = SEED, n, live = 0;
    struct block *blocks = fill_and_keep(&rng, (uint64_t)o->size, &n);
    GC_gcollect();
    double rounds_mb = 0, start = now_ms();
    for (int round = 0; round < ROUNDS; round++) {
        for (uint64_t k = 0; k < n; k++) {
            uint64_t i = xorshift64(&rng) % n;
            blocks[i] = block_of(2 + xorshift64(&rng) % 31, i);
        }
        rounds_mb += heap_mb();
    }
    r->wall_ms = now_ms() - start;
    GC_gcollect();
    double heap = heap_mb(), rss = status_mb("VmRSS:");
    for (uint64_t i = 0; i < n; i++) {
        r->sum += blocks[i].words[0] + blocks[i].length;
        live += blocks[i].length;
    }
    double live_mb = (double)live * 8 / (1 << 20);
    snprintf(r->extra, sizeof r->extra,
             " live_mb=%.1f mean_over_live=%.3f heap_over_live=%.3f rss_over_live=%.3f", live_mb,
             rounds_mb / ROUNDS / live_mb, heap / live_mb, rss / live_mb);
}
