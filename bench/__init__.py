"""Each of our jobs beside its rival, on the same rows in the same run; `make bench` calls it."""
