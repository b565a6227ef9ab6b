import numpy as np
import pytest

import keras_bnsmooth as kb
from keras_bnsmooth.probes import LossSurface

A, B = np.linspace(-1, 1, 5), np.linspace(-2, 2, 7)
BOWL = A[:, np.newaxis] ** 2 + B**2 + 1


def plane(losses=BOWL):
    return LossSurface(1.0, ("gradient", "random"), (A, B), losses, np.nan)


def line(losses, name="to other", barrier=np.nan):
    coordinates = np.linspace(0, 1, len(losses))
    return LossSurface(losses[0], (name,), (coordinates,), np.array(losses), barrier)


def footer(figure):
    return figure.get_supxlabel()


def test_contours_are_those_of_the_losses():
    figure = kb.plots.contour(plane())
    axes, bar = figure.axes
    filled, lines = axes.collections[:2]
    assert filled.levels[0] <= 1 < 6 <= filled.levels[-1]
    assert set(lines.levels) < set(filled.levels)
    for level, path in zip(lines.levels, lines.get_paths(), strict=True):
        a, b = path.vertices.T
        # Contours interpolate between coordinates that are up to 2/3 apart.
        np.testing.assert_allclose(a**2 + b**2 + 1, level, atol=0.15)
    assert axes.get_xlabel() == "learning rate of a gradient step"
    assert axes.get_ylabel() == "random direction"
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), [[0, 0]])
    assert bar.get_ylabel() == "loss"
    assert footer(figure) == ""


def test_wide_losses_have_a_logarithmic_scale():
    levels = kb.plots.contour(plane(10**BOWL)).axes[0].collections[0].levels
    np.testing.assert_allclose(np.diff(np.log10(levels)), 5 / 19)
    (axes,) = kb.plots.surface_3d(plane(10**BOWL)).axes
    assert axes.get_zlim()[1] == pytest.approx(6, abs=0.2)
    assert "log" in axes.get_zlabel()
    (axes,) = kb.plots.profile(line([1.0, 2.0, 20.0])).axes
    assert axes.get_yscale() == "log"


def test_the_surface_has_the_height_of_the_losses():
    (axes,) = kb.plots.surface_3d(plane()).axes
    (surface,) = axes.collections
    # The color of a patch is the mean of the losses at its corners.
    corners = (BOWL[:-1, :-1], BOWL[1:, :-1], BOWL[:-1, 1:], BOWL[1:, 1:])
    expected = np.mean(corners, axis=0)
    np.testing.assert_allclose(surface.get_array(), expected.ravel())
    assert axes.get_zlim() == pytest.approx((1, 6), abs=0.2)
    assert axes.get_xlabel() == "learning rate of a gradient step"
    assert axes.get_zlabel() == "loss"


@pytest.mark.parametrize("draw", [kb.plots.contour, kb.plots.surface_3d])
def test_losses_that_are_not_finite_are_left_out(draw):
    losses = BOWL.copy()
    losses[0, 0], losses[-1, -1] = np.nan, np.inf
    figure = draw(plane(losses))
    assert footer(figure) == "At 2 of 35 points the loss is not finite."
    figure.canvas.draw()


def test_profiles_show_the_barrier():
    bent = line([1.0, 4.0, 2.0], barrier=2.5)
    figure = kb.plots.profile({"bn": bent, "none": line([1.0, np.inf, 3.0])})
    (axes,) = figure.axes
    curve, straight, broken = (np.array(drawn.get_ydata()) for drawn in axes.lines)
    np.testing.assert_array_equal(curve, [1, 4, 2])
    np.testing.assert_array_equal(straight, [1, 1.5, 2])
    np.testing.assert_array_equal(broken, [1, np.nan, 3])
    entries = [text.get_text() for text in axes.get_legend().texts]
    assert entries == ["bn, barrier 2.5", "none"]
    assert axes.get_xlabel() == "from this model (0) to other (1)"
    assert footer(figure).startswith("none: At 1 of 3 points the loss is not finite.")
    assert footer(figure).endswith("Dotted: linear between the losses at both ends.")
    (axes,) = kb.plots.profile(line([1.0, 2.0], "random")).axes
    assert axes.get_legend() is None
    assert axes.get_xlabel() == "random direction"


@pytest.mark.parametrize(
    ("draw", "given", "message"),
    [
        (kb.plots.contour, line([1.0, 2.0]), "along 2 direction.* shape \\(2,\\)"),
        (kb.plots.surface_3d, "runs/bn", "along 2 direction.* received str"),
        (kb.plots.profile, plane(), "along 1 direction.* shape \\(5, 7\\)"),
        (kb.plots.profile, {}, "nothing to draw"),
    ],
)
def test_refuses_what_it_cannot_draw(draw, given, message):
    with pytest.raises(ValueError, match=message):
        draw(given)
