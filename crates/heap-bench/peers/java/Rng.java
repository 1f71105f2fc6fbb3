/** xorshift64, the generator of every workload that needs random numbers. */
final class Rng {
    static final long SEED = 88172645463325252L;

    private long state;

    Rng(long seed) {
        state = seed;
    }

    long next() {
        long v = state;
        v ^= v << 13;
        v ^= v >>> 7;
        v ^= v << 17;
        state = v;
        return v;
    }

    /** The next number modulo n, taken without a sign. */
    int below(int n) {
        return (int) Long.remainderUnsigned(next(), n);
    }
}
