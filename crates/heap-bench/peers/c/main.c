#include "peer.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    void (*run)(const struct options *, struct result *);
} workloads[] = {
    {"trees", run_trees},       {"churn", run_churn}, {"graph", run_graph},     {"treemark", run_treemark},
    {"list", run_list},         {"quads", run_quads}, {"gcbench", run_gcbench}, {"latency", run_latency},
    {"mixed", run_mixed},       {"frag", run_frag},   {"shrink", run_shrink},
};

/* Written by the collector's thread while the world is stopped, read between runs. */
static double stopped_at, longest_pause_ms;

static void GC_CALLBACK on_event(GC_EventType event) {
    if (event == GC_EVENT_PRE_STOP_WORLD) {
        stopped_at = now_ms();
    } else if (event == GC_EVENT_POST_START_WORLD) {
        double took = now_ms() - stopped_at;
        if (took > longest_pause_ms)
            longest_pause_ms = took;
    }
}

static struct options parse(int argc, char **argv) {
    struct options o = {.workload = argc > 1 ? argv[1] : "", .mutators = 1, .workers = 1, .repeat = 1};
    for (int i = 2; i + 1 < argc; i += 2) {
        int n = atoi(argv[i + 1]);
        if (!strcmp(argv[i], "--size"))
            o.size = n;
        else if (!strcmp(argv[i], "--mutators"))
            o.mutators = n;
        else if (!strcmp(argv[i], "--workers"))
            o.workers = n;
        else if (!strcmp(argv[i], "--repeat"))
            o.repeat = n;
        else
            must(false, "known flags");
    }
    if (o.size <= 0 || o.mutators <= 0) {
        fprintf(stderr, "usage: WORKLOAD --size N [--mutators M] [--workers W] [--repeat R]\n");
        exit(2);
    }
    return o;
}

int main(int argc, char **argv) {
    if (argc == 2 && !strcmp(argv[1], "version")) {
        unsigned v = GC_get_version();
        printf("%u.%u.%u\n", v >> 16, v >> 8 & 0xff, v & 0xff);
        return 0;
    }
    struct options o = parse(argc, argv);
    size_t w = 0, known = sizeof workloads / sizeof *workloads;
    while (w < known && strcmp(workloads[w].name, o.workload))
        w++;
    if (w == known) {
        fprintf(stderr, "skip: workload %s\n", o.workload);
        return 3;
    }
    /* The number of marking threads can only be chosen before the collector starts. */
    char markers[16];
    snprintf(markers, sizeof markers, "%d", o.workers);
    setenv("GC_MARKERS", markers, 1);
    GC_INIT();
    GC_allow_register_threads();
    GC_set_on_collection_event(on_event);
    for (int r = 0; r < o.repeat; r++) {
        struct result result = {0};
        GC_word collections = GC_get_gc_no();
        double start = now_ms();
        workloads[w].run(&o, &result);
        double wall = result.wall_ms != 0 ? result.wall_ms : now_ms() - start;
        /* The heap only grows here: what was unmapped again was part of its peak. */
        double heap = (double)(GC_get_heap_size() + GC_get_unmapped_bytes()) / (1 << 20);
        printf("workload=%s size=%d mutators=%d workers=%d wall_ms=%.3f gcs=%lu max_pause_us=%.1f "
               "rss_peak_mb=%.1f heap_peak_mb=%.1f sum=%lu%s\n",
               o.workload, o.size, o.mutators, o.workers, wall, (unsigned long)(GC_get_gc_no() - collections),
               longest_pause_ms * 1000, status_mb("VmHWM:"), heap, (unsigned long)result.sum, result.extra);
    }
    return 0;
}
