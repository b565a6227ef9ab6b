"""The flags that made a run, as its `config.json` has them."""

# Those that runs of older versions lack, with what they had in effect.
_LATER = {"strategy": "none", "logical_cpus": 1, "synchronized": False}


def all_flags(config):
    """Returns the flags of a run as a dict, with those that it is too old to name.

    Args:
        config: What the `config.json` of a run holds.
    """
    return _LATER | config["flags"]
