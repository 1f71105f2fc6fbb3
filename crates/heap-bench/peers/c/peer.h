/* The workloads of heap-bench on the Boehm-Demers-Weiser collector, one line of
 * key=value pairs per run. What each workload does is written down in the
 * README of heap-bench; every program must arrive at the same `sum`. */
#ifndef PEER_H
#define PEER_H

#define GC_THREADS
#include <gc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* The command line, as heap-bench compare passes it to every peer. */
struct options {
    const char *workload;
    int size, mutators, workers, repeat;
};

/* What a run reports besides what main's meter sees; wall_ms 0 means the meter's own time. */
struct result {
    uint64_t sum;
    double wall_ms;
    char extra[256];
};

void run_trees(const struct options *, struct result *);
void run_churn(const struct options *, struct result *);
void run_graph(const struct options *, struct result *);
void run_treemark(const struct options *, struct result *);
void run_list(const struct options *, struct result *);
void run_quads(const struct options *, struct result *);
void run_gcbench(const struct options *, struct result *);
void run_latency(const struct options *, struct result *);
void run_mixed(const struct options *, struct result *);
void run_frag(const struct options *, struct result *);
void run_shrink(const struct options *, struct result *);

/* measure.c */
double now_ms(void);
void must(bool ok, const char *what);
double status_mb(const char *key);
/* Runs part(mutator, argument) on every mutator thread and adds what they return. */
uint64_t on_mutators(int mutators, uint64_t (*part)(int mutator, void *argument), void *argument);

/* trees.c, shared with treemark and latency */
struct tree_node {
    struct tree_node *left, *right;
};
struct tree_node *tree_bottom_up(int depth);
uint64_t tree_count(const struct tree_node *);
static inline uint64_t tree_nodes(int depth) { return (UINT64_C(2) << depth) - 1; }

/* frag.c, shared with shrink */
struct block {
    uint64_t *words;
    uint64_t length;
};
/* A zeroed array of words with its number in the first. */
struct block block_of(uint64_t length, uint64_t first);
/* Makes as many blocks of 2 to 32 words and says how many words those are. */
uint64_t blocks_fill(uint64_t *rng, struct block *blocks, uint64_t size);
/* Frees nine in ten at random and says how many are left, and of how many words. */
uint64_t blocks_thin(uint64_t *rng, struct block *blocks, uint64_t size, uint64_t *words);

/* churn.c, shared with list */
struct cell {
    struct cell *next;
    int64_t value;
};

/* xorshift64, the generator of every workload that needs random numbers. */
#define SEED UINT64_C(88172645463325252)
static inline uint64_t xorshift64(uint64_t *state) {
    uint64_t v = *state;
    v ^= v << 13;
    v ^= v >> 7;
    v ^= v << 17;
    return *state = v;
}

#endif
