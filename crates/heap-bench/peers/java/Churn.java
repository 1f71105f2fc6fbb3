/** Short chains of cells, dropped at once; of each chain the last two are read back. */
final class Churn {
    private Churn() {}

    static final int CHAIN_LENGTH = 64;
    static final int CHAINS_PER_JOB = 1024;

    static final class Cell {
        final Cell next;
        final long value;

        Cell(Cell next, long value) {
            this.next = next;
            this.value = value;
        }
    }

    static Result run(Main.Options o) {
        int size = o.size();
        int chains = (size + CHAIN_LENGTH - 1) / CHAIN_LENGTH;
        int jobs = (chains + CHAINS_PER_JOB - 1) / CHAINS_PER_JOB;
        return Result.of(Workers.jobs(o.mutators(), jobs, job -> {
            int hi = Math.min((job + 1) * CHAINS_PER_JOB, chains);
            long sum = 0;
            for (int c = job * CHAINS_PER_JOB; c < hi; c++) {
                Cell last = chain(c * CHAIN_LENGTH, Math.min((c + 1) * CHAIN_LENGTH, size));
                sum += last.value;
                if (last.next != null) {
                    sum += last.next.value;
                }
            }
            return sum;
        }));
    }

    private static Cell chain(int from, int to) {
        Cell last = null;
        for (int i = from; i < to; i++) {
            last = new Cell(last, i);
        }
        return last;
    }
}
