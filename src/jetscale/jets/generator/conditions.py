"""Which jets are simulated: the window of pT, pseudorapidity and mass, and the pile-up.

``jetclass`` is the window of JetClass (arXiv 2202.03772), falling as the published jets do;
``jetclass2`` is the wide one of JetClass-II (arXiv 2405.12972) in the bins in which its classes are
reweighted. In a window all classes and parts have one pT spectrum.
"""

from dataclasses import dataclass
from typing import SupportsFloat

from jetscale.errors import DataError, unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Range of jet kinematics."""

    name: str
    edges: tuple[float, ...]  # bins of jet pT in GeV
    scale: float | None  # jets per GeV fall as exp(-pT / scale); None: equally many in each bin
    max_eta: float  # of jets
    masses: tuple[float, float]  # smallest and largest mass of X in GeV

    @property
    def pt_range(self) -> tuple[float, float]:
        """Lowest and highest jet pT in GeV."""
        return self.edges[0], self.edges[-1]

    @property
    def particle_eta(self) -> float:
        """Pseudorapidity up to which particles can reach a jet."""
        return self.max_eta + 1.0


_NARROW = tuple(500.0 + 50.0 * i for i in range(11))
_WIDE = (200, 240, 287, 344, 412, 493, 590, 707, 847, 1014, 1215, 1455, 1743, 2087, 2500)
JETCLASS_WINDOW = Window(
    name="jetclass", edges=_NARROW, scale=130.0, max_eta=2.0, masses=(20.0, 500.0)
)
JETCLASS2_WINDOW = Window(
    name="jetclass2", edges=tuple(map(float, _WIDE)), scale=None, max_eta=2.5, masses=(15.0, 500.0)
)
WINDOWS = {window.name: window for window in (JETCLASS_WINDOW, JETCLASS2_WINDOW)}
MAX_PILEUP = 200.0


@dataclass(frozen=True, slots=True)
class Conditions:
    """How jets are simulated; DataError for an unknown window or a pile-up beyond 0 to 200.

    >>> Conditions(window="jetclass2", pileup=50).range.pt_range
    (200.0, 2500.0)
    """

    window: str = "jetclass"  # name of one of `WINDOWS`
    pileup: float = 0.0  # mean number of additional soft collisions per event

    def __post_init__(self) -> None:
        if self.window not in WINDOWS:
            raise DataError(unknown("window", self.window, WINDOWS))
        if not isinstance(self.pileup, SupportsFloat) or isinstance(self.pileup, str | bool):
            raise DataError(f"pile-up is {self.pileup!r}, needs a number")
        object.__setattr__(self, "pileup", float(self.pileup))  # equal values, equal digests
        if not 0 <= self.pileup <= MAX_PILEUP:
            raise DataError(f"pile-up is {self.pileup}, needs 0 to {MAX_PILEUP:.0f}")

    @property
    def range(self) -> Window:
        """The window of that name."""
        return WINDOWS[self.window]


DEFAULT = Conditions()
