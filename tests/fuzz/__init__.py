"""Malformed and hostile packets at every listener of a broker with a whole line behind it: `python -m fuzz --help`."""
