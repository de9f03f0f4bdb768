"""The fault suite: a whole line of real processes, faults done to it while boards pass, the books read after each.

`python -m faults --list` (with `tests` on the path; `make test-faults` does that) names the faults.
"""
