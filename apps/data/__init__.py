"""Data sets as arrays, and the batch of every step as a function of (seed, step)."""

from apps.data.batches import Batches
from apps.data.data_set import DataSet
from apps.data.linear_teacher import linear_teacher
from apps.data.load import load

__all__ = ["Batches", "DataSet", "linear_teacher", "load"]
