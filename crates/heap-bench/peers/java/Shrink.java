import java.io.IOException;
import java.util.ArrayList;

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
                long[] b = new long[2 + rng.below(31)];
                b[0] = i;
                blocks[i] = b;
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

    private static long[][] fillAndKeep(int size, Rng rng) {
        long[][] filled = new long[size][];
        for (int i = 0; i < size; i++) {
            filled[i] = new long[2 + rng.below(31)];
            filled[i][0] = i;
        }
        ArrayList<long[]> kept = new ArrayList<>();
        for (long[] b : filled) {
            if (rng.below(10) == 0) {
                kept.add(b);
            }
        }
        return kept.toArray(new long[0][]);
    }

    private static double heapMb() {
        return Runtime.getRuntime().totalMemory() / 1048576.0;
    }
}
