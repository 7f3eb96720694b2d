"""Bias of the best model size read off an isoFLOP profile: a parabola against the cubic used here.

    python benchmarks/isoflop.py

Noise-free losses L = 1.8 + 480 / N^alpha + 2100 / D^beta at 1e21 FLOPs, C = 6 N D, on 7 sizes
evenly spaced in log N and centred on the true optimum; relative error of N*. Prints Markdown.
"""

import numpy as np

from jetscale.scaling import CostModel
from jetscale.scaling.engine import laws
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.routes.isoflop import minimum, polynomial

SIX_ND = CostModel(k=6.0, p=1.0, worst_residual=0.0, measured=False)
BUDGET, SIZES = 1e21, 7
EXPONENTS = ((0.348, 0.366), (0.66, 0.40), (0.71, 0.35))


def profile(alpha: float, beta: float, decades: float) -> tuple[Array, Array, float]:
    """Log sizes (7,), log losses (1, 7) and the true log N*."""
    theta = np.array([1.8, 480.0, 2100.0, alpha, beta])
    best = float(np.log(laws.optimum(theta, BUDGET, SIX_ND).params))
    x = best + np.log(10) * np.linspace(-decades, decades, SIZES)
    return x, np.log(laws.loss(theta, np.exp(x), BUDGET / 6 / np.exp(x)))[None], best


def errors(alpha: float, beta: float, decades: float) -> tuple[float, float]:
    """Relative errors of N* by parabola and by cubic."""
    x, y, best = profile(alpha, beta, decades)
    fine = np.linspace(x[0], x[-1], 20_001)
    parabola = fine[polynomial(x, y, fine, 2)[0].argmin()]
    return float(np.expm1(parabola - best)), float(np.expm1(minimum(x, y)[0][0] - best))


def main() -> None:
    """Print the table."""
    print("| alpha, beta | window | parabola | cubic |\n|---|---|---|---|")
    for alpha, beta in EXPONENTS:
        for decades in (0.5, 1.0):
            parabola, cubic = errors(alpha, beta, decades)
            window = f"+-{decades:g} decades"
            print(f"| {alpha:g}, {beta:g} | {window} | {parabola:+.1%} | {cubic:+.2%} |")


if __name__ == "__main__":
    main()
