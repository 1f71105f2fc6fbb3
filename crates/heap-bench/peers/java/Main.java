/**
 * The workloads of heap-bench on the Java heap, one line of key=value pairs per
 * run. The collector and its threads are chosen by flags of the JVM, so
 * --workers is only repeated in the output. What each workload does is written
 * down in the README of heap-bench; every program must arrive at the same sum.
 */
final class Main {
    private Main() {}

    /** The command line, as heap-bench compare passes it to every peer. */
    record Options(String workload, int size, int mutators, int workers, int repeat) {}

    public static void main(String[] args) throws Exception {
        Options o = parse(args);
        for (int i = 0; i < o.repeat; i++) {
            Meter meter = new Meter();
            Result r = switch (o.workload) {
                case "trees" -> Trees.run(o);
                case "churn" -> Churn.run(o);
                case "graph" -> Marking.graph(o);
                case "treemark" -> Marking.treemark(o);
                case "list" -> Marking.list(o);
                case "quads" -> Quads.run(o);
                case "gcbench" -> GcBench.run(o);
                case "latency" -> Latency.run(o);
                case "mixed" -> Mixed.run(o);
                case "frag" -> Frag.run(o);
                case "shrink" -> Shrink.run(o);
                default -> null;
            };
            if (r == null) {
                System.err.println("skip: workload " + o.workload);
                System.exit(3);
            }
            meter.report(o, r);
        }
    }

    private static Options parse(String[] args) {
        int size = 0, mutators = 1, workers = 1, repeat = 1;
        for (int i = 1; i + 1 < args.length; i += 2) {
            int n = Integer.parseInt(args[i + 1]);
            switch (args[i]) {
                case "--size" -> size = n;
                case "--mutators" -> mutators = n;
                case "--workers" -> workers = n;
                case "--repeat" -> repeat = n;
                default -> throw new IllegalArgumentException(args[i]);
            }
        }
        if (size <= 0) {
            throw new IllegalArgumentException("usage: WORKLOAD --size N [--mutators M] [--workers W] [--repeat R]");
        }
        return new Options(args[0], size, mutators, workers, repeat);
    }

    /** Aborts the run when a check of the workload's own structure fails. */
    static void must(boolean ok, String what) {
        if (!ok) {
            throw new IllegalStateException("check failed: " + what);
        }
    }
}
