import java.io.IOException;

/** Fill, free nine in ten at random, refill free places with other sizes; then heap over live. */
final class Frag {
    private Frag() {}

    /** A zeroed array of words with its number in the first. */
    static long[] block(int length, long first) {
        long[] b = new long[length];
        b[0] = first;
        return b;
    }

    /** Fills the array with blocks of 2 to 32 words and says how many words those are. */
    static long fill(Rng rng, long[][] blocks) {
        long words = 0;
        for (int i = 0; i < blocks.length; i++) {
            blocks[i] = block(2 + rng.below(31), i);
            words += blocks[i].length;
        }
        return words;
    }

    /** How many blocks are left, and of how many words. */
    record Left(int blocks, long words) {}

    /** Frees nine in ten at random. */
    static Left thin(Rng rng, long[][] blocks) {
        int left = 0;
        long words = 0;
        for (int i = 0; i < blocks.length; i++) {
            if (rng.below(10) != 0) {
                blocks[i] = null;
            } else {
                left++;
                words += blocks[i].length;
            }
        }
        return new Left(left, words);
    }

    static Result run(Main.Options o) throws IOException {
        long start = System.nanoTime();
        Rng rng = new Rng(Rng.SEED);
        long[][] blocks = new long[o.size()][];
        long filled = fill(rng, blocks);
        long live = thin(rng, blocks).words;
        System.gc();
        long refilled = 0;
        for (int i = 0; live < filled; i++) {
            if (blocks[i] == null) {
                blocks[i] = block(35 + rng.below(125), refilled);
                live += blocks[i].length;
                refilled++;
            }
        }
        System.gc();
        double wall = Meter.millisSince(start);
        double rss = Meter.statusMb("VmRSS:");
        double heap = Runtime.getRuntime().totalMemory() / 1048576.0;
        long sum = 0;
        for (long[] b : blocks) {
            if (b != null) {
                sum += b[0] + b.length;
            }
        }
        double liveMb = live * 8 / 1048576.0;
        return new Result(sum, wall, String.format(" live_mb=%.1f heap_over_live=%.3f rss_over_live=%.3f",
                liveMb, heap / liveMb, rss / liveMb));
    }
}
