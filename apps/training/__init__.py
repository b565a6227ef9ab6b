"""Resumable training on `model.fit`, in a run directory."""
