"""A virtual line: boards with known defects, a conveyor, cameras; `python -m simulator demo` runs it all."""
