"""Numbers and intervals as people write them."""


def short(value: float, digits: int = 3) -> str:
    """A count in a few digits: 656, 2.59k, 1.2M."""
    value = float(f"{value:.{digits}g}")
    for factor, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.3g}{suffix}"
    return f"{value:.3g}"
