/** A live structure and seven full collections: a random graph, a tree, a list. */
final class Marking {
    private Marking() {}

    static final class GraphNode {
        GraphNode e0, e1, e2, e3;
        long index;
        long word;

        GraphNode(long index) {
            this.index = index;
            this.word = ~index;
        }
    }

    /** The times of seven full collections: the shortest, and all together. */
    private record FullGcs(double best, double total) {
        static FullGcs run() {
            double best = Double.POSITIVE_INFINITY, total = 0;
            for (int i = 0; i < 7; i++) {
                long t = System.nanoTime();
                System.gc();
                double took = Meter.millisSince(t);
                best = Math.min(best, took);
                total += took;
            }
            return new FullGcs(best, total);
        }
    }

    private static Result result(double build, FullGcs gcs, long marked, long sum) {
        return new Result(sum, build + gcs.total, String.format(
                " build_ms=%.3f best_full_gc_ms=%.3f marked_objects=%d", build, gcs.best, marked));
    }

    static Result graph(Main.Options o) {
        int size = o.size();
        long t = System.nanoTime();
        GraphNode[] nodes = new GraphNode[size];
        for (int i = 0; i < size; i++) {
            nodes[i] = new GraphNode(i);
        }
        Rng rng = new Rng(Rng.SEED);
        for (GraphNode n : nodes) {
            n.e0 = nodes[rng.below(size)];
            n.e1 = nodes[rng.below(size)];
            n.e2 = nodes[rng.below(size)];
            n.e3 = nodes[rng.below(size)];
        }
        double build = Meter.millisSince(t);
        FullGcs gcs = FullGcs.run();
        long sum = 0;
        for (GraphNode n : nodes) {
            Main.must(n.word == ~n.index, "object was overwritten");
            sum += n.e0.index + n.e1.index * 2 + n.e2.index * 3 + n.e3.index * 4;
        }
        return result(build, gcs, size, sum);
    }

    static Result treemark(Main.Options o) {
        long t = System.nanoTime();
        Trees.Node tree = Trees.bottomUp(o.size());
        double build = Meter.millisSince(t);
        FullGcs gcs = FullGcs.run();
        long n = tree.count();
        Main.must(n == Trees.nodesOfDepth(o.size()), "tree has the wrong number of nodes");
        return result(build, gcs, n, n);
    }

    static Result list(Main.Options o) {
        long t = System.nanoTime();
        Churn.Cell head = null;
        for (int i = 0; i < o.size(); i++) {
            head = new Churn.Cell(head, i);
        }
        double build = Meter.millisSince(t);
        FullGcs gcs = FullGcs.run();
        long sum = 0, n = 0;
        for (Churn.Cell c = head; c != null; c = c.next) {
            sum += c.value;
            n++;
        }
        Main.must(n == o.size(), "list lost cells");
        return result(build, gcs, n, sum);
    }
}
