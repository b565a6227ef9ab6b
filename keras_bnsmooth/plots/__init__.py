"""Figures of what the probes recorded."""

__all__: list[str] = []
