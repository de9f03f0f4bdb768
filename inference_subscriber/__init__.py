"""Frames in, verdicts out: detect each frame as it comes, join the sides of a board, judge it once."""
