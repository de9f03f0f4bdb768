"""Reconciliation: what was announced, judged, done at the gates and recorded, hour by hour, and every gap between."""
