"""Where a list of programs runs: on this machine, or on a Ray cluster."""
