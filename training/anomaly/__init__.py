"""Fits the anomaly score to good boards of one product and side; needs no PyTorch."""
