/** Short-lived trees of growing depth in both orders, beside a long-lived tree and array. */
final class GcBench {
    private GcBench() {}

    static final int FLOATS = 500_000;

    static final class Node {
        Node left, right;
        final int i, j;

        Node(Node left, Node right, int i, int j) {
            this.left = left;
            this.right = right;
            this.i = i;
            this.j = j;
        }

        long count() {
            Main.must(i >= 0 && j >= 0, "node was overwritten");
            return left == null ? 1 : 1 + left.count() + right.count();
        }

        /** The length of the leftmost path plus that of the rightmost. */
        long spines() {
            long s = 0;
            for (Node n = this; n != null; n = n.left) {
                s++;
            }
            for (Node n = this; n != null; n = n.right) {
                s++;
            }
            return s;
        }
    }

    static Node topDown(int depth) {
        Node root = new Node(null, null, 0, 0);
        populate(depth, root);
        return root;
    }

    private static void populate(int depth, Node n) {
        if (depth <= 0) {
            return;
        }
        Node left = new Node(null, null, depth, 0);
        n.left = left;
        Node right = new Node(null, null, 0, depth);
        n.right = right;
        populate(depth - 1, left);
        populate(depth - 1, right);
    }

    static Node bottomUp(int depth) {
        return depth <= 0
                ? new Node(null, null, 0, 0)
                : new Node(bottomUp(depth - 1), bottomUp(depth - 1), depth, 0);
    }

    static Result run(Main.Options o) {
        long sum = topDown(o.size() + 2).count();
        Node longLived = topDown(o.size());
        double[] array = new double[FLOATS];
        for (int i = 0; i < FLOATS / 2; i++) {
            array[i] = 1.0 / (i + 1);
        }
        int depths = Math.max(0, (o.size() - 4) / 2 + 1);
        sum += Workers.jobs(o.mutators(), 2 * depths, job -> {
            int d = 4 + job / 2 * 2;
            long trees = 2 * Trees.nodesOfDepth(o.size() + 2) / Trees.nodesOfDepth(d);
            long local = 0;
            for (long i = 0; i < trees; i++) {
                local += (job % 2 == 0 ? topDown(d) : bottomUp(d)).spines();
            }
            return local;
        });
        Main.must(longLived.count() == Trees.nodesOfDepth(o.size()), "long-lived tree lost nodes");
        Main.must(array[999] == 1.0 / 1000, "array lost its floats");
        return Result.of(sum + Trees.nodesOfDepth(o.size()) + (long) (1 / array[999] + 0.5));
    }
}
