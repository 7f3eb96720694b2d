"""What a jet is: columns, units, class tables and standardisation constants.

Columns and units are those of JetClass (arXiv 2202.03772) and JetClass-II (arXiv 2405.12972): GeV,
mm and radians. ``part_deta`` is mirrored for jets with negative pseudorapidity, so that every jet
points forward: sign(jet_eta) (eta - jet_eta).
"""

import fnmatch
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jetscale.errors import DataError, StudyError, unknown
from jetscale.jets.example import Feature, Schema, check_names

ROLES = ("pretrain", "train", "validation", "test")

_MEASURED = ("px", "py", "pz", "energy", "deta", "dphi", "d0val", "d0err", "dzval", "dzerr")
PART_FLOATS = tuple(f"part_{name}" for name in _MEASURED)
_TYPES = ("ChargedHadron", "NeutralHadron", "Photon", "Electron", "Muon")
PART_FLAGS = tuple(f"part_is{kind}" for kind in _TYPES)
PART_COLUMNS = (*PART_FLOATS, "part_charge", *PART_FLAGS)
JET_FLOATS = tuple(
    "jet_pt jet_eta jet_phi jet_energy jet_sdmass jet_tau1 jet_tau2 jet_tau3 jet_tau4".split()
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
    **{"jetclass": JETCLASS, "jetclass2": JETCLASS2, "top": TOP, "quarkgluon": QUARKGLUON},
    **{"jetnet": JETNET, "unlabelled": UNLABELLED},
}
"""Built-in corpus to its class names in label order; any other has them in its manifest."""

_FEATURES = (
    Feature(name="part_pt_log", inputs=("part_px", "part_py"), mean=1.7, scale=1 / 0.7),
    Feature(name="part_e_log", inputs=("part_energy",), mean=2.0, scale=1 / 0.7),
    Feature(
        name="part_logptrel", inputs=("part_px", "part_py", "jet_pt"), mean=-4.7, scale=1 / 0.7
    ),
    Feature(name="part_logerel", inputs=("part_energy", "jet_energy"), mean=-4.7, scale=1 / 0.7),
    Feature(name="part_deltaR", inputs=("part_deta", "part_dphi"), mean=0.2, scale=1 / 4.0),
    *(Feature(name=name, mean=None) for name in ("part_charge", *PART_FLAGS)),
    Feature(name="part_d0", inputs=("part_d0val",), mean=None),
    Feature(name="part_d0err", low=0.0, high=1.0),
    Feature(name="part_dz", inputs=("part_dzval",), mean=None),
    Feature(name="part_dzerr", low=0.0, high=1.0),
    *(Feature(name=name, mean=None) for name in ("part_deta", "part_dphi")),
)
FEATURES = {feature.name: feature for feature in _FEATURES}
"""The published model inputs of jets by name, in the published order."""

_NAMES = tuple(FEATURES)
FEATURE_SETS = {
    **{"kin": _NAMES[:5] + _NAMES[15:], "kinpid": _NAMES[:11] + _NAMES[15:], "full": _NAMES}
}
JETS = Schema(
    noun="jet",
    lists={
        **{**dict.fromkeys(PART_FLOATS, "float"), "part_charge": "int"},
        **dict.fromkeys(PART_FLAGS, "flag"),
    },
    scalars={
        **dict.fromkeys(JET_FLOATS, "float"),
        **dict.fromkeys(JET_INTS, "int"),
        EVENT: "int64",
    },
    required=JET_INTS,
    label="jet_label",
    count="jet_nparticles",
    features=_FEATURES,
    feature_sets=FEATURE_SETS,
    typical_length=42.0,  # multiplicity of JetClass-like jets
    length_spread=0.38,
)
"""What a jet is; a shard holds those of the columns that its source has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A named selection of a corpus by label."""

    name: str
    corpus: str
    labels: tuple[str, ...]  # class names of this part, in corpus order
    classes: tuple[str, ...] = JETCLASS2  # all of the corpus

    @property
    def origin(self) -> str:
        """Whose labels they are: ``jetclass2``, or the folder or corpus of a user's own."""
        return "jetclass2" if is_jetclass2(self.name) else split_own(self.name)[0]

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


def classes_of(corpus: str, given: Sequence[str] | None = None) -> tuple[str, ...]:
    """Class names of a corpus in label order: those of a built-in one, or those given.

    Raises DataError for a corpus that is neither built in nor given classes, for a built-in one
    given other classes than its own, and for an unusable name.
    """
    check_names("corpus", (corpus,))
    if given is None and corpus not in CORPORA:
        needs = "a corpus of your own needs classes=(...)"
        raise DataError(f"{unknown('corpus', corpus, CORPORA)}; {needs}")
    classes = CORPORA[corpus] if given is None else check_names("class", given)
    if classes != CORPORA.get(corpus, classes):
        its = f"has classes of its own, {', '.join(CORPORA[corpus][:3])}..."
        raise DataError(f"corpus {corpus!r} {its}; give yours another name")
    return classes


def spell(part: str) -> tuple[str, tuple[str, ...]]:
    """Corpus and patterns of a part as it is written: ``corpus:pattern,pattern`` or one of them.

    >>> spell("mysim: tau*,b"), spell("X_cc,X_bb"), spell("mysim")
    (('mysim', ('b', 'tau*')), ('', ('X_bb', 'X_cc')), ('', ('mysim',)))
    """
    corpus, _, labels = part.rpartition(":")
    return corpus.strip(), tuple(sorted({pattern.strip() for pattern in labels.split(",")}))


def match(part: str, patterns: Iterable[str], classes: Sequence[str]) -> tuple[str, ...]:
    """The classes that shell patterns choose, in corpus order.

    ``*`` is any text, ``?`` a letter, ``[bc]`` one of these; StudyError if a pattern has no match.
    """
    found = {pattern: fnmatch.filter(classes, pattern) for pattern in patterns}
    for pattern, labels in found.items():
        if not labels:
            raise StudyError(f"part {part!r}: {unknown('part or label', pattern, classes)}")
    chosen = set().union(*found.values())
    return tuple(label for label in classes if label in chosen)


def part_named(name: str) -> Part:
    """A part of JetClass-II: one of `PARTS`, or labels and patterns with commas; else StudyError.

    >>> part_named("X_bb,QCD_bc*").labels
    ('X_bb', 'QCD_bccss', 'QCD_bccs', 'QCD_bcc', 'QCD_bcss', 'QCD_bcs', 'QCD_bc')
    """
    corpus, patterns = spell(name)
    if not corpus and len(patterns) == 1 and patterns[0] in PARTS:
        return PARTS[patterns[0]]
    for pattern in patterns:
        if pattern in PARTS:
            own = f"{pattern!r} is a part of its own"
            raise StudyError(f"part {name!r}: {own}; give it a weight of its own")
        if corpus or not fnmatch.filter(JETCLASS2, pattern):
            known = (*PARTS, *JETCLASS2)
            raise StudyError(unknown("part or label", name if corpus else pattern, known))
    labels = match(name, patterns, JETCLASS2)
    return Part(name=",".join(patterns), corpus="jetclass2", labels=labels)


def is_jetclass2(part: str) -> bool:
    """True for what `part_named` knows; other parts are folders or corpora of a user's own.

    >>> is_jetclass2("X_YY_*tau*"), is_jetclass2("mysim"), is_jetclass2("mysim:tau*")
    (True, False, False)
    """
    corpus, patterns = spell(part)
    return not corpus and all(p in PARTS or fnmatch.filter(JETCLASS2, p) for p in patterns)


def split_own(part: str) -> tuple[str, tuple[str, ...]]:
    """Corpus or folder, and patterns, of a part of a user's own.

    >>> split_own("mysim"), split_own("mysim:tau*")
    (('mysim', ('*',)), ('mysim', ('tau*',)))
    """
    corpus, patterns = spell(part)
    return (corpus, patterns) if corpus else (",".join(patterns), ("*",))
