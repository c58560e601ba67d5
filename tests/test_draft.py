"""Files under construction: what is seen before, after and instead of their publication."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import threading

import numpy as np
import pytest

from oocarray.errors import DtypeError, NotRegularFileError
from oocarray.pages import calls
from oocarray.storage import create, room
from oocarray.storage import draft as drafts
from oocarray.storage.create import create_npy, create_raw, draft_npy, draft_raw
from oocarray.storage.draft import Draft
from oocarray.storage.files import open_npy, open_raw
from oocarray.storage.layout import FileKey

MIB = 1 << 20

# Which calls a publication makes: with a nameless file or not, over an old file or not.
CALLS = {
    ("unnamed", False): {"fsync", "link"},
    ("unnamed", True): {"fsync", "link", "second link", "replace"},
    ("named", False): {"fsync", "fchmod", "link"},
    ("named", True): {"fsync", "fchmod", "link", "replace"},
}


@pytest.fixture(autouse=True)
def _descriptors_are_closed(opened_since):
    opened = opened_since()
    yield
    assert opened() == []


@pytest.fixture(params=["unnamed", "named"])
def kind(request, monkeypatch):
    """With and without a file system that has files without a name."""
    if request.param == "named":
        plain = os.open

        def without_tmpfile(path, flags, *args, **kw):
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(errno.EOPNOTSUPP, "no nameless files here")
            return plain(path, flags, *args, **kw)

        monkeypatch.setattr(drafts.os, "open", without_tmpfile)
    return request.param


@pytest.fixture
def small(tmp_path):
    """A file system of 1 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "oocarray-test", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a file system is not permitted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def failing(number, after=0):
    """A call that works `after` times and then fails for ever."""

    def wrap(plain):
        left = after

        def call(*args, **kw):
            nonlocal left
            if left == 0:
                raise OSError(number, os.strerror(number))
            left -= 1
            return plain(*args, **kw)

        return call

    return wrap


# From creation to publication


def test_a_draft_is_seen_only_when_published(tmp_path, kind):
    path = tmp_path / "x.bin"
    with Draft.create(path, 10_000) as draft:
        assert not path.exists()
        names = os.listdir(tmp_path)
        if kind == "unnamed":
            assert names == []
        else:
            (name,) = names
            assert name.startswith(".x.bin.")
            assert name.endswith(".part")
            assert stat.S_IMODE(os.stat(tmp_path / name).st_mode) == 0o600
        assert os.fstat(draft.fd).st_size == draft.nbytes == 10_000
        assert os.fstat(draft.fd).st_blocks * 512 >= 10_000
        os.pwrite(draft.fd, b"last", 9_996)
        key = draft.publish()
        assert os.listdir(tmp_path) == ["x.bin"]
        os.pwrite(draft.fd, b"more", 0)
    assert draft.fd == -1
    assert key.path == draft.path == str(path)
    assert key.same_file(FileKey.of(path))
    assert path.read_bytes() == b"more" + bytes(9_992) + b"last"


def test_a_discarded_draft_leaves_nothing(tmp_path, kind):
    with Draft.create(tmp_path / "x.bin", 100) as draft:
        pass
    draft.discard()
    assert os.listdir(tmp_path) == []
    with pytest.raises(ValueError, match=r"the draft of .*x\.bin is closed"):
        draft.publish()
    with pytest.raises(KeyError), Draft.create(tmp_path / "x.bin", 100):
        raise KeyError
    assert os.listdir(tmp_path) == []


def test_an_empty_file(tmp_path, kind):
    with Draft.create(tmp_path / "x.bin", 0) as draft:
        draft.publish()
    assert (tmp_path / "x.bin").read_bytes() == b""


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o000])
def test_the_mode_comes_from_the_umask(tmp_path, kind, mask):
    before = os.umask(mask)
    try:
        with Draft.create(tmp_path / "x.bin", 10) as draft:
            draft.publish()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x.bin").stat().st_mode) == 0o666 & ~mask


@pytest.mark.parametrize("name", ["n" * 255, "ä" * 127, "-x", " "])
def test_any_name_that_the_file_system_takes(tmp_path, kind, name):
    for overwrite in (False, True):
        with Draft.create(tmp_path / name, 10, overwrite=overwrite) as draft:
            draft.publish()
    assert os.listdir(tmp_path) == [name]


def test_a_relative_path_is_of_the_time_of_creation(tmp_path, kind, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Draft.create("x.bin", 10) as draft:
        os.mkdir("below")
        monkeypatch.chdir("below")
        assert draft.publish().path == str(tmp_path / "x.bin")
    assert (tmp_path / "x.bin").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="O_TMPFILE is Linux's")
def test_a_killed_process_leaves_nothing(tmp_path):
    code = f"""
import os, signal
from oocarray.storage.draft import Draft
draft = Draft.create({str(tmp_path / "x.bin")!r}, 1 << 20)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert os.listdir(tmp_path) == []


# Targets that are there


def test_an_existing_target_is_kept(tmp_path, kind):
    path = tmp_path / "x.bin"
    path.write_bytes(b"old")
    with pytest.raises(FileExistsError, match=r"overwrite=True.*x\.bin") as caught:
        Draft.create(path, 10)
    assert caught.value.errno == errno.EEXIST
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x.bin"]


@pytest.mark.parametrize("durability", ["none", "process", "machine"])
def test_overwriting_replaces_the_file_at_once(tmp_path, kind, durability):
    path = tmp_path / "x.bin"
    path.write_bytes(b"old")
    with path.open("rb") as reader, Draft.create(path, 5, overwrite=True) as draft:
        assert path.read_bytes() == b"old"
        key = draft.publish(durability)
        assert path.read_bytes() == bytes(5)
        assert reader.read() == b"old"
    assert key == FileKey.of(path)
    assert os.listdir(tmp_path) == ["x.bin"]


@pytest.mark.parametrize("links", [True, False])
def test_a_target_that_appears_meanwhile_is_kept(tmp_path, kind, links, monkeypatch):
    path = tmp_path / "x.bin"
    if not links and kind == "named":
        monkeypatch.setattr(drafts.os, "link", failing(errno.EPERM)(os.link))
    with Draft.create(path, 10) as draft:
        path.write_bytes(b"theirs")
        with pytest.raises(FileExistsError, match="overwrite=True"):
            draft.publish()
        assert draft.fd == -1
    assert path.read_bytes() == b"theirs"
    assert os.listdir(tmp_path) == ["x.bin"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_system_without_links(tmp_path, overwrite, monkeypatch):
    plain = os.open
    monkeypatch.setattr(
        drafts.os,
        "open",
        lambda path, flags, *args, **kw: (
            plain(path, flags, *args, **kw)
            if flags & os.O_TMPFILE != os.O_TMPFILE
            else failing(errno.EISDIR)(plain)()
        ),
    )
    monkeypatch.setattr(drafts.os, "link", failing(errno.EPERM)(os.link))
    path = tmp_path / "x.bin"
    if overwrite:
        path.write_bytes(b"old")
    with Draft.create(path, 4, overwrite=overwrite) as draft:
        draft.publish("machine")
    assert path.read_bytes() == bytes(4)
    assert os.listdir(tmp_path) == ["x.bin"]


def test_a_copy_that_cannot_be_begun_gives_its_own_error(tmp_path, monkeypatch):
    monkeypatch.setattr(drafts.os, "link", failing(errno.EPERM)(os.link))
    draft = Draft.create(tmp_path / "x.bin", 10)
    tmp_path.chmod(0o777)
    with pytest.raises(PermissionError, match="any user may replace files"):
        draft.publish()
    assert draft.fd == -1


def test_a_close_that_fails_leaves_nothing_else_open(tmp_path, monkeypatch):
    draft = Draft.create(tmp_path / "x.bin", 10)
    real = os.close

    def close(fd):
        failed = fd == mine
        real(fd)
        if failed:
            raise OSError(errno.EIO, "lost")

    mine = draft.fd
    with monkeypatch.context() as patch:
        patch.setattr(drafts.os, "close", close)
        with pytest.raises(OSError, match="lost"):
            draft.discard()
    draft.discard()  # nothing is closed a second time


def test_links_and_folders_are_never_overwritten(tmp_path, kind):
    (tmp_path / "data.bin").write_bytes(b"data")
    (tmp_path / "link.bin").symlink_to("data.bin")
    (tmp_path / "dangling.bin").symlink_to("nowhere.bin")
    (tmp_path / "folder").mkdir()
    before = sorted(os.listdir(tmp_path))
    for name in ("link.bin", "dangling.bin", "folder"):
        with pytest.raises(FileExistsError):
            Draft.create(tmp_path / name, 10)
        with pytest.raises(NotRegularFileError, match=r"symbolic link|no regular file"):
            Draft.create(tmp_path / name, 10, overwrite=True)
    with Draft.create(tmp_path / "late.bin", 10, overwrite=True) as draft:
        (tmp_path / "late.bin").symlink_to("data.bin")
        with pytest.raises(NotRegularFileError, match="symbolic link"):
            draft.publish()
    assert sorted(os.listdir(tmp_path)) == sorted([*before, "late.bin"])
    assert (tmp_path / "data.bin").read_bytes() == b"data"


def test_only_one_of_many_publishers_wins(tmp_path, kind):
    path = tmp_path / "x.bin"
    made = [Draft.create(path, 8) for _ in range(8)]
    for number, draft in enumerate(made):
        os.pwrite(draft.fd, bytes([number]) * 8, 0)
    won: list[int] = []
    lost: list[int] = []
    gate = threading.Barrier(len(made))

    def publish(number):
        gate.wait()
        with made[number] as draft:
            try:
                draft.publish()
            except FileExistsError:
                lost.append(number)
            else:
                won.append(number)

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(len(made))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert len(lost) == 7
    assert path.read_bytes() == bytes(won * 8)
    assert os.listdir(tmp_path) == ["x.bin"]


# Disks that are full or broken


def free(folder):
    room = os.statvfs(folder)
    return room.f_bfree * room.f_frsize


@pytest.mark.parametrize("foreseen", [True, False])
@pytest.mark.parametrize("fallocate", [True, False])
def test_a_full_disk_is_an_oserror_at_creation(small, kind, foreseen, fallocate, monkeypatch):
    (small / "other").write_bytes(bytes(MIB // 4))
    before, left = os.listdir(small), free(small)
    assert left == MIB * 3 // 4
    if not fallocate:
        monkeypatch.setattr(calls, "fallocate", failing(errno.EOPNOTSUPP)(calls.fallocate))
    if not foreseen:  # somebody else is quicker
        plain = room.free_room
        answers = iter([1 << 40])
        monkeypatch.setattr(room, "free_room", lambda *args: next(answers, None) or plain(*args))
    with pytest.raises(
        OSError, match=r"needs 800 KiB \(819200\), free on its file system"
    ) as caught:
        create_raw(small / "x.bin", 819_200, "u1")
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(small / "x.bin")
    if foreseen:
        assert "free on its file system: 768 KiB (786432); make room" in str(caught.value)
    assert os.listdir(small) == before
    assert free(small) == left
    create_raw(small / "x.bin", 786_432, "u1")
    assert free(small) == 0


@pytest.mark.parametrize(
    ("number", "why"), [(errno.EFBIG, r"ulimit -f"), (errno.EDQUOT, "quota is used up")]
)
def test_other_limits_say_which(tmp_path, kind, number, why, monkeypatch):
    monkeypatch.setattr(calls, "fallocate", failing(number)(calls.fallocate))
    with pytest.raises(OSError, match=rf"needs 1 MiB \(1048576\), .*{why}") as caught:
        Draft.create(tmp_path / "x.bin", MIB)
    assert caught.value.errno == number
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("nbytes", [1, MIB, 3 * MIB + 5])
def test_without_fallocate_every_byte_is_written(tmp_path, nbytes, monkeypatch):
    monkeypatch.setattr(calls, "fallocate", failing(errno.EOPNOTSUPP)(calls.fallocate))
    with Draft.create(tmp_path / "x.bin", nbytes) as draft:
        assert os.fstat(draft.fd).st_size == nbytes
        assert os.fstat(draft.fd).st_blocks * 512 >= nbytes
        draft.publish()
    assert (tmp_path / "x.bin").read_bytes() == bytes(nbytes)


def test_other_errors_pass_as_they_are(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(calls, "fallocate", failing(errno.EIO)(calls.fallocate))
    with pytest.raises(OSError, match="Input/output error"):
        Draft.create(tmp_path / "x.bin", MIB)
    assert os.listdir(tmp_path) == []
    with pytest.raises(FileNotFoundError):
        Draft.create(tmp_path / "nowhere" / "x.bin", MIB)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        Draft.create(tmp_path / "file" / "x.bin", MIB)


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("call", ["fsync", "fchmod", "link", "second link", "replace"])
def test_a_publication_that_fails_leaves_what_was(tmp_path, kind, old, call, monkeypatch):
    path = tmp_path / "x.bin"
    if old:
        path.write_bytes(b"old")
    draft = Draft.create(path, 10, overwrite=old)
    name = call.removeprefix("second ")
    monkeypatch.setattr(drafts.os, name, failing(errno.EIO, call != name)(getattr(os, name)))
    if call in CALLS[kind, old]:
        with pytest.raises(OSError, match="Input/output error"):
            draft.publish("machine")
        assert draft.fd == -1
        assert os.listdir(tmp_path) == (["x.bin"] if old else [])
        assert not old or path.read_bytes() == b"old"
    else:
        with draft:
            draft.publish("machine")
        assert os.listdir(tmp_path) == ["x.bin"]
        assert path.read_bytes() == bytes(10)


@pytest.mark.parametrize("old", [True, False])
def test_a_folder_that_cannot_be_synced(tmp_path, kind, old, monkeypatch):
    path = tmp_path / "x.bin"
    if old:
        path.write_bytes(b"old")
    monkeypatch.setattr(drafts.os, "fsync", failing(errno.EIO, after=1)(os.fsync))
    draft = Draft.create(path, 10, overwrite=old)
    with pytest.raises(OSError, match="Input/output error"):
        draft.publish("process")
    # What was replaced cannot come back; what was not there must not be there now.
    assert os.listdir(tmp_path) == (["x.bin"] if old else [])


def test_durability_decides_what_is_synced(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(
        drafts.os, "fsync", lambda fd: synced.append(stat.S_IFMT(os.fstat(fd).st_mode))
    )
    for durability, want in {
        "none": [],
        "process": [stat.S_IFREG, stat.S_IFDIR],
        "machine": [stat.S_IFREG, stat.S_IFDIR],
    }.items():
        synced.clear()
        with Draft.create(tmp_path / durability, 10) as draft:
            draft.publish(durability)
        assert synced == want
    with Draft.create(tmp_path / "x", 10) as draft:
        with pytest.raises(ValueError, match="durability is one of"):
            draft.publish("always")
        draft.publish("none")


# Files of one array


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("fill", [0, 7])
@pytest.mark.parametrize("shape", [(), 5, (3, 4), (2, 0)])
def test_created_npy_is_numpys(tmp_path, order, fill, shape):
    path = tmp_path / "x.npy"
    layout = create_npy(path, shape, ">i4", order, fill)
    want = np.full(shape, fill, ">i4", order)
    loaded = np.load(path)
    np.testing.assert_array_equal(loaded, want, strict=True)
    assert loaded.flags.f_contiguous == want.flags.f_contiguous
    assert layout == open_npy(path, "r+")
    assert layout.offset == 4096
    assert path.stat().st_size == 4096 + want.nbytes
    assert os.listdir(tmp_path) == ["x.npy"]


@pytest.mark.parametrize("order", "CF")
def test_created_raw_is_only_elements(tmp_path, order):
    path = tmp_path / "x.bin"
    layout = create_raw(path, (3, 4), "f4", order, 1.5)
    assert path.read_bytes() == np.full(12, 1.5, "f4").tobytes()
    assert layout == open_raw(path, (3, 4), "f4", order=order)


@pytest.mark.parametrize(
    ("dtype", "fill"),
    [
        ("f8", -0.0),
        ("f8", np.nan),
        ("M8[s]", np.datetime64("NaT")),
        ("S3", b"ab"),
        ("c8", 1j),
        ([("a", "u1"), ("b", "<f8")], (3, 2.5)),
        ("?", True),
    ],
)
def test_fill_values_are_written_as_they_are(tmp_path, dtype, fill, monkeypatch):
    monkeypatch.setattr(create, "_PIECE", 64)
    layout = create_raw(tmp_path / "x.bin", 1000, dtype, fill_value=fill)
    want = np.zeros(1000, dtype)
    want[:] = fill
    assert (tmp_path / "x.bin").read_bytes() == want.tobytes()
    assert layout.nbytes == want.nbytes


def test_large_fill_goes_in_pieces(tmp_path):
    create_npy(tmp_path / "x.npy", (3 * MIB,), "f8", fill_value=0.1)
    loaded = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert (loaded == 0.1).all()
    assert loaded.shape == (3 * MIB,)


@pytest.mark.parametrize("make", [create_npy, create_raw])
@pytest.mark.parametrize(
    ("kw", "error"),
    [
        ({"dtype": object}, DtypeError),
        ({"shape": (-1,)}, ValueError),
        ({"order": "A"}, ValueError),
        ({"durability": "always"}, ValueError),
        ({"fill_value": [1, 2]}, ValueError),
        ({"fill_value": "x"}, ValueError),
        ({"dtype": "u1", "fill_value": 300}, OverflowError),
    ],
)
def test_mistakes_make_no_file(tmp_path, make, kw, error):
    with pytest.raises(error):
        make(tmp_path / "x.npy", **{"shape": (3,), "dtype": "f8", **kw})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("make", [create_npy, create_raw])
def test_create_overwrites_only_when_told(tmp_path, make):
    path = tmp_path / "x.npy"
    first = make(path, 3, "f8", fill_value=1)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        make(path, 4, "f8")
    first.file.check(path.stat())
    second = make(path, 4, "f8", overwrite=True)
    second.file.check(path.stat())
    assert not second.file.same_file(first.file) or second.file != first.file
    assert os.listdir(tmp_path) == ["x.npy"]


@pytest.mark.parametrize("make", [create_npy, create_raw])
def test_a_fill_that_fails_leaves_nothing(tmp_path, make, kind, monkeypatch):
    monkeypatch.setattr(create.os, "pwrite", failing(errno.EIO, after=2)(os.pwrite))
    monkeypatch.setattr(create, "_PIECE", 64)
    with pytest.raises(OSError, match="Input/output error"):
        make(tmp_path / "x.npy", 1000, "f8", fill_value=1)
    assert os.listdir(tmp_path) == []


def test_short_writes_are_continued(tmp_path, monkeypatch):
    plain = os.pwrite
    monkeypatch.setattr(create.os, "pwrite", lambda fd, data, at: plain(fd, data[:7], at))
    create_npy(tmp_path / "x.npy", 100, "f8", fill_value=2.5)
    assert np.load(tmp_path / "x.npy").tolist() == [2.5] * 100


def test_drafts_of_arrays_can_be_worked_on_before_they_are_shown(tmp_path):
    draft, layout = draft_npy(tmp_path / "x.npy", (2, 3), "f8")
    with draft:
        os.pwrite(draft.fd, np.arange(6.0).tobytes(), layout.offset)
        layout.file.check(os.fstat(draft.fd), written=True)
        assert layout.file.path == str(tmp_path / "x.npy")
        draft.publish()
    assert np.load(tmp_path / "x.npy").tolist() == [[0, 1, 2], [3, 4, 5]]
    draft, layout = draft_raw(tmp_path / "x.bin", (2, 3), "f8", "F")
    with draft:
        assert (layout.offset, layout.strides, draft.nbytes) == (0, (8, 16), 48)
    assert os.listdir(tmp_path) == ["x.npy"]


def test_where_no_file_can_be_made_the_target_is_named():
    # /proc takes no file, not even from the superuser.
    with pytest.raises(OSError, match=r"'/proc/x\.npy'"):
        Draft.create("/proc/x.npy", 8)
