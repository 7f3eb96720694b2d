"""Which jets of a file or of arrays are kept: usable ones that pass the cuts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from jetscale.errors import DataError
from jetscale.jets.ingest.clean import clean
from jetscale.jets.ingest.cuts import Cut
from jetscale.jets.ingest.formats.base import BadFile

MAX_BAD = 0.01
"""A file with a larger share of unusable jets is not what its format says."""


@dataclass(kw_only=True)
class Sieve:
    """Keeps usable jets that pass the cuts and counts the others by reason."""

    where: str
    """The file, for messages."""
    n_classes: int
    cuts: Sequence[Cut] = ()
    on_bad_jet: str = "drop"
    """``drop``, or ``fail`` at the first."""
    max_bad: float = MAX_BAD
    """Largest share of unusable jets; a single one is never too many."""
    rows: int = 0
    """Jets seen."""
    bad: Counter[str] = field(default_factory=Counter)
    cut: Counter[str] = field(default_factory=Counter)

    @property
    def dropped(self) -> dict[str, int]:
        """Reason or cut to jets left out."""
        return dict(self.bad + self.cut)

    def keep(self, raw: pa.Table) -> pa.Table:
        """The jets of a batch that stay.

        Raises:
            BadFile: The columns are not those of the schema.
            DataError: A jet is unusable, and the policy is to fail.
        """
        try:
            cleaned = clean(raw, self.n_classes)
        except DataError as error:
            raise BadFile(f"{self.where}: {error}") from error
        if cleaned.faults and self.on_bad_jet == "fail":
            reason, rows = min(cleaned.faults.items(), key=lambda fault: int(fault[1][0]))
            raise DataError(
                f"{self.where}: row {self.rows + rows[0]}: {reason}; `--on-bad-jet drop` leaves "
                "such jets out"
            )
        self.rows += raw.num_rows
        self.bad.update({reason: len(rows) for reason, rows in cleaned.faults.items()})
        table = cleaned.table
        for cut in self.cuts:
            keep = cut.passes(table)
            if not keep.all():
                self.cut[cut.text] += int((~keep).sum())
                table = table.filter(pa.array(keep))
        return table

    def check(self) -> None:
        """Raise BadFile if so many jets were unusable that the file is not what it should be."""
        total = self.bad.total()
        if total > 1 and total > self.max_bad * self.rows:
            reasons = ", ".join(
                f"{count} by {reason!r}" for reason, count in self.bad.most_common()
            )
            raise BadFile(
                f"{self.where}: {total} of {self.rows} jets are unusable, more than "
                f"{100 * self.max_bad:g}%: {reasons}; check the format and its columns, or keep "
                "the rest with --max-bad 1"
            )
