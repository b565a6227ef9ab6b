"""Engines that run a list of programs: on this machine, or on a Ray cluster."""
