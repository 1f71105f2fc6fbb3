import java.io.IOException;
import java.lang.management.GarbageCollectorMXBean;
import java.lang.management.ManagementFactory;
import java.lang.management.MemoryPoolMXBean;
import java.lang.management.MemoryType;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The clock and the collector's counters of one run, and its line of output. */
final class Meter {
    private static final Pattern PAUSE = Pattern.compile("Pause .* ([0-9.]+)ms$");

    private final long collections = collections();
    private final long start = System.nanoTime();

    void report(Main.Options o, Result r) throws IOException {
        double wall = r.wallMillis() != 0 ? r.wallMillis() : millisSince(start);
        System.out.printf(
                "workload=%s size=%d mutators=%d workers=%d wall_ms=%.3f gcs=%d max_pause_us=%.1f"
                        + " rss_peak_mb=%.1f heap_peak_mb=%.1f sum=%s%s%n",
                o.workload(), o.size(), o.mutators(), o.workers(), wall, collections() - collections,
                maxPauseMicros(), statusMb("VmHWM:"), heapPeakMb(), Long.toUnsignedString(r.sum()), r.extra());
    }

    /** Collections so far. ZGC and Shenandoah have one more bean that counts pauses instead. */
    private static long collections() {
        long n = 0;
        for (GarbageCollectorMXBean bean : ManagementFactory.getGarbageCollectorMXBeans()) {
            if (!bean.getName().endsWith("Pauses")) {
                n += bean.getCollectionCount();
            }
        }
        return n;
    }

    /** The longest pause in the unified log of which -Dgc.log names the file; the beans know milliseconds only. */
    private static double maxPauseMicros() throws IOException {
        String file = System.getProperty("gc.log");
        double worst = 0;
        if (file != null) {
            for (String line : Files.readAllLines(Path.of(file))) {
                Matcher m = PAUSE.matcher(line);
                if (m.find()) {
                    worst = Math.max(worst, Double.parseDouble(m.group(1)) * 1000);
                }
            }
        }
        return worst;
    }

    /**
     * The sum of the heap pools' highest committed sizes. G1 moves regions from pool to pool, so that
     * the sum of the peaks may exceed what the heap can be.
     */
    private static double heapPeakMb() {
        long bytes = 0;
        for (MemoryPoolMXBean pool : ManagementFactory.getMemoryPoolMXBeans()) {
            if (pool.getType() == MemoryType.HEAP) {
                bytes += pool.getPeakUsage().getCommitted();
            }
        }
        return Math.min(bytes, Runtime.getRuntime().maxMemory()) / 1048576.0;
    }

    /** One "kB" line of /proc/self/status, in MiB. */
    static double statusMb(String key) throws IOException {
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith(key)) {
                return Long.parseLong(line.replaceAll("[^0-9]", "")) / 1024.0;
            }
        }
        return 0;
    }

    static double millisSince(long nanos) {
        return (System.nanoTime() - nanos) / 1e6;
    }
}
