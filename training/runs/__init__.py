"""Training runs: one folder each, with checkpoints, weights, plots and a report to look at."""
