"""How many samples of a batch each of several devices takes."""


def check_divisible(samples, devices):
    """Returns `devices` if they can share a batch evenly.

    Raises:
        ValueError: The number of samples is no multiple of that of devices.
    """
    if samples % devices:
        raise ValueError(
            f"{devices} devices cannot share {samples} samples evenly; give a batch "
            f"whose size is a multiple of {devices}."
        )
    return devices
