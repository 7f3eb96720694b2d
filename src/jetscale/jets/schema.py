"""What a jet is: columns, units, class tables and standardisation constants.

Columns and units are those of the public sets JetClass (arXiv 2202.03772) and JetClass-II
(arXiv 2405.12972). Momenta and energies are in GeV, impact parameters in mm, angles in radians.
``part_deta`` is mirrored for jets with negative pseudorapidity, so that every jet points forward:
sign(jet_eta) (eta - jet_eta).
"""

import fnmatch
import hashlib
from collections.abc import Collection
from dataclasses import dataclass

from jetscale.errors import DataError, StudyError, unknown

ROLES = ("pretrain", "train", "validation", "test")

PART_FLOATS = (
    "part_px",
    "part_py",
    "part_pz",
    "part_energy",
    "part_deta",
    "part_dphi",
    "part_d0val",
    "part_d0err",
    "part_dzval",
    "part_dzerr",
)
PART_INTS = ("part_charge",)
PART_FLAGS = (
    "part_isChargedHadron",
    "part_isNeutralHadron",
    "part_isPhoton",
    "part_isElectron",
    "part_isMuon",
)
PART_COLUMNS = PART_FLOATS + PART_INTS + PART_FLAGS
JET_FLOATS = (
    "jet_pt",
    "jet_eta",
    "jet_phi",
    "jet_energy",
    "jet_sdmass",
    "jet_tau1",
    "jet_tau2",
    "jet_tau3",
    "jet_tau4",
)
JET_INTS = ("jet_nparticles", "jet_label")
JET_COLUMNS = JET_FLOATS + JET_INTS
EVENT = "event_id"  # int64; equal for jets of one simulated event, absent in public files

JETCLASS = ("QCD", "Hbb", "Hcc", "Hgg", "H4q", "Hqql", "Zqq", "Wqq", "Tbqq", "Tbl")

JETCLASS2 = tuple(
    """
X_bb X_cc X_ss X_qq X_bc X_cs X_bq X_cq X_sq X_gg X_ee X_mm X_tauhtaue X_tauhtaum X_tauhtauh
X_YY_bbbb X_YY_bbcc X_YY_bbss X_YY_bbqq X_YY_bbgg X_YY_bbee X_YY_bbmm X_YY_bbtauhtaue
X_YY_bbtauhtaum X_YY_bbtauhtauh X_YY_bbb X_YY_bbc X_YY_bbs X_YY_bbq X_YY_bbg X_YY_bbe X_YY_bbm
X_YY_cccc X_YY_ccss X_YY_ccqq X_YY_ccgg X_YY_ccee X_YY_ccmm X_YY_cctauhtaue X_YY_cctauhtaum
X_YY_cctauhtauh X_YY_ccb X_YY_ccc X_YY_ccs X_YY_ccq X_YY_ccg X_YY_cce X_YY_ccm X_YY_ssss
X_YY_ssqq X_YY_ssgg X_YY_ssee X_YY_ssmm X_YY_sstauhtaue X_YY_sstauhtaum X_YY_sstauhtauh X_YY_ssb
X_YY_ssc X_YY_sss X_YY_ssq X_YY_ssg X_YY_sse X_YY_ssm X_YY_qqqq X_YY_qqgg X_YY_qqee X_YY_qqmm
X_YY_qqtauhtaue X_YY_qqtauhtaum X_YY_qqtauhtauh X_YY_qqb X_YY_qqc X_YY_qqs X_YY_qqq X_YY_qqg
X_YY_qqe X_YY_qqm X_YY_gggg X_YY_ggee X_YY_ggmm X_YY_ggtauhtaue X_YY_ggtauhtaum X_YY_ggtauhtauh
X_YY_ggb X_YY_ggc X_YY_ggs X_YY_ggq X_YY_ggg X_YY_gge X_YY_ggm X_YY_bee X_YY_cee X_YY_see
X_YY_qee X_YY_gee X_YY_bmm X_YY_cmm X_YY_smm X_YY_qmm X_YY_gmm X_YY_btauhtaue X_YY_ctauhtaue
X_YY_stauhtaue X_YY_qtauhtaue X_YY_gtauhtaue X_YY_btauhtaum X_YY_ctauhtaum X_YY_stauhtaum
X_YY_qtauhtaum X_YY_gtauhtaum X_YY_btauhtauh X_YY_ctauhtauh X_YY_stauhtauh X_YY_qtauhtauh
X_YY_gtauhtauh X_YY_qqqb X_YY_qqqc X_YY_qqqs X_YY_bbcq X_YY_ccbs X_YY_ccbq X_YY_ccsq X_YY_sscq
X_YY_qqbc X_YY_qqbs X_YY_qqcs X_YY_bcsq X_YY_bcs X_YY_bcq X_YY_bsq X_YY_csq X_YY_bcev X_YY_csev
X_YY_bqev X_YY_cqev X_YY_sqev X_YY_qqev X_YY_bcmv X_YY_csmv X_YY_bqmv X_YY_cqmv X_YY_sqmv
X_YY_qqmv X_YY_bctauev X_YY_cstauev X_YY_bqtauev X_YY_cqtauev X_YY_sqtauev X_YY_qqtauev
X_YY_bctaumv X_YY_cstaumv X_YY_bqtaumv X_YY_cqtaumv X_YY_sqtaumv X_YY_qqtaumv X_YY_bctauhv
X_YY_cstauhv X_YY_bqtauhv X_YY_cqtauhv X_YY_sqtauhv X_YY_qqtauhv QCD_bbccss QCD_bbccs QCD_bbcc
QCD_bbcss QCD_bbcs QCD_bbc QCD_bbss QCD_bbs QCD_bb QCD_bccss QCD_bccs QCD_bcc QCD_bcss QCD_bcs
QCD_bc QCD_bss QCD_bs QCD_b QCD_ccss QCD_ccs QCD_cc QCD_css QCD_cs QCD_c QCD_ss QCD_s QCD_light
    """.split()
)

TOP = ("QCD", "top")
QUARKGLUON = ("gluon", "quark")
JETNET = ("g", "q", "t", "w", "z")
UNLABELLED = ("unlabelled",)

CORPORA = {
    "jetclass": JETCLASS,
    "jetclass2": JETCLASS2,
    "top": TOP,
    "quarkgluon": QUARKGLUON,
    "jetnet": JETNET,
    "unlabelled": UNLABELLED,
}
"""Corpus to its class names in label order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A named selection of a corpus by label."""

    name: str
    corpus: str
    labels: tuple[str, ...]
    """Class names of this part, in corpus order."""

    @property
    def slug(self) -> str:
        """A short name that is safe in paths; names of label selections end in a digest."""
        if self.name.isalnum():
            return self.name
        digest = hashlib.sha256(" ".join(self.labels).encode()).hexdigest()[:8]
        return f"{self.labels[0]}-{len(self.labels)}-{digest}"


PARTS = {
    name: Part(name=name, corpus="jetclass2", labels=JETCLASS2[first:last])
    for name, first, last in (("res2p", 0, 15), ("res34p", 15, 161), ("qcd", 161, 188))
}
"""The parts that the files of JetClass-II come in."""


def classes_of(corpus: str) -> tuple[str, ...]:
    """Class names of a corpus in label order; raises DataError for an unknown corpus."""
    if corpus not in CORPORA:
        raise DataError(unknown("corpus", corpus, CORPORA))
    return CORPORA[corpus]


def part_named(name: str) -> Part:
    """A part of JetClass-II: one of `PARTS`, or labels joined by commas.

    Labels may be shell patterns: ``*`` is any text, ``?`` a letter, ``[bc]`` one of these.

    Raises
    ------
    StudyError
        Neither a part nor labels.

    Examples
    --------
    >>> part_named("X_bb,QCD_bc*").labels
    ('X_bb', 'QCD_bccss', 'QCD_bccs', 'QCD_bcc', 'QCD_bcss', 'QCD_bcs', 'QCD_bc')
    """
    if name.strip() in PARTS:
        return PARTS[name.strip()]
    patterns = sorted({pattern.strip() for pattern in name.split(",")})
    chosen: set[str] = set()
    for pattern in patterns:
        found = fnmatch.filter(JETCLASS2, pattern)
        if pattern in PARTS:
            raise StudyError(
                f"part {name!r}: {pattern!r} is a part of its own; give it a weight of its own"
            )
        if not found:
            known = (*PARTS, *JETCLASS2)
            raise StudyError(unknown("part or label", pattern, known))
        chosen.update(found)
    labels = tuple(label for label in JETCLASS2 if label in chosen)
    return Part(name=",".join(patterns), corpus="jetclass2", labels=labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One model input: value = clip((x - shift) * factor, low, high), or x as it is.

    ``shift`` None means no transform and no clip, as in the published configurations
    (particle_transformer, ``JetClass_full.yaml``).
    """

    name: str
    inputs: tuple[str, ...] = ()
    """Columns of the schema it is made from; none given means the column of its own name."""
    shift: float | None = None
    factor: float = 1.0
    low: float = -5.0
    high: float = 5.0


FEATURES = {
    feature.name: feature
    for feature in (
        Feature(name="part_pt_log", inputs=("part_px", "part_py"), shift=1.7, factor=0.7),
        Feature(name="part_e_log", inputs=("part_energy",), shift=2.0, factor=0.7),
        Feature(
            name="part_logptrel",
            inputs=("part_px", "part_py", "jet_pt"),
            shift=-4.7,
            factor=0.7,
        ),
        Feature(name="part_logerel", inputs=("part_energy", "jet_energy"), shift=-4.7, factor=0.7),
        Feature(name="part_deltaR", inputs=("part_deta", "part_dphi"), shift=0.2, factor=4.0),
        Feature(name="part_charge"),
        Feature(name="part_isChargedHadron"),
        Feature(name="part_isNeutralHadron"),
        Feature(name="part_isPhoton"),
        Feature(name="part_isElectron"),
        Feature(name="part_isMuon"),
        Feature(name="part_d0", inputs=("part_d0val",)),
        Feature(name="part_d0err", shift=0.0, factor=1.0, low=0.0, high=1.0),
        Feature(name="part_dz", inputs=("part_dzval",)),
        Feature(name="part_dzerr", shift=0.0, factor=1.0, low=0.0, high=1.0),
        Feature(name="part_deta"),
        Feature(name="part_dphi"),
    )
}

_NAMES = tuple(FEATURES)
FEATURE_SETS = {
    "kin": _NAMES[:5] + _NAMES[15:],
    "kinpid": _NAMES[:11] + _NAMES[15:],
    "full": _NAMES,
}


def features_of(feature_set: str) -> tuple[Feature, ...]:
    """The features of a set in published order; raises StudyError for an unknown set."""
    if feature_set not in FEATURE_SETS:
        raise StudyError(unknown("feature set", feature_set, FEATURE_SETS))
    return tuple(FEATURES[name] for name in FEATURE_SETS[feature_set])


def inputs_of(feature_set: str) -> tuple[str, ...]:
    """Columns that a feature set is made from, without the label; StudyError as `features_of`."""
    features = features_of(feature_set)
    return tuple(dict.fromkeys(c for f in features for c in f.inputs or (f.name,)))


def check_columns(present: Collection[str], feature_set: str, where: str) -> None:
    """Raise DataError if a feature set needs columns that are absent; says which set would work.

    Parameters
    ----------
    present
        Names of the columns there are.
    feature_set
        ``kin``, ``kinpid`` or ``full``.
    where
        The folder or file, for the message.
    """
    absent = [name for name in inputs_of(feature_set) if name not in present]
    if not absent:
        return
    works = [name for name in FEATURE_SETS if set(inputs_of(name)) <= set(present)]
    fix = f"use the features {works[-1]!r}" if works else "no feature set works with these jets"
    raise DataError(
        f"{where} lacks columns {', '.join(absent)}, which features {feature_set!r} need; {fix}"
    )
