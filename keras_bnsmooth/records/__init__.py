"""What a run leaves behind: JSON lines for figures, event files for TensorBoard."""
