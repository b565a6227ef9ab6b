"""Benchmarks: `python -m apps.benchmarks.NAME` prints medians of interleaved rounds."""
