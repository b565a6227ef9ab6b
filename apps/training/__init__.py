"""Training on `model.fit` in a run directory that can be stopped and gone on with."""
