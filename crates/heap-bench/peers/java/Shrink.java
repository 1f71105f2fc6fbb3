import java.io.IOException;

/** Fill, keep one in ten at random, then replace those again and again. */
final class Shrink {
    private Shrink() {}

    static final int ROUNDS = 100;

    static Result run(Main.Options o) throws IOException {
        Rng rng = new Rng(Rng.SEED);
        long[][] blocks = fillAndKeep(o.size(), rng);
        System.gc();
        double roundsMb = 0;
        long start = System.nanoTime();
        for (int round = 0; round < ROUNDS; round++) {
            for (int k = 0; k < blocks.length; k++) {
                int i = rng.below(blocks.length);
                blocks[i] = Frag.block(2 + rng.below(31), i);
            }
            roundsMb += heapMb();
        }
        double wall = Meter.millisSince(start);
        System.gc();
        double heap = heapMb(), rss = Meter.statusMb("VmRSS:");
        long sum = 0, live = 0;
        for (long[] b : blocks) {
            sum += b[0] + b.length;
            live += b.length;
        }
        double liveMb = live * 8 / 1048576.0;
        return new Result(sum, wall, String.format(
                " live_mb=%.1f mean_over_live=%.3f heap_over_live=%.3f rss_over_live=%.3f",
                liveMb, roundsMb / ROUNDS / liveMb, heap / liveMb, rss / liveMb));
    }

    /** The one in ten, in an array of their own. */
    private static long[][] fillAndKeep(int size, Rng rng) {
        long[][] filled = new long[size][];
        Frag.fill(rng, filled);
        long[][] blocks = new long[Frag.thin(rng, filled).blocks()][];
        int n = 0;
        for (long[] b : filled) {
            if (b != null) {
                blocks[n++] = b;
            }
        }
        return blocks;
    }

    private static double heapMb() {
        return Runtime.getRuntime().totalMemory() / 1048576.0;
    }
}
