"""Seeds of the simulation: no event of a study is made twice.

Each role owns a range of Pythia's seeds, each source (class, part, or the overlay) one within it. A
digest of the user's seed chooses where in it the chunks of a job begin. Ranges never overlap; jobs
of one source with other user seeds can, two of 50 chunks with a chance of 1 in 20,000. Selections
of labels share one range per role: two jobs of 1000 chunks overlap with a chance of 1 in 14,000.
"""

import hashlib

from jetscale.jets.generator.processes import CLASSES
from jetscale.jets.schema import PARTS, ROLES, part_named

MAX_SEED = 900_000_000  # Pythia's limit; 0 would mean the clock
CHUNK_SEEDS = 4  # of one chunk: at least as many as a process has variants
OVERLAY = "overlay"
SOURCES = (*CLASSES, *PARTS, OVERLAY)
SPAN = MAX_SEED // (2 * len(ROLES) * len(SOURCES)) // CHUNK_SEEDS * CHUNK_SEEDS
SELECTIONS_SPAN = len(SOURCES) * SPAN  # the second half of a role's seeds


def chunk_seed(seed: int, role: str, source: str, number: int) -> int:
    """Pythia's first seed of chunk ``number``, 1 to 900000000; it owns the next three too.

    >>> [chunk_seed(1, "train", "Hbb", number) for number in (0, 1)]
    [239869337, 239869341]
    """
    first = 2 * ROLES.index(role) * SELECTIONS_SPAN
    if source in SOURCES:
        name, span = source, SPAN
        first += SOURCES.index(source) * SPAN
    else:
        name, span = " ".join(part_named(source).labels), SELECTIONS_SPAN
        first += SELECTIONS_SPAN
    digest = hashlib.sha256(f"jetscale simulation {seed} {role} {name}".encode()).digest()
    place = (int.from_bytes(digest[:8], "big") + number) % (span // CHUNK_SEEDS)
    return 1 + first + CHUNK_SEEDS * place
