"""TensorBoard event files, written with the `tensorboard` package alone.

All backends of Keras write the same files with the same code, and a full disk raises
where it happens, since no writer thread could swallow the error.
"""

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as custom_scalar_metadata
from tensorboard.plugins.histogram import metadata as histogram_metadata
from tensorboard.plugins.scalar import metadata as scalar_metadata
from tensorboard.plugins.text import metadata as text_metadata
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util import tensor_util

from keras_bnsmooth.records.dashboard import BandChart, Dashboard

_NOTHING: Mapping = MappingProxyType({})


class EventFile:
    """One event file in `directory`, which TensorBoard shows as a run.

    TensorBoard follows a single event file per directory, so concurrent writers need
    separate directories.

    Args:
        directory: Where the file goes; created if missing.
        first_step: Charts drop points at or beyond this step that earlier files in the
            directory hold, since a run that resumes from a checkpoint rewrites them.

    Raises:
        OSError: The file cannot be written.
    """

    def __init__(self, directory: str | os.PathLike, first_step: int = 0):
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        # Readers sort files by name: time first, then a number, for two files created
        # within one clock tick.
        now = time.time()
        number = len(list(directory.glob("events.out.tfevents.*")))
        name = (
            f"events.out.tfevents.{now:.6f}.{number:04d}."
            f"{socket.gethostname()}.{os.getpid()}"
        )
        self._tags: set[str] = set()
        self._writer = RecordWriter(open(directory / name, "xb"))  # noqa: SIM115
        self._write(Event(file_version="brain.Event:2"), step=0)
        self._write(
            Event(session_log=SessionLog(status=SessionLog.START)), step=first_step
        )
        self._writer.flush()

    def write(
        self,
        step: int,
        scalars: Mapping[str, float] = _NOTHING,
        histograms: Mapping[str, tuple] = _NOTHING,
        texts: Mapping[str, str] = _NOTHING,
    ) -> None:
        """Writes one point of each curve, histogram and text, and flushes it to disk.

        Args:
            step: The step of all of them.
            scalars: From tag to value; NaN and infinity are allowed.
            histograms: From tag to (counts [bins], edges [bins + 1]).
            texts: From tag to text, which may be Markdown.
        """
        summary = Summary()
        for tag, value in scalars.items():
            self._add(summary, tag, np.float32(value), scalar_metadata)
        for tag, (counts, edges) in histograms.items():
            buckets = np.stack([edges[:-1], edges[1:], counts], axis=1)
            # Single precision is enough for a picture and takes half the space.
            buckets = buckets.astype(np.float32)
            self._add(summary, tag, buckets, histogram_metadata)
        for tag, text in texts.items():
            data = np.array(text.encode(), dtype=object)
            self._add(summary, tag, data, text_metadata)
        self._write(Event(summary=summary), step)
        self._writer.flush()

    def dashboard(self, dashboard: Dashboard) -> None:
        """Writes the charts of this run for Custom Scalars."""
        layout = layout_pb2.Layout(
            category=[
                layout_pb2.Category(
                    title=dashboard.title, chart=map(_chart, dashboard.charts)
                )
            ]
        )
        summary = Summary()
        summary.value.add(
            tag=custom_scalar_metadata.CONFIG_SUMMARY_TAG,
            metadata=custom_scalar_metadata.create_summary_metadata(),
            tensor=tensor_util.make_tensor_proto(
                np.array(layout.SerializeToString(), dtype=object)
            ),
        )
        self._write(Event(summary=summary), step=0)
        self._writer.flush()

    def close(self) -> None:
        """Closes the file; further calls do nothing."""
        if not self._writer.closed:
            self._writer.close()

    def _add(self, summary, tag, data, plugin):
        # TensorBoard reads what kind of data a tag has from its first value.
        metadata = None
        if tag not in self._tags:
            self._tags.add(tag)
            metadata = plugin.create_summary_metadata(display_name="", description="")
        tensor = tensor_util.make_tensor_proto(data)
        summary.value.add(tag=tag, metadata=metadata, tensor=tensor)

    def _write(self, event, step):
        event.wall_time = time.time()
        event.step = step
        self._writer.write(event.SerializeToString())


def _chart(chart):
    if isinstance(chart, BandChart):
        series = layout_pb2.MarginChartContent.Series(
            value=f"{chart.tag}/median",
            lower=f"{chart.tag}/low",
            upper=f"{chart.tag}/high",
        )
        content = {"margin": layout_pb2.MarginChartContent(series=[series])}
    else:
        content = {"multiline": layout_pb2.MultilineChartContent(tag=[chart.tags])}
    return layout_pb2.Chart(title=chart.title, **content)
