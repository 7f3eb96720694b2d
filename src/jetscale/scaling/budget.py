"""What there is to spend: FLOPs, GPU-hours or money, and what a run takes of it.

A run of N parameters on D distinct jets costs u C(N, D) + v D in the unit of the budget: u is the
price of a FLOP, v that of a jet. With v = 0 the optimum is that of the fitted law at a FLOP budget.
Where jets have a price, data are dearer than compute alone says, and the optimum moves to larger
models on fewer jets. With C = k N^p D the budget M buys D(N) = M / (u k N^p + v) jets; setting
the derivative of A N^-alpha + B D(N)^-beta to zero gives, for s = log N,

    (alpha + p) s + (beta - 1) log(u k e^(p s) + v) = log(alpha A) - log(p beta B u k) + beta log M

whose left side grows with s, so that Newton's method from the solution for v = 0 finds the one
root.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from jetscale.errors import FitError, unknown
from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine import laws
from jetscale.scaling.engine.laws import Array, Optimum

PEAK_FLOPS = {
    "H200": 989e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "V100": 125e12,
    "T4": 65e12,
}
"""Dense half-precision FLOPs per second from the makers' data sheets."""
_NEWTON_STEPS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """An amount, and the prices of a FLOP and of a distinct jet in its unit."""

    amount: float
    unit: str = "FLOPs"
    per_flop: float = 1.0
    per_example: float = 0.0
    terms: str = ""
    """How the prices came about, for every output."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.amount) and self.amount > 0):
            raise FitError(f"budget is {self.amount} {self.unit}, needs a finite number above zero")

    @property
    def flops(self) -> float:
        """FLOPs the budget buys where no jet is paid for."""
        return self.amount / self.per_flop

    def spent(self, flops: ArrayLike, examples: ArrayLike) -> Array:
        """What runs of so many FLOPs on so many distinct jets take."""
        return np.asarray(
            self.per_flop * np.asarray(flops) + self.per_example * np.asarray(examples)
        )

    def examples(self, params: ArrayLike, cost: CostModel) -> Array:
        """Distinct jets the budget buys for models of these sizes."""
        size = np.asarray(params, dtype=float)
        return np.asarray(self.amount / (self.per_flop * cost.k * size**cost.p + self.per_example))

    def optimum(self, theta: Array, cost: CostModel) -> Optimum:
        """N*, D* and L* within the budget, one value per row of theta (..., 5)."""
        free = laws.optimum(theta, self.flops, cost)
        if not self.per_example:
            return free
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            params = np.exp(self._log_params(theta, cost, np.log(free.params)))
            examples = self.examples(params, cost)
            return Optimum(params, examples, laws.loss(theta, params, examples))

    def _log_params(self, theta: Array, cost: CostModel, start: Array) -> Array:
        """The root of the module's equation; nan and infinite starts stay what they are."""
        _, A, B, alpha, beta = np.moveaxis(np.asarray(theta, dtype=float), -1, 0)
        u = self.per_flop * cost.k
        right = np.log(alpha * A) - np.log(cost.p * beta * B * u) + beta * np.log(self.amount)
        s = np.asarray(start)
        for _ in range(_NEWTON_STEPS):
            compute = u * np.exp(cost.p * s)
            total = compute + self.per_example
            value = (alpha + cost.p) * s + (beta - 1) * np.log(total) - right
            slope = alpha + cost.p + (beta - 1) * cost.p * compute / total
            step = value / slope
            if not (np.abs(step[np.isfinite(step)]) > 1e-12).any():
                break
            s = np.where(np.isfinite(step), s - step, s)
        return s

    def among(self, theta: Array, cost: CostModel, sizes: Array) -> Optimum:
        """The best of some model sizes (m,), each on all the jets the budget buys for it."""
        examples = self.examples(sizes, cost)
        losses = laws.loss(np.asarray(theta)[..., None, :], sizes, examples)
        best = losses.argmin(axis=-1)
        lowest = np.take_along_axis(losses, best[..., None], axis=-1)[..., 0]
        return Optimum(sizes[best], examples[best], lowest)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "amount": self.amount,
            "unit": self.unit,
            "per_flop": self.per_flop,
            "per_example": self.per_example,
            "terms": self.terms,
        }


def flops_budget(amount: float) -> Budget:
    """So many FLOPs of one training run."""
    return Budget(amount=amount)


def gpu_hours_budget(hours: float, rate: float, source: str = "") -> Budget:
    """Hours of one device that trains at ``rate`` FLOPs per second (see `sustained`).

    ``source`` says where the rate comes from.
    """
    check_rate(rate)
    per_flop = 1 / (3600 * rate)
    return Budget(amount=hours, unit="GPU-hours", per_flop=per_flop, terms=_speed(rate, source))


def check_rate(rate: float) -> None:
    """Refuse a speed that is none; raises FitError."""
    if not (math.isfinite(rate) and rate > 0):
        raise FitError(f"rate is {rate} FLOP/s, needs a finite number above zero, e.g. 1e14")


def _speed(rate: float, source: str) -> str:
    return f"{rate:.3g} FLOP/s sustained" + (f" ({source})" if source else "")


def money_budget(
    amount: float, rate: float, per_hour: float, per_example: float, source: str = ""
) -> Budget:
    """Money, with the price of an hour of a device training at ``rate`` and that of a jet.

    Raises
    ------
    FitError
        A price is negative or not finite, the hour is free, or the rate is no speed.
    """
    for name, price in (("GPU-hour", per_hour), ("jet", per_example)):
        if not (math.isfinite(price) and price >= 0):
            raise FitError(f"price per {name} is {price}, needs a number of zero or more")
    if per_hour == 0:
        raise FitError("price per GPU-hour is 0, needs more: free compute has no optimum")
    check_rate(rate)
    terms = f"{per_hour:g} per GPU-hour at {_speed(rate, source)}, {per_example:g} per jet"
    return Budget(
        amount=amount,
        unit="money",
        per_flop=per_hour / (3600 * rate),
        per_example=per_example,
        terms=terms,
    )


def measured_rate(runs: pd.DataFrame) -> tuple[float, str]:
    """FLOPs per second the runs of a study were trained at, and what that is in words.

    All FLOPs over all seconds, so that the largest runs weigh most; evaluation is in the seconds.

    Parameters
    ----------
    runs
        A run table with the columns flops and seconds, and possibly device.

    Raises
    ------
    FitError
        The table does not say how long its runs took.
    """
    if not {"flops", "seconds"} <= set(runs.columns):
        raise FitError(
            "the table has no columns flops and seconds, so the speed is unknown: give --rate, or "
            "--device with --mfu"
        )
    timed = runs[(runs["seconds"] > 0) & (runs["flops"] > 0)]
    if timed.empty:
        raise FitError("no run has a duration: give --rate, or --device with --mfu")
    devices = sorted(timed["device"].unique()) if "device" in timed else ["unnamed device"]
    rate = float(timed["flops"].sum() / timed["seconds"].sum())
    return rate, f"measured over {len(timed)} runs on {', '.join(devices)}"


def sustained(device: str, mfu: float) -> float:
    """FLOPs per second of a device at a model FLOPs utilisation between 0 and 1.

    Raises
    ------
    FitError
        The device is unknown or the utilisation impossible.
    """
    names = {name.lower(): name for name in PEAK_FLOPS}
    if device.lower() not in names:
        raise FitError(unknown("device", device, PEAK_FLOPS))
    if not 0 < mfu <= 1:
        raise FitError(f"mfu is {mfu}, needs a number above 0 and at most 1, e.g. 0.3")
    return PEAK_FLOPS[names[device.lower()]] * mfu
