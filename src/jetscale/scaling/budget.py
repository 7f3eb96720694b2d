"""What there is to spend: FLOPs, GPU-hours or money, and what a run takes of it.

N parameters trained on D distinct examples take u C(N, D) + v D of the budget M: u is the price of
a FLOP, v that of an example. With C = k N^p D it buys D(N) = M / (u k N^p + v); where the
derivative of A N^-alpha + B D(N)^-beta is zero, s = log N solves

    (alpha + p) s + (beta - 1) log(u k e^(p s) + v) = log(alpha A) - log(p beta B u k) + beta log M

whose left side grows with s: Newton's method from the solution for v = 0 finds the one root.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from jetscale.errors import FitError, unknown
from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine import laws
from jetscale.scaling.engine.law import CHINCHILLA, Law
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
    """An amount, and the prices of a FLOP and of a distinct example in its unit."""

    amount: float
    unit: str = "FLOPs"
    per_flop: float = 1.0
    per_example: float = 0.0
    terms: str = ""  # how the prices came about, for every output

    def __post_init__(self) -> None:
        if not (math.isfinite(self.amount) and self.amount > 0):
            raise FitError(f"budget is {self.amount} {self.unit}, needs a finite number above zero")
        if not (0 < self.per_flop < math.inf and 0 < self.flops < math.inf):
            raise FitError(
                f"budget is {self.amount} {self.unit} at {self.per_flop:g} per FLOP: no number of "
                "FLOPs; check amount, speed and prices"
            )

    @property
    def flops(self) -> float:
        """FLOPs the budget buys where no example is paid for."""
        return self.amount / self.per_flop

    def spent(self, flops: ArrayLike, examples: ArrayLike) -> Array:
        """What runs of so many FLOPs on so many distinct examples take."""
        compute, data = np.asarray(flops), np.asarray(examples)
        with np.errstate(over="ignore"):  # what is too dear for a number is too dear
            return np.asarray(self.per_flop * compute + self.per_example * data)

    def examples(self, params: ArrayLike, cost: CostModel) -> Array:
        """Distinct examples the budget buys for models of these sizes."""
        size = np.asarray(params, dtype=float)
        return np.asarray(self.amount / (self.per_flop * cost.k * size**cost.p + self.per_example))

    @property
    def text(self) -> str:
        """Amount and unit: 1e+11 FLOPs, 1 GPU-hour, 5 (money)."""
        unit = self.unit.removesuffix("s") if self.amount == 1 else self.unit
        if unit == "money":
            return (
                f"{self.amount:,.0f} (money)"
                if self.amount >= 100
                else f"{self.amount:.3g} (money)"
            )
        return f"{self.amount:.3g} {unit}"

    def __str__(self) -> str:
        return f"budget {self.text}"

    def optimum(
        self, theta: Array, cost: CostModel, law: Law = CHINCHILLA, **held: ArrayLike
    ) -> Optimum:
        """Return N*, D* and L* within the budget, one value per row of theta (..., P).

        Raises FitError where examples have a price and the law, at ``held``, is not one of N and D.
        """
        plain = law.plain(theta, **held)
        if not self.per_example:
            return law.optimum(theta, self.flops, cost, **held)
        if plain is None:
            raise FitError(
                f"the optimum of the law {law.name!r} has no formula where examples have a "
                "price: give the budget in FLOPs or GPU-hours, or fit 'chinchilla'"
            )
        free = laws.optimum(plain, self.flops, cost)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            params = np.exp(self._log_params(plain, cost, np.log(free.params)))
            examples = self.examples(params, cost)
            return Optimum(params, examples, laws.loss(plain, params, examples))

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

    def best_of(
        self, theta: Array, cost: CostModel, sizes: Array, law: Law = CHINCHILLA, **held: ArrayLike
    ) -> Optimum:
        """Return the best of some model sizes (m,), each on all the data the budget buys for it."""
        examples = self.examples(sizes, cost)
        losses = law.loss(np.asarray(theta)[..., None, :], sizes, examples, **held)
        best = losses.argmin(axis=-1)
        lowest = np.take_along_axis(losses, best[..., None], axis=-1)[..., 0]
        return Optimum(sizes[best], examples[best], lowest)


def flops_budget(amount: float) -> Budget:
    """Return a budget of so many FLOPs of one training run."""
    return Budget(amount=amount)


def gpu_hours_budget(hours: float, rate: float, source: str = "") -> Budget:
    """Return a budget of hours of one device at ``rate`` FLOPs per second, from ``source``."""
    per_hour, speed = _speed(rate, source)
    return Budget(amount=hours, unit="GPU-hours", per_flop=1 / per_hour, terms=speed)


def _speed(rate: float, source: str) -> tuple[float, str]:
    """Return FLOPs per hour, and the speed in words; raises FitError for a speed that is none."""
    if not (math.isfinite(rate) and rate > 0):
        raise FitError(f"rate is {rate} FLOP/s, needs a finite number above zero, e.g. 1e14")
    return 3600 * rate, f"{rate:.3g} FLOP/s sustained" + (f" ({source})" if source else "")


def money_budget(
    amount: float, rate: float, per_hour: float, per_example: float, source: str = ""
) -> Budget:
    """Return a budget of money with prices of a device hour and an example; raises FitError."""
    for name, price in (("GPU-hour", per_hour), ("example", per_example)):
        if not (math.isfinite(price) and price >= 0):
            raise FitError(f"price per {name} is {price}, needs a number of zero or more")
    if per_hour == 0:
        raise FitError("price per GPU-hour is 0, needs more: free compute has no optimum")
    flops, speed = _speed(rate, source)
    terms = f"{per_hour:g} per GPU-hour at {speed}, {per_example:g} per example"
    price = per_hour / flops
    return Budget(amount=amount, unit="money", per_flop=price, per_example=per_example, terms=terms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What there is to spend and at which speed and prices, as a person says it.

    Give one of ``flops`` (``--budget``), ``gpu_hours`` and ``money``. Hours and money need a speed:
    ``rate``, or ``device`` with ``mfu``, or else that of the runs of the table. Money needs
    ``price_gpu_hour``. Raises FitError where the values do not go together.

    >>> Terms(gpu_hours=100, device="H100", mfu=0.3).budget().terms
    '2.97e+14 FLOP/s sustained (H100 at 30% of its peak)'
    """

    flops: float | None = None
    gpu_hours: float | None = None
    money: float | None = None
    rate: float | None = None  # sustained FLOPs per second
    device: str | None = None  # a key of `PEAK_FLOPS`
    mfu: float | None = None  # model FLOPs utilisation of the device, between 0 and 1
    price_gpu_hour: float | None = None
    price_example: float = 0.0

    def __post_init__(self) -> None:
        amounts = [a for a in (self.flops, self.gpu_hours, self.money) if a is not None]
        by_device = self.device is not None
        if len(amounts) != 1:
            raise FitError("give one of --budget FLOPS, --gpu-hours HOURS and --money AMOUNT")
        Budget(amount=amounts[0], unit=self.unit)  # refuses an amount that is none
        if self.money is None and (self.price_gpu_hour is not None or self.price_example):
            raise FitError("prices need a budget in --money")
        if self.money is not None and self.price_gpu_hour is None:
            raise FitError("--money needs --price-gpu-hour")
        if self.flops is not None and {self.device, self.mfu, self.rate} != {None}:
            raise FitError("a budget in FLOPs needs no speed: drop --rate, --device, --mfu")
        if by_device != (self.mfu is not None) or (by_device and self.rate is not None):
            raise FitError("give the speed as --rate, or as --device NAME with --mfu SHARE")
        if self.device is not None:
            device_rate(self.device, self.mfu or 0.0)

    @property
    def unit(self) -> str:
        """The unit of the amount."""
        if self.flops is not None:
            return "FLOPs"
        return "money" if self.gpu_hours is None else "GPU-hours"

    def budget(self, runs: pd.DataFrame | None = None) -> Budget:
        """Return the budget; the speed is that of the ``runs`` unless one is given."""
        if self.flops is not None:
            return flops_budget(self.flops)
        if self.rate is not None:
            rate, source = self.rate, "given"
        elif self.device is not None:
            rate = device_rate(self.device, self.mfu or 0.0)
            source = f"{self.device} at {self.mfu:.0%} of its peak"
        else:
            rate, source = measured_rate(pd.DataFrame() if runs is None else runs)
        if self.gpu_hours is not None:
            return gpu_hours_budget(self.gpu_hours, rate, source)
        prices = self.price_gpu_hour or 0.0, self.price_example
        return money_budget(self.money or 0.0, rate, *prices, source)


def measured_rate(runs: pd.DataFrame) -> tuple[float, str]:
    """Return FLOPs per second the runs of a study were trained at, and that in words.

    All FLOPs over all seconds, evaluation included, so that the largest runs weigh most. Raises
    FitError where the table has no columns flops and seconds, or no run a duration.
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


def device_rate(device: str, mfu: float) -> float:
    """Return FLOPs per second of a device at a model FLOPs utilisation; raises FitError."""
    names = {name.lower(): name for name in PEAK_FLOPS}
    if device.lower() not in names:
        raise FitError(unknown("device", device, PEAK_FLOPS))
    if not 0 < mfu <= 1:
        raise FitError(f"mfu is {mfu}, needs a number above 0 and at most 1, e.g. 0.3")
    return PEAK_FLOPS[names[device.lower()]] * mfu
