/** A live tree of four-pointer objects under a fixed heap: -Xmx is the caller's to set to 2.5 times its size. */
final class Quads {
    private Quads() {}

    static final class Quad {
        final Quad a, b, c, d;

        Quad(Quad a, Quad b, Quad c, Quad d) {
            this.a = a;
            this.b = b;
            this.c = c;
            this.d = d;
        }

        /** Counts the nodes and insists on the shape: no kids at depth 0, four above it, or it throws. */
        long validate(int depth) {
            if (depth == 0) {
                Main.must(a == null && b == null && c == null && d == null, "quad tree has the wrong shape");
                return 1;
            }
            return 1 + a.validate(depth - 1) + b.validate(depth - 1) + c.validate(depth - 1) + d.validate(depth - 1);
        }
    }

    /** Builds a tree of the given depth, children first. */
    static Quad make(int depth) {
        return depth == 0
                ? new Quad(null, null, null, null)
                : new Quad(make(depth - 1), make(depth - 1), make(depth - 1), make(depth - 1));
    }

    static long quadsOfDepth(int depth) {
        return ((1L << (2 * (depth + 1))) - 1) / 3;
    }

    static Result run(Main.Options o) {
        long t = System.nanoTime();
        Quad live = make(o.size());
        double build = Meter.millisSince(t);
        long sum = live.validate(o.size());
        long heap = quadsOfDepth(o.size()) * 32 * 5 / 2;
        long perRound = heap * 2 / 15 / (quadsOfDepth(3) * 32);
        t = System.nanoTime();
        for (int round = 0; round < 20; round++) {
            for (long i = 0; i < perRound; i++) {
                make(3);
            }
            sum += live.validate(o.size());
        }
        return new Result(sum, Meter.millisSince(t), String.format(" build_ms=%.3f", build));
    }
}
