import java.io.IOException;
import java.util.ArrayList;

/** Fill, free nine in ten at random, refill with other sizes; then heap over live. */
final class Frag {
    private Frag() {}

    static Result run(Main.Options o) throws IOException {
        Rng rng = new Rng(Rng.SEED);
        long[][] blocks = new long[o.size()][];
        long filled = 0;
        for (int i = 0; i < blocks.length; i++) {
            blocks[i] = new long[2 + rng.below(31)];
            blocks[i][0] = i;
            filled += blocks[i].length;
        }
        long live = filled;
        for (int i = 0; i < blocks.length; i++) {
            if (rng.below(10) != 0) {
                live -= blocks[i].length;
                blocks[i] = null;
            }
        }
        System.gc();
        ArrayList<long[]> refill = new ArrayList<>();
        while (live < filled) {
            long[] b = new long[35 + rng.below(125)];
            b[0] = refill.size();
            refill.add(b);
            live += b.length;
        }
        System.gc();
        double rss = Meter.statusMb("VmRSS:");
        double heap = Runtime.getRuntime().totalMemory() / 1048576.0;
        long sum = 0;
        for (long[] b : blocks) {
            if (b != null) {
                sum += b[0] + b.length;
            }
        }
        for (long[] b : refill) {
            sum += b[0] + b.length;
        }
        double liveMb = live * 8 / 1048576.0;
        return new Result(sum, 0, String.format(" live_mb=%.1f heap_over_live=%.3f rss_over_live=%.3f",
                liveMb, heap / liveMb, rss / liveMb));
    }
}
