#include "peer.h"

#include <string.h>

enum { SURVIVORS = 32768 };

/* A survivor is an array of words or an array of references, with its length. */
struct place {
    uint64_t *words;
    uint64_t **refs;
    uint64_t length;
};

static uint64_t part(int mutator, void *argument) {
    const struct options *o = argument;
    int places = SURVIVORS / o->mutators;
    int64_t lo = (int64_t)o->size * mutator / o->mutators;
    int64_t count = (int64_t)o->size * (mutator + 1) / o->mutators - lo;
    struct place *table = GC_MALLOC(sizeof *table * (size_t)places);
    uint64_t rng = SEED + (uint64_t)mutator, sum = 0;
    for (int64_t i = 0; i < count; i++) {
        uint64_t r = xorshift64(&rng);
        int octave = __builtin_ctzll(r | 1 << 13);
        uint64_t length = (UINT64_C(1) << octave) + (r >> 32 & ((UINT64_C(1) << octave) - 1));
        length = length < 8192 ? length : 8192;
        struct place *place = &table[(r >> 20 & 0xfffff) % (uint64_t)places];
        bool survives = (r >> 16) % 20 == 0;
        if (r >> 63 == 0) {
            uint64_t *a = GC_MALLOC_ATOMIC(length * sizeof *a);
            memset(a, 0, length * sizeof *a);
            a[0] = a[length - 1] = (uint64_t)i;
            if (survives)
                *place = (struct place){.words = a, .length = length};
        } else {
            uint64_t **a = GC_MALLOC(length * sizeof *a);
            if (place->words)
                a[0] = place->words;
            if (survives)
                *place = (struct place){.refs = a, .length = length};
        }
    }
    for (int p = 0; p < places; p++) {
        struct place *place = &table[p];
        if (place->words) {
            must(place->words[0] == place->words[place->length - 1], "words were overwritten");
            sum += place->words[0] + place->length;
        }
        if (place->refs)
            sum += place->length + (place->refs[0] ? *place->refs[0] : 0);
    }
    return sum;
}

/* Arrays of power-law sizes, half of words and half of references; one in twenty survives for a while. */
void run_mixed(const struct options *o, struct result *r) {
    struct options copy = *o;
    r->sum = on_mutators(o->mutators, part, &copy);
}
