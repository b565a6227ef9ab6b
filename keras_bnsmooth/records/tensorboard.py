"""TensorBoard event files, written by the `tensorboard` package alone.

Every backend of Keras writes the same files by the same lines, and a full disk
raises where it happens: there is no writer thread that could swallow the error.
"""

import os
import socket
import time
from pathlib import Path

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.custom_scalar import metadata as custom_scalar_metadata
from tensorboard.plugins.histogram import metadata as histogram_metadata
from tensorboard.plugins.scalar import metadata as scalar_metadata
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util import tensor_util


class EventFile:
    """One event file in `directory`, which TensorBoard shows as a run.

    TensorBoard follows a single event file a directory, so whatever writes
    concurrently needs directories of its own.

    Args:
        directory: Where the file goes; made where it is missing.
        first_step: Points at this step and beyond that earlier files of the
            directory hold are dropped from the charts: a run that goes on from a
            checkpoint writes them again.

    Raises:
        OSError: The file cannot be written.
    """

    def __init__(self, directory, first_step=0):
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        # Readers take files in the order of their names: time first, and then a
        # number, for two files within one clock tick.
        now = time.time()
        number = len(list(directory.glob("events.out.tfevents.*")))
        name = (
            f"events.out.tfevents.{now:.6f}.{number:04d}."
            f"{socket.gethostname()}.{os.getpid()}"
        )
        self._writer = RecordWriter(open(directory / name, "xb"))  # noqa: SIM115
        self._write(Event(file_version="brain.Event:2"), step=0)
        self._write(
            Event(session_log=SessionLog(status=SessionLog.START)), step=first_step
        )
        self.flush()

    def scalar(self, tag, value, step):
        """Writes one point of the curve `tag`; NaN and infinity are shown as such."""
        self._summary(
            tag,
            np.float32(value),
            scalar_metadata.create_summary_metadata(display_name="", description=""),
            step,
        )

    def histogram(self, tag, counts, edges, step):
        """Writes a histogram of `counts` [bins] between `edges` [bins + 1]."""
        edges = np.asarray(edges, np.float64)
        buckets = np.stack([edges[:-1], edges[1:], np.asarray(counts)], axis=1)
        self._summary(
            tag,
            buckets,
            histogram_metadata.create_summary_metadata(display_name="", description=""),
            step,
        )

    def layout(self, layout):
        """Writes the Custom Scalars dashboard of this run, a `layout_pb2.Layout`."""
        self._summary(
            custom_scalar_metadata.CONFIG_SUMMARY_TAG,
            np.array(layout.SerializeToString(), dtype=object),
            custom_scalar_metadata.create_summary_metadata(),
            step=0,
        )

    def flush(self):
        """Hands everything written so far to the file system."""
        self._writer.flush()

    def close(self):
        """Closes the file; a second call does nothing."""
        if not self._writer.closed:
            self._writer.close()

    def _summary(self, tag, data, metadata, step):
        summary = Summary()
        summary.value.add(
            tag=tag, metadata=metadata, tensor=tensor_util.make_tensor_proto(data)
        )
        self._write(Event(summary=summary), step)

    def _write(self, event, step):
        event.wall_time = time.time()
        event.step = step
        self._writer.write(event.SerializeToString())
