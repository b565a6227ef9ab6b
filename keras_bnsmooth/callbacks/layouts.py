"""Dashboards for TensorBoard's Custom Scalars, where several runs overlay."""

from tensorboard.plugins.custom_scalar import layout_pb2


def band(title, tag):
    """Returns a chart of the band between the curves `TAG/low` and `TAG/high`."""
    series = layout_pb2.MarginChartContent.Series(
        value=f"{tag}/median", lower=f"{tag}/low", upper=f"{tag}/high"
    )
    return layout_pb2.Chart(
        title=title, margin=layout_pb2.MarginChartContent(series=[series])
    )


def lines(title, tag):
    """Returns a chart with one line for each tag that matches a regular expression."""
    return layout_pb2.Chart(
        title=title, multiline=layout_pb2.MultilineChartContent(tag=[tag])
    )


def dashboard(title, charts):
    """Returns a layout with the charts under one title."""
    category = layout_pb2.Category(title=title, chart=charts)
    return layout_pb2.Layout(category=[category])
