#include "peer.h"

struct graph_node {
    struct graph_node *edges[4];
    uint64_t index, word;
};

/* Seven full collections; the shortest is reported, all of them count as wall time. */
static void measure(struct result *r, double build, uint64_t marked) {
    double best = 1e300, total = 0;
    for (int i = 0; i < 7; i++) {
        double t = now_ms();
        GC_gcollect();
        double took = now_ms() - t;
        best = took < best ? took : best;
        total += took;
    }
    r->wall_ms = build + total;
    snprintf(r->extra, sizeof r->extra, " build_ms=%.3f best_full_gc_ms=%.3f marked_objects=%lu", build, best,
             (unsigned long)marked);
}

void run_graph(const struct options *o, struct result *r) {
    uint64_t size = (uint64_t)o->size, rng = SEED;
    double t = now_ms();
    struct graph_node **nodes = GC_MALLOC(sizeof *nodes * size);
    for (uint64_t i = 0; i < size; i++) {
        nodes[i] = GC_NEW(struct graph_node);
        nodes[i]->index = i;
        nodes[i]->word = ~i;
    }
    for (uint64_t i = 0; i < size; i++)
        for (int e = 0; e < 4; e++)
            nodes[i]->edges[e] = nodes[xorshift64(&rng) % size];
    measure(r, now_ms() - t, size);
    for (uint64_t i = 0; i < size; i++) {
        must(nodes[i]->word == ~nodes[i]->index, "object was overwritten");
        for (int e = 0; e < 4; e++)
            r->sum += nodes[i]->edges[e]->index * (uint64_t)(e + 1);
    }
}

void run_treemark(const struct options *o, struct result *r) {
    double t = now_ms();
    struct tree_node *tree = tree_bottom_up(o->size);
    measure(r, now_ms() - t, tree_nodes(o->size));
    r->sum = tree_count(tree);
    must(r->sum == tree_nodes(o->size), "tree has the wrong number of nodes");
}

void run_list(const struct options *o, struct result *r) {
    double t = now_ms();
    struct cell *head = NULL;
    for (int i = 0; i < o->size; i++) {
        struct cell *n = GC_NEW(struct cell);
        n->next = head;
        n->value = i;
        head = n;
    }
    measure(r, now_ms() - t, (uint64_t)o->size);
    int n = 0;
    for (struct cell *c = head; c; c = c->next, n++)
        r->sum += (uint64_t)c->value;
    must(n == o->size, "list lost cells");
}
