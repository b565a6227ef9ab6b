"""Settings other than the paper's in which claims are measured as well."""

from apps.settings import (
    DLN,
    DLN_LEARNING_RATES,
    LP_NORMS,
    MAIN,
    VGG,
    VGG_LEARNING_RATES,
    VGG_SWEEP_STEPS,
)

_RATES = [rate for rate in DLN_LEARNING_RATES if rate != MAIN["dln"]["learning_rate"]]
_BARE = DLN.having("bare output", normalize_output=False)

# The DLN at the other learning rates, and with its last output not normalized.
DLN_RATES = tuple(DLN.having(f"{rate:g}", learning_rate=rate) for rate in _RATES)
DLN_ELSEWHERE = (
    *DLN_RATES,
    _BARE,
    *(_BARE.having(f"bare output, {rate:g}", learning_rate=rate) for rate in _RATES),
)
# The norm of lp taken after the mean is subtracted.
AFTER_CENTERING = {
    setting.network: {
        norm: (setting.having("norm after centering", norm_after_centering=True),)
        for norm in LP_NORMS
        if norm != "l2"  # with it, l2 is batch normalization
    }
    for setting in (VGG, DLN)
}
# The VGG at depth 11, and with data augmentation.
VGG_DEEP_ELSEWHERE = (
    VGG.having("depth 11", depth="11"),
    VGG.having("augmented", augment=True),
)
# The VGG at other learning rates, for fewer steps.
VGG_SWEEP = tuple(
    VGG.having(f"{rate:g}, short", learning_rate=rate, steps=VGG_SWEEP_STEPS)
    for rate in VGG_LEARNING_RATES
)
