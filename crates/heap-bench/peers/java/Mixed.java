/** Arrays of power-law sizes, half of words and half of references; one in twenty survives for a while. */
final class Mixed {
    private Mixed() {}

    static final int SURVIVORS = 32768;

    static Result run(Main.Options o) {
        return Result.of(Workers.parts(o.mutators(), m -> {
            int lo = (int) ((long) o.size() * m / o.mutators());
            int hi = (int) ((long) o.size() * (m + 1) / o.mutators());
            return part(m, hi - lo, SURVIVORS / o.mutators());
        }));
    }

    private static long part(int mutator, int count, int places) {
        long[][] words = new long[places][];
        long[][][] refs = new long[places][][];
        Rng rng = new Rng(Rng.SEED + mutator);
        for (int i = 0; i < count; i++) {
            long r = rng.next();
            int octave = Long.numberOfTrailingZeros(r | 1 << 13);
            int length = Math.min((1 << octave) + ((int) (r >>> 32) & ((1 << octave) - 1)), 8192);
            int place = (int) (r >>> 20 & 0xfffff) % places;
            boolean survives = (r >>> 16) % 20 == 0;
            if (r >= 0) {
                long[] a = new long[length];
                a[0] = i;
                a[length - 1] = i;
                if (survives) {
                    words[place] = a;
                    refs[place] = null;
                }
            } else {
                long[][] a = new long[length][];
                if (words[place] != null) {
                    a[0] = words[place];
                }
                if (survives) {
                    words[place] = null;
                    refs[place] = a;
                }
            }
        }
        long sum = 0;
        for (int p = 0; p < places; p++) {
            long[] w = words[p];
            if (w != null) {
                Main.must(w[0] == w[w.length - 1], "words were overwritten");
                sum += w[0] + w.length;
            }
            long[][] r = refs[p];
            if (r != null) {
                sum += r.length;
                if (r[0] != null) {
                    sum += r[0][0];
                }
            }
        }
        return sum;
    }
}
