#include "peer.h"

#include <stdatomic.h>
#include <string.h>

enum { FLOATS = 500000 };

struct node {
    struct node *left, *right;
    int i, j;
};

static void populate(int depth, struct node *n) {
    if (depth <= 0)
        return;
    struct node *left = GC_NEW(struct node);
    left->i = depth;
    n->left = left;
    struct node *right = GC_NEW(struct node);
    right->j = depth;
    n->right = right;
    populate(depth - 1, left);
    populate(depth - 1, right);
}

static struct node *top_down(int depth) {
    struct node *root = GC_NEW(struct node);
    populate(depth, root);
    return root;
}

static struct node *bottom_up(int depth) {
    struct node *left = depth > 0 ? bottom_up(depth - 1) : NULL;
    struct node *right = depth > 0 ? bottom_up(depth - 1) : NULL;
    struct node *n = GC_NEW(struct node);
    n->left = left;
    n->right = right;
    n->i = depth;
    return n;
}

static uint64_t count(const struct node *n) {
    must(n->i >= 0 && n->j >= 0, "node was overwritten");
    return n->left ? 1 + count(n->left) + count(n->right) : 1;
}

/* The length of the leftmost path plus that of the rightmost. */
static uint64_t spines(const struct node *tree) {
    uint64_t s = 0;
    for (const struct node *n = tree; n; n = n->left)
        s++;
    for (const struct node *n = tree; n; n = n->right)
        s++;
    return s;
}

struct jobs {
    int size;
    atomic_int next;
};

static uint64_t part(int mutator, void *argument) {
    struct jobs *jobs = argument;
    uint64_t sum = 0;
    (void)mutator;
    for (;;) {
        int job = atomic_fetch_add(&jobs->next, 1), d = 4 + job / 2 * 2;
        if (d > jobs->size)
            return sum;
        uint64_t trees = 2 * tree_nodes(jobs->size + 2) / tree_nodes(d);
        for (uint64_t i = 0; i < trees; i++)
            sum += spines(job % 2 == 0 ? top_down(d) : bottom_up(d));
    }
}

/* Short-lived trees of growing depth in both orders, beside a long-lived tree and array. */
void run_gcbench(const struct options *o, struct result *r) {
    r->sum = count(top_down(o->size + 2));
    struct node *long_lived = top_down(o->size);
    double *array = GC_MALLOC_ATOMIC(sizeof *array * FLOATS);
    memset(array, 0, sizeof *array * FLOATS);
    for (int i = 0; i < FLOATS / 2; i++)
        array[i] = 1.0 / (i + 1);
    struct jobs jobs = {.size = o->size};
    r->sum += on_mutators(o->mutators, part, &jobs);
    must(count(long_lived) == tree_nodes(o->size), "long-lived tree lost nodes");
    must(array[999] == 1.0 / 1000, "array lost its floats");
    r->sum += tree_nodes(o->size) + (uint64_t)(1 / array[999] + 0.5);
}
