"""Where MLflow is: a tracking server, or a file in the results folder."""

import os
import re
import uuid
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from jetscale.digests import digest
from jetscale.errors import SweepError
from jetscale.store.home import Home
from jetscale.store.local import locked, make_folder, read_json, write_json

_SQLITE = "sqlite:///"
_SECRET = "password|passwd|pwd|token|secret|key"  # within the name of a parameter of an address


def tracking_uri(home: Home) -> str:
    """MLFLOW_TRACKING_URI if it is set and not empty, else a sqlite file in the results folder.

    Of results at an address that is their working copy on this machine: no bucket holds a database,
    and a mirror can be made again from the records.

    The path is quoted: MLflow takes the file of an address such as ``sqlite:///a%20b/x.db`` to be
    ``a b/x.db``.
    """
    given = os.environ.get("MLFLOW_TRACKING_URI", "").strip()
    return given or _SQLITE + quote(str(home.database.resolve()))


def database_of(uri: str) -> Path | None:
    """The file of a sqlite address; None for any other address, SweepError for one in memory.

    >>> database_of("sqlite:////data/my%20runs/mlflow.db")
    PosixPath('/data/my runs/mlflow.db')
    """
    if re.fullmatch("sqlite:/*((file:)?:memory:.*)?", uri):
        raise SweepError(f"MLflow at {uri}: a database in memory keeps nothing; name a file")
    return Path(unquote(uri.removeprefix(_SQLITE))) if uri.startswith(_SQLITE) else None


def has_results(uri: str) -> bool:
    """False for a sqlite file that does not exist; opening it would make one."""
    database = database_of(uri)
    return database is None or database.exists()


def hide_password(text: str) -> str:
    """The text with the secrets of the addresses in it replaced by stars.

    Those are passwords, also ones that nobody quoted, a token in the place of the user of a web
    address, and parameters with such a name.

    >>> hide_password("no answer from http://me:secret@host:5000/x")
    'no answer from http://me:***@host:5000/x'
    """
    # behind the colon may be a port instead: digits up to the path
    text = re.sub(r"(\w+://[^\s:/@]*):(?!\d+(?:[/?#\s'\")]|$))[^\s]*@", r"\1:***@", text)
    text = re.sub(r"(https?://)[^\s:/@]+@", r"\1***@", text)
    return re.sub(rf"([?&;]\w*(?:{_SECRET})\w*=)[^&;\s]+", r"\1***", text, flags=re.IGNORECASE)


def is_server(uri: str) -> bool:
    """True where MLflow answers over HTTP and has a UI of its own."""
    return urlsplit(uri).scheme in ("http", "https")


def identify_home(home: Home, uri: str, *, draw: bool = True) -> str:
    """What a tracking server knows a results folder by; empty where none is there nor drawn.

    The database of a folder knows one folder only, and an address is one for all machines. For a
    folder on a server the name is drawn once and kept in
    the folder with a digest of its number on its disk, which it keeps when it is moved there. A
    copy has another number, under whatever path, and draws a name of its own: no two folders ever
    take each other's runs for theirs.
    """
    if database_of(uri) == home.database.resolve():
        return "own"
    if home.address:
        return digest(home.address)
    if not (draw or home.path.exists()):
        return ""
    disk = make_folder(home.path).stat()
    place = digest([disk.st_dev, disk.st_ino])
    kept = _kept_name(home, place)
    if kept or not draw:
        return kept or ""
    with locked(home.identity.with_suffix(".lock")):  # two studies may begin at once
        if kept := _kept_name(home, place):
            return kept
        drawn = uuid.uuid4().hex
        write_json(home.identity, {"id": drawn, "place": place})
        return drawn


def _kept_name(home: Home, place: str) -> str | None:
    """The name in the folder, if it was drawn at this place; a name becomes part of queries."""
    kept = read_json(home.identity) or {}
    name = str(kept.get("id"))
    return name if kept.get("place") == place and re.fullmatch("[0-9a-f]{32}", name) else None
