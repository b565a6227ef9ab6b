"""Files that probes leave behind: JSON lines, snapshots, and TensorBoard's events."""
