"""Data sets as arrays, and the batch of each step as a function of (seed, step)."""

from apps.data.batches import Batches
from apps.data.data_sets import DataSet, linear_teacher, load

__all__ = ["Batches", "DataSet", "linear_teacher", "load"]
