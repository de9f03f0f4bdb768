"""Schema changes, one file each in `versions`; `records.migrate` runs them."""
