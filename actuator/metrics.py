"""Prometheus metrics of the gates."""

from prometheus_client import Counter, Gauge, Histogram

_MS = 0.001
_BUCKETS = tuple(ms * _MS for ms in (0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 20, 50, 200, 2000))

OUTCOMES = Counter("boardline_actuator_outcomes", "What became of verdicts", ["outcome"])
ARMED = Gauge("boardline_actuator_armed", "1 while gates may fire")
RECEIVED_TO_HIGH = Histogram(
    "boardline_actuator_received_to_high_seconds", "Verdict received to pin high, gates without delay", buckets=_BUCKETS
)
CAPTURED_TO_HIGH = Histogram(
    "boardline_actuator_captured_to_high_seconds",
    "Frame captured to pin high",
    buckets=(0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 60),
)
PULSE_LAG = Histogram(
    "boardline_actuator_pulse_lag_seconds", "Pin high after its scheduled time, gates downstream", buckets=_BUCKETS
)
