#include "peer.h"

struct quad {
    struct quad *kids[4];
};

/* Builds a tree of the given depth, children first. */
static struct quad *make(int depth) {
    struct quad kids = {0};
    if (depth > 0)
        for (int i = 0; i < 4; i++)
            kids.kids[i] = make(depth - 1);
    struct quad *q = GC_NEW(struct quad);
    must(q != NULL, "the heap limit leaves room");
    *q = kids;
    return q;
}

/* Counts the nodes and insists on the shape: no kids at depth 0, four above it. */
static uint64_t validate(const struct quad *q, int depth) {
    if (depth == 0) {
        must(!q->kids[0] && !q->kids[1] && !q->kids[2] && !q->kids[3], "quad tree has the wrong shape");
        return 1;
    }
    uint64_t n = 1;
    for (int i = 0; i < 4; i++) {
        must(q->kids[i] != NULL, "quad tree has the wrong shape");
        n += validate(q->kids[i], depth - 1);
    }
    return n;
}

static uint64_t quads_of_depth(int depth) { return ((UINT64_C(4) << (2 * depth)) - 1) / 3; }

/* A live tree in a heap fixed at 2.5 times its size, counted in what the collector
 * needs for an object: it rounds 32 bytes up to 48, to tell an address one past the
 * end of an object from the start of the next. */
void run_quads(const struct options *o, struct result *r) {
    uint64_t heap = quads_of_depth(o->size) * sizeof(struct quad) * 5 / 2;
    uint64_t own_heap = quads_of_depth(o->size) * GC_size(make(0)) * 5 / 2;
    if (GC_get_heap_size() < own_heap)
        must(GC_expand_hp(own_heap - GC_get_heap_size()), "the heap can be expanded");
    GC_set_max_heap_size(own_heap);
    double t = now_ms();
    struct quad *live = make(o->size);
    double build = now_ms() - t;
    r->sum = validate(live, o->size);
    uint64_t per_round = heap * 2 / 15 / (quads_of_depth(3) * sizeof(struct quad));
    t = now_ms();
    for (int round = 0; round < 20; round++) {
        for (uint64_t i = 0; i < per_round; i++)
            make(3);
        r->sum += validate(live, o->size);
    }
    r->wall_ms = now_ms() - t;
    snprintf(r->extra, sizeof r->extra, " build_ms=%.3f", build);
}
