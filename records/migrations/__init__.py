"""Schema changes, one file each in `versions`; `recorder.schema` runs them."""
