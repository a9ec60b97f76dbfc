"""Benchmarks: ratios against a named floor in the same run, interleaved, medians. `make bench`."""
