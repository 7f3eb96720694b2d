"""What every storage must do; another one joins by a line in STORAGES."""

import pickle
import re
import threading
from uuid import uuid4

import fsspec
import pytest
from fixtures.locks import ask_at_once
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jetscale.errors import MissingExtra, StorageError
from jetscale.store.remote import RemoteStorage
from jetscale.store.storage import LocalStorage, Storage

STORAGES = {
    "local": lambda folder, bucket: LocalStorage(folder),
    "memory": lambda folder, bucket: RemoteStorage(f"memory://{uuid4().hex}/runs"),
    "s3": lambda folder, bucket: RemoteStorage(f"s3://{bucket()}/runs"),
}


@pytest.fixture(params=STORAGES)
def storage(request, tmp_path) -> Storage:
    def bucket():
        return request.getfixturevalue("make_bucket")()

    return STORAGES[request.param](tmp_path, bucket)


@pytest.mark.slow
def test_a_file_comes_back_and_goes(storage):
    assert storage.read("records/a.json") is None
    storage.write("records/a.json", b"one")
    storage.write("records/a.json", b"two")
    assert storage.read("records/a.json") == b"two"
    storage.delete("records/a.json")
    storage.delete("records/a.json")
    assert storage.read("records/a.json") is None
    assert storage.names("records") == []


@pytest.mark.slow
def test_names_are_those_of_one_folder_in_order(storage):
    for name in ("records/b.json", "records/a.json", "failures/c.json", "records/d/e.json"):
        storage.write(name, b"x")
    assert [n for n in storage.names("records") if n != "records/d"] == [
        "records/a.json",
        "records/b.json",
    ]
    assert storage.names("running") == []


def test_the_mark_of_a_folder_is_no_file(make_bucket):
    storage = RemoteStorage(f"s3://{make_bucket()}/runs")
    storage.write("records/", b"")
    storage.write("records/a.json", b"x")
    assert storage.names("records") == ["records/a.json"]


@pytest.mark.parametrize("kind", ["memory", "s3"])
def test_arrow_writes_where_the_storage_reads(kind, request, tmp_path):
    storage = STORAGES[kind](tmp_path, lambda: request.getfixturevalue("make_bucket")())
    files, folder = pickle.loads(pickle.dumps(storage.arrow("ray")))
    with files.open_output_stream(f"{folder}/state.json") as stream:
        stream.write(b"{}")
    assert storage.read("ray/state.json") == b"{}"


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200))
def test_any_bytes_are_kept(storage, content):
    storage.write("records/a", content)
    assert storage.read("records/a") == content


@pytest.mark.parametrize("name", ["é.json", "质量 50%.json", "a b+c#d?.json"])
def test_names_of_any_letters_are_kept(storage, name):
    storage.write(f"records/{name}", b"x")
    assert storage.names("records") == [f"records/{name}"]
    assert storage.read(f"records/{name}") == b"x"


def test_what_another_one_wrote_is_seen_at_once(storage, tmp_path):
    """Two processes have a storage each: nothing may be remembered from before."""
    if isinstance(storage, LocalStorage):
        other = LocalStorage(storage.folder)
    else:
        other = RemoteStorage(storage.address)
    assert other.names("records") == []
    storage.write("records/a", b"one")
    assert (other.names("records"), other.read("records/a")) == (["records/a"], b"one")
    other.write("records/a", b"two")
    other.write("records/b", b"two")
    assert (storage.names("records"), storage.read("records/a")) == (
        ["records/a", "records/b"],
        b"two",
    )


def test_a_file_of_the_disk_goes_and_comes(storage, tmp_path):
    mine, copy = tmp_path / "mine.bin", tmp_path / "deep" / "copy.bin"
    content = bytes(range(256)) * 4096
    mine.write_bytes(content)
    assert not storage.fetch("trunks/k.pt", copy)
    assert not copy.exists()
    storage.put("trunks/k.pt", mine)
    assert storage.read("trunks/k.pt") == content
    copy.parent.mkdir(exist_ok=True)
    copy.write_bytes(b"older")
    assert storage.fetch("trunks/k.pt", copy)
    assert copy.read_bytes() == content
    assert [path.name for path in copy.parent.iterdir()] == ["copy.bin"]


@pytest.mark.slow
def test_nobody_sees_half_a_file(storage):
    """One writes two contents in turn, others read: each reads one of them, never a mixture."""
    contents = [bytes([i]) * 200_000 for i in (1, 2)]
    storage.write("records/a", contents[0])
    seen, ended = set(), threading.Event()

    def look():
        while not ended.is_set():
            seen.add(storage.read("records/a"))

    readers = [threading.Thread(target=look) for _ in range(2)]
    for reader in readers:
        reader.start()
    for turn in range(30):
        storage.write("records/a", contents[turn % 2])
    ended.set()
    for reader in readers:
        reader.join()
    assert seen <= set(contents)
    assert storage.read("records/a") == contents[1]


def test_of_many_one_gets_the_lock(storage):
    """All ask at the same time; who gets it keeps it until all the others were refused."""
    refused = ask_at_once(lambda: storage.lock("run.lock", wait=False))
    if isinstance(storage, RemoteStorage):
        assert all("process" in owner for owner in refused)
    with storage.lock("run.lock", wait=False):  # it was given back
        again = True
    assert again


@pytest.mark.slow
def test_who_waits_gets_the_lock_next(storage):
    order = []

    def wait():
        with storage.lock("mirror.lock"):
            order.append("second")

    with storage.lock("mirror.lock"):
        thread = threading.Thread(target=wait)
        thread.start()
        order.append("first")
    thread.join(60)
    assert order == ["first", "second"]


def test_a_lock_goes_with_an_error_of_its_block(storage):
    with pytest.raises(ZeroDivisionError), storage.lock("run.lock"):
        1 / 0  # noqa: B018
    with storage.lock("run.lock", wait=False):
        assert True


def test_half_written_files_are_not_listed(tmp_path):
    (tmp_path / "records" / ".a.json.x1").mkdir(parents=True)
    assert LocalStorage(tmp_path).names("records") == []


def test_refusals_of_the_system_are_one_line(tmp_path, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    storage = LocalStorage(tmp_path)
    monkeypatch.setattr("jetscale.store.storage.os.listdir", refuse)
    monkeypatch.setattr("jetscale.store.storage.Path.unlink", refuse)
    with pytest.raises(StorageError, match=r"cannot read .*records: Permission denied"):
        storage.names("records")
    with pytest.raises(StorageError, match="no permission to write there"):
        storage.delete("records/a.json")


def test_what_cannot_be_read_is_one_line(tmp_path):
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "a.json").mkdir()
    with pytest.raises(StorageError, match=r"cannot read .*a.json: Is a directory"):
        LocalStorage(tmp_path).read("records/a.json")


def locked(storage):
    with storage.lock("run.lock", wait=False):
        pytest.fail("there is nothing to be locked")


DO = {
    "read": lambda storage, path: storage.read("records/a.json"),
    "write": lambda storage, path: storage.write("records/a.json", b"x"),
    "delete": lambda storage, path: storage.delete("records/a.json"),
    "names": lambda storage, path: storage.names("records"),
    "put": lambda storage, path: storage.put("records/a.json", path),
    "fetch": lambda storage, path: storage.fetch("records/a.json", path.with_name("copy")),
    "lock": lambda storage, path: locked(storage),
}


@pytest.fixture
def given_file(tmp_path):
    (tmp_path / "given").write_bytes(b"x")
    return tmp_path / "given"


@pytest.mark.parametrize("what", DO)
def test_a_missing_bucket_is_one_line(s3_environment, given_file, what):
    storage = RemoteStorage(f"s3://bucket-{uuid4().hex}/runs")
    with pytest.raises(StorageError, match="there is no such bucket; make it, or correct") as told:
        DO[what](storage, given_file)
    assert re.fullmatch(r"cannot (read|write) s3://bucket-\S+/runs/\S+: .*", str(told.value))


@pytest.mark.parametrize("what", DO)
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError("Access Denied"), "no permission; check the credentials"),
        (OSError("An error (Forbidden)"), "no permission; check the credentials"),
        (type("NoCredentialsError", (Exception,), {})("x"), "no credentials on this machine"),
        (type("EndpointConnectionError", (Exception,), {})("x"), "the store does not answer"),
        (TimeoutError("too late"), "the store does not answer"),
        (OSError(5, "one\ntwo"), "OSError: [Errno 5] one two"),
    ],
)
def test_what_a_store_refuses_is_one_line(given_file, monkeypatch, what, error, words):
    storage = RemoteStorage(f"memory://{uuid4().hex}/runs")

    def refuse(*_args, **_kwargs):
        raise error

    for name in ("cat_file", "pipe_file", "rm_file", "ls", "put_file", "exists", "get_file"):
        monkeypatch.setattr(type(storage._files), name, refuse)
    with pytest.raises(StorageError) as told:
        DO[what](storage, given_file)
    assert words in str(told.value)
    assert "\n" not in str(told.value)
    assert storage.address in str(told.value)


@pytest.mark.slow
def test_a_server_that_is_away_is_one_line(s3_environment, monkeypatch):
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(StorageError, match="the store does not answer; check the network"):
        RemoteStorage("s3://bucket/runs").read("records/a.json")
    fsspec.get_filesystem_class("s3").clear_instance_cache()


def test_an_address_of_no_known_kind_is_one_line(monkeypatch):
    with pytest.raises(StorageError, match=r"results address s4://x/y: Protocol not known: s4"):
        RemoteStorage("s4://x/y")

    def absent(*_args, **_kwargs):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.url_to_fs", absent)
    with pytest.raises(MissingExtra, match=r"'s3fs' is not installed: .*jetscale\[cloud-storage\]"):
        RemoteStorage("s3://x/y")
