"""Benchmarks: `python -m apps.benchmarks.NAME`, medians of rounds in one process."""
