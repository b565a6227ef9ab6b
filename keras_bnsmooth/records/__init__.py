"""Files that probes leave behind: JSON lines, and event files for TensorBoard."""
