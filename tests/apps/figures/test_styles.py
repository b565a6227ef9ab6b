from apps.figures.styles import STYLES
from keras_bnsmooth.models import NORMS


def test_every_norm_has_a_look_of_its_own():
    assert set(STYLES) == set(NORMS)
    for quantity in ("label", "color", "dashes", "hatch"):
        values = [getattr(style, quantity) for style in STYLES.values()]
        assert len(set(values)) == len(values)
