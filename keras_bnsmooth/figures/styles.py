"""Lines that are told apart in black and white and by the colour-blind."""

# Okabe and Ito's colours, each with dashes of its own.
STYLES = (
    {"color": "#000000", "linestyle": "-"},
    {"color": "#0072B2", "linestyle": "--"},
    {"color": "#D55E00", "linestyle": "-."},
    {"color": "#009E73", "linestyle": ":"},
    {"color": "#CC79A7", "linestyle": (0, (5, 1))},
    {"color": "#E69F00", "linestyle": (0, (3, 1, 1, 1))},
    {"color": "#56B4E9", "linestyle": (0, (1, 1))},
)
