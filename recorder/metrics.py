"""Prometheus metrics of the recorder."""

from prometheus_client import Counter, Gauge, Histogram

COMMITTED = Counter("boardline_recorder_committed", "Messages committed to the database, repeats too")
COMMIT_SECONDS = Histogram("boardline_recorder_commit_seconds", "Time to commit one batch")
BATCH_MESSAGES = Histogram(
    "boardline_recorder_batch_messages", "Messages in one batch", buckets=(1, 2, 5, 10, 25, 50, 100, 250, 500, 1000)
)
WRITE_FAILED = Counter("boardline_recorder_write_failed", "Batches that the database did not take")
SPOOL_ROWS = Gauge("boardline_recorder_spool_rows", "Arrivals in the spool: for the database, or pictures for a store")
SPOOL_BYTES = Gauge("boardline_recorder_spool_bytes", "Bytes of their payloads")
