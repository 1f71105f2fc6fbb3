/** A live tree of four-pointer objects under a fixed heap: -Xmx is the caller's to set to 2.5 times its size. */
final class Quads {
    private Quads() {}

    static final class Quad {
        Quad a, b, c, d;

        /** Counts the nodes of a tree and insists on its shape: every child is tested, as in the other programs. */
        long validate(int depth) {
            return 1 + count(a, depth) + count(b, depth) + count(c, depth) + count(d, depth);
        }

        private static long count(Quad kid, int depth) {
            Main.must((kid == null) == (depth == 0), "quad tree has the wrong shape");
            return kid == null ? 0 : kid.validate(depth - 1);
        }
    }

    static Quad make(int depth) {
        Quad q = new Quad();
        if (depth > 0) {
            q.a = make(depth - 1);
            q.b = make(depth - 1);
            q.c = make(depth - 1);
            q.d = make(depth - 1);
        }
        return q;
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
