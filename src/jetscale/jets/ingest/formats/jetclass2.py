"""JetClass-II as published: Parquet files, or the ROOT files they were made from.

Of the 54 columns (arXiv 2405.12972, data card of jet-universe/jetclass2) only constituent and jet
columns are decoded; generator columns, six tenths of a file, are skipped. Which of the two kinds a
file is shows in its first bytes.
"""

from jetscale.jets.ingest.formats.arrays import table_of
from jetscale.jets.ingest.formats.base import LIST
from jetscale.jets.ingest.formats.files import Format
from jetscale.jets.schema import JET_COLUMNS, JET_FLOATS, PART_FLAGS, PART_FLOATS

FORMAT = Format(
    what="JetClass-II",
    corpus="jetclass2",
    kinds=("Parquet", "ROOT"),
    wanted={
        **dict.fromkeys(PART_FLOATS, ("f", (LIST,))),
        "part_charge": ("iu", (LIST,)),
        **dict.fromkeys(PART_FLAGS, ("b", (LIST,))),
        **dict.fromkeys(JET_FLOATS, ("f", ())),
        **dict.fromkeys(("jet_nparticles", "jet_label"), ("iu", ())),
    },
    table=lambda path, columns: table_of(columns),
    jet_columns=JET_COLUMNS,
)
