import numpy as np
from tensorboard.backend.event_processing.plugin_event_accumulator import (
    EventAccumulator,
)
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.util import tensor_util

from keras_bnsmooth.records.dashboard import BandChart, Dashboard, LineChart
from keras_bnsmooth.records.tensorboard import EventFile


def read(directory):
    accumulator = EventAccumulator(str(directory))
    accumulator.Reload()
    return accumulator


def points(accumulator, tag):
    return [
        (event.step, float(tensor_util.make_ndarray(event.tensor_proto)))
        for event in accumulator.Tensors(tag)
    ]


def test_tensorboard_reads_scalars(tmp_path):
    file = EventFile(tmp_path)
    file.write(10, {"loss": 0.5, "accuracy": 0.25})
    file.write(20, {"loss": np.inf})
    file.close()
    accumulator = read(tmp_path)
    assert points(accumulator, "loss") == [(10, 0.5), (20, np.inf)]
    assert points(accumulator, "accuracy") == [(10, 0.25)]


def test_points_that_a_resumed_run_writes_again_replace_the_old(tmp_path):
    first = EventFile(tmp_path)
    for step in (10, 20, 30):
        first.write(step, {"loss": 1.0})
    first.close()
    second = EventFile(tmp_path, first_step=11)
    second.write(20, {"loss": 2.0})
    second.close()
    assert points(read(tmp_path), "loss") == [(10, 1.0), (20, 2.0)]


def test_tensorboard_reads_histograms_and_dashboards(tmp_path):
    charts = [BandChart("Loss", "loss_band"), LineChart("Beta", "^beta$")]
    file = EventFile(tmp_path)
    file.write(5, histograms={"activation": ([1, 3], [0.0, 0.5, 2.0])})
    file.dashboard(Dashboard("Landscape", charts))
    file.close()
    accumulator = read(tmp_path)
    (histogram,) = accumulator.Tensors("activation")
    np.testing.assert_array_equal(
        tensor_util.make_ndarray(histogram.tensor_proto), [[0, 0.5, 1], [0.5, 2, 3]]
    )
    (config,) = accumulator.Tensors("custom_scalars__config__")
    written = tensor_util.make_ndarray(config.tensor_proto).item()
    (category,) = layout_pb2.Layout.FromString(written).category
    assert category.title == "Landscape"
    band, line = category.chart
    assert (band.title, line.title) == ("Loss", "Beta")
    (series,) = band.margin.series
    assert (series.value, series.lower, series.upper) == (
        "loss_band/median",
        "loss_band/low",
        "loss_band/high",
    )
    assert list(line.multiline.tag) == ["^beta$"]
