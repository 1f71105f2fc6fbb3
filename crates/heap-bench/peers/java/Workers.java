import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/** Runs the same piece of work on several mutator threads. */
final class Workers {
    private Workers() {}

    /** One mutator's part of a workload; its result is added to the others'. */
    interface Part {
        long run(int mutator);
    }

    /** One job taken from a shared list in order. */
    interface Job {
        long run(int job);
    }

    static long parts(int mutators, Part part) {
        AtomicLong sum = new AtomicLong();
        AtomicInteger failed = new AtomicInteger();
        Thread[] threads = new Thread[mutators];
        for (int m = 0; m < mutators; m++) {
            int mutator = m;
            threads[m] = new Thread(() -> {
                try {
                    sum.addAndGet(part.run(mutator));
                } catch (Throwable t) {
                    t.printStackTrace();
                    failed.incrementAndGet();
                }
            });
            threads[m].start();
        }
        for (Thread t : threads) {
            try {
                t.join();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        }
        Main.must(failed.get() == 0, "a mutator failed");
        return sum.get();
    }

    static long jobs(int mutators, int jobs, Job job) {
        AtomicInteger next = new AtomicInteger();
        return parts(mutators, m -> {
            long local = 0;
            for (int j = next.getAndIncrement(); j < jobs; j = next.getAndIncrement()) {
                local += job.run(j);
            }
            return local;
        });
    }
}
