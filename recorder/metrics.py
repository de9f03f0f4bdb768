"""Prometheus metrics of the recorder."""

from prometheus_client import Counter, Gauge, Histogram

COMMITTED = Counter("boardline_recorder_committed", "Messages committed to the database, repeats too")
COMMIT_SECONDS = Histogram("boardline_recorder_commit_seconds", "Time to commit one batch")
BATCH_MESSAGES = Histogram(
    "boardline_recorder_batch_messages", "Messages in one batch", buckets=(1, 2, 5, 10, 25, 50, 100, 250, 500, 1000)
)
WRITE_FAILED = Counter("boardline_recorder_write_failed", "Batches that the database did not take")
IMAGES_LOST = Counter("boardline_recorder_images_lost", "Evidence pictures that the disk did not take")
SPOOLING = Gauge("boardline_recorder_spooling", "1 while arrivals go to the spool, not straight to the database")
SPOOL_ROWS = Gauge("boardline_recorder_spool_rows", "Arrivals that wait in the spool")
SPOOL_BYTES = Gauge("boardline_recorder_spool_bytes", "Bytes of the payloads that wait in the spool")
