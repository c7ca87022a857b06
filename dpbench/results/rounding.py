"""Numbers as tables, figures and titles show them."""

from __future__ import annotations

import math


def rounded(value: float, half_width: float = math.nan) -> str:
    """A number to four significant digits or three decimals, whichever is shorter, with its interval if there is one.

    Numbers below 0.001 have two significant digits.

    0.79123 -> "0.791";  0.79123 ± 0.012 -> "0.791 ± 0.012";  1234.5 -> "1234";  0.000123 -> "0.00012"
    """
    if math.isnan(value):
        return "–"
    size = max(abs(value), 0 if math.isnan(half_width) else half_width)  # an interval gives the scale of a small number
    if 0 < size < 1e-6:
        return f"{value:z.1e}" if math.isnan(half_width) else f"{value:z.1e} ± {half_width:.1e}"
    magnitude = math.floor(math.log10(size)) if size else 0
    decimals = max(0, 3 - max(0, magnitude)) if magnitude >= -3 else 1 - magnitude
    text = f"{value:z.{decimals}f}" if value else "0"
    return text if math.isnan(half_width) else f"{text} ± {half_width:.{decimals}f}"


def budget(epsilon: float) -> str:
    """ε as text: 0.5 -> "0.5", infinity -> "∞"."""
    return f"{epsilon:g}".replace("inf", "∞")


def privacy(epsilon: float) -> str:
    """The privacy of a row in titles: 10 -> "ε = 10", infinity -> "ε = ∞", 0 -> "public"."""
    return f"ε = {budget(epsilon)}" if epsilon else "public"
