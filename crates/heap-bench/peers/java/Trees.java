/** The binary-trees game; a job is one depth, handed out in order. */
final class Trees {
    private Trees() {}

    static final class Node {
        final Node left;
        final Node right;

        Node(Node left, Node right) {
            this.left = left;
            this.right = right;
        }

        long count() {
            return left == null ? 1 : 1 + left.count() + right.count();
        }
    }

    static Node bottomUp(int depth) {
        return depth == 0 ? new Node(null, null) : new Node(bottomUp(depth - 1), bottomUp(depth - 1));
    }

    static long nodesOfDepth(int depth) {
        return (1L << (depth + 1)) - 1;
    }

    private static long check(Node tree, int depth) {
        long n = tree.count();
        Main.must(n == nodesOfDepth(depth), "tree has the wrong number of nodes");
        return n;
    }

    static Result run(Main.Options o) {
        long sum = check(bottomUp(o.size() + 1), o.size() + 1);
        Node longLived = bottomUp(o.size());
        sum += Workers.jobs(o.mutators(), Math.max(0, (o.size() - 4) / 2 + 1), job -> {
            int d = 4 + 2 * job;
            long local = 0;
            for (int i = 0; i < 1 << (o.size() - d + 4); i++) {
                local += check(bottomUp(d), d);
            }
            return local;
        });
        return Result.of(sum + check(longLived, o.size()));
    }
}
