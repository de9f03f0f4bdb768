"""Assembled boards as a webcam sees them: a design, its boards, their defects, and the photograph."""
