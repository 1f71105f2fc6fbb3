import java.lang.ref.Cleaner;
import java.lang.ref.Reference;
import java.lang.ref.WeakReference;
import java.util.WeakHashMap;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * The cases of {@code heap-bench weak} that Java has: the same numbers of objects, half of which die.
 *
 * <p>By itself: {@code javac -d DIR Weak.java && java -XX:+UseParallelGC -cp DIR Weak}.
 */
final class Weak {
    private static final class Node {
        final long value;
        Node next;

        Node(long value) {
            this.value = value;
        }
    }

    /** Rounds that are not printed: the compiler needs time before its code is what it will be. */
    private static final int WARMUP_ROUNDS = 2;
    private static boolean warmingUp;

    private static long start;

    private static String part(String name) {
        long now = System.nanoTime();
        String part = String.format(" %s_ms=%.1f", name, (now - start) / 1e6);
        start = System.nanoTime();
        return part;
    }

    private static Node[] nodes(int size) {
        Node[] nodes = new Node[size];
        for (int i = 0; i < size; i++) {
            nodes[i] = new Node(i);
        }
        return nodes;
    }

    private static void dropHalf(Node[] nodes) {
        for (int i = 0; i < nodes.length; i += 2) {
            nodes[i] = null;
        }
        start = System.nanoTime();
    }

    private static void weak(int size) {
        Node[] nodes = nodes(size);
        @SuppressWarnings({"unchecked", "rawtypes"})
        WeakReference<Node>[] handles = new WeakReference[size];
        System.gc();
        start = System.nanoTime();
        for (int i = 0; i < size; i++) {
            handles[i] = new WeakReference<>(nodes[i]);
        }
        String line = part("make");
        dropHalf(nodes);
        System.gc();
        line += part("collect");
        int alive = 0;
        for (WeakReference<Node> handle : handles) {
            alive += handle.get() != null ? 1 : 0;
        }
        line += part("read");
        check(alive == size / 2);
        Reference.reachabilityFence(nodes);
        print("weak", size, line);
    }

    private static void maps(int size) {
        Node[] nodes = nodes(size);
        System.gc();
        start = System.nanoTime();
        WeakHashMap<Node, Node> map = new WeakHashMap<>();
        for (int i = 0; i < size; i++) {
            map.put(nodes[i], new Node(i));
        }
        String line = part("fill");
        dropHalf(nodes);
        System.gc();
        line += part("collect");
        // Calls remove the entries of the dead, as a thread hands these over.
        while (map.size() > size / 2) {
            Thread.onSpinWait();
        }
        check(map.size() == size / 2);
        line += part("count");
        int found = 0;
        for (Node node : nodes) {
            found += node != null && map.get(node).value == node.value ? 1 : 0;
        }
        line += part("look_up");
        check(found == size / 2);
        Reference.reachabilityFence(nodes);
        print("maps", size, line);
    }

    /** The sum of the values of what died, added up by the cleaner's thread, and how many there were. */
    private static final class Drained {
        private long sum;
        private final AtomicInteger count = new AtomicInteger();

        Runnable action(long value) {
            return () -> {
                sum += value;
                count.incrementAndGet();
            };
        }
    }

    private static void cleaners(int size) throws InterruptedException {
        Node[] nodes = nodes(size);
        Cleaner cleaner = Cleaner.create();
        Drained drained = new Drained();
        System.gc();
        start = System.nanoTime();
        for (Node node : nodes) {
            // The action must not lead to the node.
            cleaner.register(node, drained.action(node.value));
        }
        String line = part("register");
        System.gc();
        line += part("collect_live");
        Reference.reachabilityFence(nodes);
        nodes = null;
        start = System.nanoTime();
        System.gc();
        line += part("collect_dead");
        while (drained.count.get() < size) {
            Thread.sleep(1);
        }
        line += part("drain");
        check(drained.sum == (long) size * (size - 1) / 2);
        print("finalizers", size, line);
    }

    private static void print(String name, int size, String parts) {
        if (!warmingUp) {
            System.out.println("case=" + name + " size=" + size + parts);
        }
    }

    private static void check(boolean holds) {
        if (!holds) {
            throw new AssertionError();
        }
    }

    public static void main(String[] args) throws InterruptedException {
        for (int round = 0; round < WARMUP_ROUNDS + 3; round++) {
            warmingUp = round < WARMUP_ROUNDS;
            weak(1_000_000);
            maps(1_000_000);
            cleaners(500_000);
        }
    }
}
