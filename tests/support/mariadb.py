"""A real MariaDB server of the tests' own; the benchmarks use the same."""

from benchmarks.mariadb import PASSWORD, USER, MariaDb

__all__ = ["PASSWORD", "USER", "MariaDb"]
