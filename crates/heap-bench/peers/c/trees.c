#include "peer.h"

#include <stdatomic.h>

struct tree_node *tree_bottom_up(int depth) {
    struct tree_node *left = depth ? tree_bottom_up(depth - 1) : NULL;
    struct tree_node *right = depth ? tree_bottom_up(depth - 1) : NULL;
    struct tree_node *n = GC_NEW(struct tree_node);
    n->left = left;
    n->right = right;
    return n;
}

uint64_t tree_count(const struct tree_node *n) {
    return n->left ? 1 + tree_count(n->left) + tree_count(n->right) : 1;
}

static uint64_t check(const struct tree_node *tree, int depth) {
    uint64_t n = tree_count(tree);
    must(n == tree_nodes(depth), "tree has the wrong number of nodes");
    return n;
}

struct jobs {
    int size;
    atomic_int next;
};

static uint64_t part(int mutator, void *argument) {
    struct jobs *jobs = argument;
    uint64_t sum = 0;
    (void)mutator;
    for (int d; (d = 4 + 2 * atomic_fetch_add(&jobs->next, 1)) <= jobs->size;)
        for (int i = 0; i < 1 << (jobs->size - d + 4); i++)
            sum += check(tree_bottom_up(d), d);
    return sum;
}

/* The binary-trees game; a job is one depth, handed out in order. */
void run_trees(const struct options *o, struct result *r) {
    r->sum = check(tree_bottom_up(o->size + 1), o->size + 1);
    struct tree_node *long_lived = tree_bottom_up(o->size);
    struct jobs jobs = {.size = o->size};
    r->sum += on_mutators(o->mutators, part, &jobs);
    r->sum += check(long_lived, o->size);
}
