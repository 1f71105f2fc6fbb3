import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.util.Arrays;

/** A ring of live messages beside a live tree; every push is timed. */
final class Latency {
    private Latency() {}

    static final int MESSAGE_BYTES = 1024;
    private static final VarHandle WORD =
            MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);

    private static void push(byte[][] ring, int i) {
        byte[] m = new byte[MESSAGE_BYTES];
        WORD.set(m, 0, (long) i);
        m[MESSAGE_BYTES - 1] = (byte) i;
        ring[i % ring.length] = m;
    }

    static Result run(Main.Options o) {
        Trees.Node tree = Trees.bottomUp(19);
        byte[][] ring = new byte[o.size()][];
        for (int i = 0; i < o.size(); i++) {
            push(ring, i);
        }
        long[] times = new long[5 * o.size()];
        long start = System.nanoTime();
        for (int i = 0; i < times.length; i++) {
            long t = System.nanoTime();
            push(ring, o.size() + i);
            times[i] = System.nanoTime() - t;
        }
        double wall = Meter.millisSince(start);
        long sum = 0;
        for (byte[] m : ring) {
            long i = (long) WORD.get(m, 0);
            Main.must(m[MESSAGE_BYTES - 1] == (byte) i, "message was overwritten");
            sum += i;
        }
        long n = tree.count();
        Main.must(n == Trees.nodesOfDepth(19), "tree has the wrong number of nodes");
        Arrays.sort(times);
        return new Result(sum + n, wall, String.format(
                " p50_us=%.2f p99.9_us=%.2f p99.99_us=%.2f max_us=%.2f",
                at(times, 5000), at(times, 9990), at(times, 9999), at(times, 10000)));
    }

    private static double at(long[] sorted, long per10000) {
        return sorted[(int) ((sorted.length - 1) * per10000 / 10000)] / 1000.0;
    }
}
