#include "peer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

void must(bool ok, const char *what) {
    if (!ok) {
        fprintf(stderr, "check failed: %s\n", what);
        exit(1);
    }
}

/* One "kB" line of /proc/self/status, in MiB. */
double status_mb(const char *key) {
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    double kb = 0;
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, key, strlen(key)))
            kb = atof(line + strlen(key));
    if (f)
        fclose(f);
    return kb / 1024;
}

struct mutator {
    pthread_t thread;
    int number;
    uint64_t (*part)(int, void *);
    void *argument;
    uint64_t sum;
};

static void *mutate(void *argument) {
    struct mutator *m = argument;
    m->sum = m->part(m->number, m->argument);
    return NULL;
}

uint64_t on_mutators(int mutators, uint64_t (*part)(int, void *), void *argument) {
    uint64_t sum = 0;
    /* In the collector's heap, so that what the argument points to stays reachable. */
    struct mutator *all = GC_MALLOC(sizeof *all * (size_t)mutators);
    for (int m = 0; m < mutators; m++) {
        all[m].number = m;
        all[m].part = part;
        all[m].argument = argument;
        if (m > 0)
            must(pthread_create(&all[m].thread, NULL, mutate, &all[m]) == 0, "pthread_create");
    }
    mutate(&all[0]);
    for (int m = 0; m < mutators; m++) {
        if (m > 0)
            pthread_join(all[m].thread, NULL);
        sum += all[m].sum;
    }
    return sum;
}
