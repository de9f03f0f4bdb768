"""Measurements of the figures that the README and the documents state."""
