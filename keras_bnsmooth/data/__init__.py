"""Data sets as arrays, and the batch of every step as a function of (seed, step)."""

from keras_bnsmooth.data.batches import Batches
from keras_bnsmooth.data.data_set import DataSet
from keras_bnsmooth.data.linear_teacher import linear_teacher
from keras_bnsmooth.data.load import load

__all__ = ["Batches", "DataSet", "linear_teacher", "load"]
