#include "peer.h"

#include <stdlib.h>
#include <string.h>

enum { MESSAGE_BYTES = 1024 };

static void push(unsigned char **ring, int size, uint64_t i) {
    unsigned char *m = GC_MALLOC_ATOMIC(MESSAGE_BYTES);
    memset(m, 0, MESSAGE_BYTES);
    memcpy(m, &i, sizeof i);
    m[MESSAGE_BYTES - 1] = (unsigned char)i;
    ring[i % (uint64_t)size] = m;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* A ring of live messages beside a live tree; every push is timed. */
void run_latency(const struct options *o, struct result *r) {
    size_t pushes = (size_t)o->size * 5;
    struct tree_node *tree = tree_bottom_up(19);
    unsigned char **ring = GC_MALLOC(sizeof *ring * (size_t)o->size);
    for (int i = 0; i < o->size; i++)
        push(ring, o->size, (uint64_t)i);
    double *times = malloc(sizeof *times * pushes);
    must(times != NULL, "malloc");
    double start = now_ms();
    for (size_t i = 0; i < pushes; i++) {
        double t = now_ms();
        push(ring, o->size, (uint64_t)o->size + i);
        times[i] = now_ms() - t;
    }
    r->wall_ms = now_ms() - start;
    for (int k = 0; k < o->size; k++) {
        uint64_t i;
        memcpy(&i, ring[k], sizeof i);
        must(ring[k][MESSAGE_BYTES - 1] == (unsigned char)i, "message was overwritten");
        r->sum += i;
    }
    uint64_t n = tree_count(tree);
    must(n == tree_nodes(19), "tree has the wrong number of nodes");
    r->sum += n;
    qsort(times, pushes, sizeof *times, ascending);
    snprintf(r->extra, sizeof r->extra, " p50_us=%.2f p99.9_us=%.2f p99.99_us=%.2f max_us=%.2f",
             times[(pushes - 1) * 5000 / 10000] * 1000, times[(pushes - 1) * 9990 / 10000] * 1000,
             times[(pushes - 1) * 9999 / 10000] * 1000, times[pushes - 1] * 1000);
    free(times);
}
