/** What one run reports besides what the meter sees; wall 0 means the meter's own time. */
record Result(long sum, double wallMillis, String extra) {
    static Result of(long sum) {
        return new Result(sum, 0, "");
    }
}
