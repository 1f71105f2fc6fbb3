/** Short chains of cells, dropped at once; of each chain the last two are read back. */
final class Churn {
    private Churn() {}

    static final int CHAIN_LENGTH = 64;

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
        long chains = (size + CHAIN_LENGTH - 1) / CHAIN_LENGTH;
        return Result.of(Workers.parts(o.mutators(), m -> {
            int hi = (int) (chains * (m + 1) / o.mutators());
            long sum = 0;
            for (int c = (int) (chains * m / o.mutators()); c < hi; c++) {
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
