"""What is simulated: one process per JetClass class and per pretraining part.

A process is a pair of particles a b -> X X' fired by the gun (see `jetscale.jets.generator.gun`),
what they decay to, and the transverse-momentum range of X. Standard Model particles are decayed by
Pythia with the settings of the process, the X of JetClass-II by the gun (see
`jetscale.jets.generator.decays`). QCD has no pair: Pythia's own processes make it. Multiparton
interactions are off; soft overlay events stand in for them (see `jetscale.jets.generator.pythia`).

The pT ranges and slopes were fitted so that the accepted jets fall like the common target of their
window: classes that lose neutrinos start harder and fall more slowly. Settings lines are those of
the Pythia 8.3 manual (arXiv 2203.11601).
"""

from dataclasses import dataclass

from jetscale.jets.generator.decays import Mode, modes_for
from jetscale.jets.schema import PARTS

BEAM_ENERGY = 6500.0  # GeV
COMMON = (
    "Print:quiet = on",
    f"Beams:eCM = {2 * BEAM_ENERGY}",
    "Next:numberCount = 0",
    "Check:epTolErr = 1e-2",
    "Main:timesAllowErrors = 1000000",
    "Random:setSeed = on",
)
HARD = (*COMMON, "PartonLevel:MPI = off")
SOFT = (*COMMON, "SoftQCD:nonDiffractive = on")

HIGGS, Z, W, TOP = 25, 23, 24, 6
NEUTRAL_X, CHARGED_X, NEUTRAL_Y, CHARGED_Y = range(9000101, 9000105)

MASS_WIDTH = {HIGGS: (125.0, 0.004), Z: (91.19, 2.495), W: (80.38, 2.085), TOP: (172.5, 1.34)}
"""Breit-Wigner mass and width in GeV."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PtRange:
    """Transverse momentum of X in GeV: low + an exponential of ``slope``, cut at high.

    Without a slope it is flat in the logarithm.
    """

    low: float
    high: float
    slope: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One source of jets.

    Attributes
    ----------
    name
        A JetClass class or a part of JetClass-II.
    family
        The class itself, or ``res2p``, ``res34p`` or ``qcd``.
    labels
        Labels that are kept; empty for a JetClass class.
    pair
        X X' that Pythia decays; None for JetClass-II and QCD.
    modes
        Decays of X that the gun makes; empty for JetClass and QCD.
    variants
        Pythia settings; a run alternates between one generator per entry.
    pt
        Range of the X transverse momentum, or of the partonic one for QCD.
    jets_per_event
        Measured yield of labelled jets after thinning to the common spectrum, for planning.
    """

    name: str
    family: str
    pt: PtRange
    jets_per_event: float
    labels: tuple[str, ...] = ()
    pair: tuple[int, int] | None = None
    modes: tuple[Mode, ...] = ()
    variants: tuple[tuple[str, ...], ...] = ((),)

    @property
    def gun(self) -> bool:
        """Whether the particle gun makes the hard events."""
        return self.pair is not None or bool(self.modes)


def _new_particle(code: int, name: str, anti: str, charge3: int) -> tuple[str, ...]:
    """A resonance for Pythia's tables; its mass is that of the event, and the gun decays it."""
    return (
        f"{code}:new = {name} {anti} 1 {charge3} 0 100. 1e-3 0. 0. 0.",
        f"{code}:isResonance = true",
        f"{code}:doForceWidth = on",
        f"{code}:oneChannel = 1 1. 101 " + ("21 21" if not charge3 else "2 -1"),
    )


_NEW_PARTICLES = (
    *_new_particle(NEUTRAL_X, "X0", "void", 0),
    *_new_particle(CHARGED_X, "X+", "X-", 3),
    *_new_particle(NEUTRAL_Y, "Y0", "void", 0),
    *_new_particle(CHARGED_Y, "Y+", "Y-", 3),
)

_QUARKS = "1 2 3 4 5"
_LEPTONS = "11 13"
_HADRONIC_W = ("24:onMode = off", f"24:onIfAny = {_QUARKS}")
_LEPTONIC_W = ("24:onMode = off", f"24:onIfAny = {_LEPTONS}")


def _higgs_to(channel: str) -> tuple[str, ...]:
    return ("25:onMode = off", f"25:onIfMatch = {channel}")


def _one_leptonic_w(quarks: str, leptons: str) -> tuple[str, ...]:
    """H -> W W with the W of the sign ``quarks`` (Pos or Neg) to quarks, the other to leptons."""
    return (
        *_higgs_to("24 -24"),
        "24:onMode = off",
        f"24:on{quarks}IfAny = {_QUARKS}",
        f"24:on{leptons}IfAny = {_LEPTONS}",
    )


_HIGGS_PT = PtRange(low=480.0, high=1080.0, slope=115.0)
_BOSON_PT = PtRange(low=480.0, high=1080.0, slope=130.0)


def _pair(
    name: str, code: int, anti: int, jets: float, *variants: tuple[str, ...], pt: PtRange
) -> Process:
    return Process(
        name=name,
        family=name,
        jets_per_event=jets,
        pair=(code, anti),
        variants=tuple((*HARD, "Beams:frameType = 5", *lines) for lines in variants),
        pt=pt,
    )


_DIJETS = ("HardQCD:all = on",)
_Z_AND_JET = (
    "WeakBosonAndParton:qg2gmZq = on",
    "WeakBosonAndParton:qqbar2gmZg = on",
    "WeakZ0:gmZmode = 2",
    "23:onMode = off",
    "23:onIfAny = 12 14 16",
)
Slice = tuple[float, float, float, tuple[str, ...]]


def _qcd(name: str, jets: float, *slices: Slice) -> Process:
    """Pythia's own processes; a slice is lowest and highest partonic pT, power, and settings.

    Events are drawn (pT / lowest)^power times as often as they occur, and their weights are not
    used: the steeply falling spectrum becomes flat enough to be thinned to the common target.
    """
    variants = tuple(
        (
            *HARD,
            *hard,
            f"PhaseSpace:pTHatMin = {low}",
            f"PhaseSpace:pTHatMax = {high}",
            "PhaseSpace:bias2Selection = on",
            f"PhaseSpace:bias2SelectionPow = {power}",
            f"PhaseSpace:bias2SelectionRef = {low}",
        )
        for low, high, power, hard in slices
    )
    pt = PtRange(low=slices[0][0], high=slices[-1][1])
    return Process(name=name, family=name, jets_per_event=jets, pt=pt, variants=variants)


def _resonance(family: str, jets: float, pt: PtRange) -> Process:
    return Process(
        name=family,
        family=family,
        jets_per_event=jets,
        modes=modes_for(family, PARTS[family].labels),
        variants=((*HARD, "Beams:frameType = 5", *_NEW_PARTICLES),),
        pt=pt,
    )


CLASSES = {
    process.name: process
    for process in (
        # The published jets recoil against a Z. Dijets alone have too many gluons, a Z and one
        # parton too few: turns between the two give about the published share of quarks.
        _qcd("QCD", 0.75, (470.0, 1250.0, 1.25, _DIJETS), (470.0, 1250.0, 1.25, _Z_AND_JET)),
        _pair("Hbb", HIGGS, HIGGS, 0.85, _higgs_to("5 -5"), pt=_HIGGS_PT),
        _pair("Hcc", HIGGS, HIGGS, 0.9, _higgs_to("4 -4"), pt=_HIGGS_PT),
        _pair("Hgg", HIGGS, HIGGS, 1.0, _higgs_to("21 21"), pt=_HIGGS_PT),
        _pair("H4q", HIGGS, HIGGS, 0.85, (*_higgs_to("24 -24"), *_HADRONIC_W), pt=_HIGGS_PT),
        # with one variant alone the sign of the lepton would tell the class
        _pair(
            "Hqql",
            HIGGS,
            HIGGS,
            0.56,
            _one_leptonic_w("Pos", "Neg"),
            _one_leptonic_w("Neg", "Pos"),
            pt=PtRange(low=500.0, high=1300.0, slope=125.0),
        ),
        _pair("Zqq", Z, Z, 1.1, ("23:onMode = off", f"23:onIfAny = {_QUARKS}"), pt=_BOSON_PT),
        _pair("Wqq", W, -W, 1.1, _HADRONIC_W, pt=_BOSON_PT),
        _pair("Tbqq", TOP, -TOP, 0.7, _HADRONIC_W, pt=PtRange(low=490.0, high=1080.0, slope=115.0)),
        _pair("Tbl", TOP, -TOP, 0.5, _LEPTONIC_W, pt=PtRange(low=530.0, high=1300.0, slope=140.0)),
    )
}
FAMILIES = {
    "jetclass": {
        "qcd": _qcd("qcd", 0.95, (470.0, 1250.0, 1.25, _DIJETS)),
        "res2p": _resonance("res2p", 0.68, PtRange(low=480.0, high=1200.0, slope=115.0)),
        "res34p": _resonance("res34p", 0.7, PtRange(low=490.0, high=1200.0, slope=120.0)),
    },
    "jetclass2": {
        # the partonic spectrum steepens towards high pT: one slice per factor of 2.5
        "qcd": _qcd(
            "qcd",
            0.95,
            (190.0, 470.0, 4.5, _DIJETS),
            (470.0, 1160.0, 5.0, _DIJETS),
            (1160.0, 2900.0, 8.0, _DIJETS),
        ),
        "res2p": _resonance("res2p", 0.92, PtRange(low=190.0, high=2900.0)),
        "res34p": _resonance("res34p", 1.15, PtRange(low=190.0, high=2900.0)),
    },
}
"""Processes of whole parts, by window."""
