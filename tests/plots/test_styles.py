from keras_bnsmooth.models import NORMS
from keras_bnsmooth.plots.styles import STYLES, assign_styles


def test_every_norm_has_a_look_of_its_own():
    assert set(STYLES) == set(NORMS)
    for quantity in ("label", "color", "dashes", "hatch"):
        values = [getattr(style, quantity) for style in STYLES.values()]
        assert len(set(values)) == len(values)


def test_norms_keep_their_style_and_other_labels_get_the_free_ones():
    styles = assign_styles(["mine", "none", "bn", "other"])
    assert [style.label for style in styles] == ["mine", "none", "bn", "other"]
    assert [style.color for style in styles] == [
        STYLES[norm].color for norm in ("noisy_bn", "none", "bn", "noise")
    ]


def test_more_runs_than_styles_differ_by_their_markers():
    styles = assign_styles([f"seed {seed}" for seed in range(20)])
    assert len({(style.color, style.marker) for style in styles}) == 20
