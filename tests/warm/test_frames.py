"""The file of one scope: what has been committed comes back, and nothing else ever does."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from aioinformers.warm import frames
from aioinformers.warm.frames import Commit, Header, Item, UnfitError, WarmFile, scan

HEADER = Header({"resource": "configmaps"}, {"uid": "1"})
State = dict[str, tuple[str, str, bytes | None]]


def read(path: Path) -> tuple[str, State]:
    """Return the version and the objects that a file holds."""
    with open(path, "rb") as file:
        found = scan(file)
        items = [item for number in range(len(found.frames)) for item in found.read(file, number)]
    assert len({item[0] for item in items}) == len(items) == found.commit.objects
    return found.commit.version, {item[0]: item[1:] for item in items}


def item(key: str, version: int, body: bytes | None = b"{}") -> Item:
    return key, f"uid of {key}", str(version), body


class Writer:
    """Writes transactions, and remembers every state that there has been."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = WarmFile(path, HEADER)
        self.state: State = {}
        self.states: list[tuple[str, State]] = []
        self.version = 0

    def write(self, items: Iterable[Item]) -> None:
        given = list(items)
        for key, uid, version, body in given:
            if body is None:
                self.state.pop(key, None)
            else:
                self.state[key] = uid, version, body
        self.version += 1
        self.file.write(given, Commit(str(self.version), 0.0, len(self.state)))
        self.states.append((str(self.version), dict(self.state)))

    def go_on(self) -> None:
        """Close the file and open it again, as the next process does."""
        self.file.close()
        with open(self.path, "rb") as file:
            found = scan(file)
        self.file = WarmFile(self.path, found.header, found)


def history(path: Path, seed: int, *, steps: int = 12, size: int = 40) -> Writer:
    """Write a random history."""
    rng, writer = random.Random(seed), Writer(path)
    for step in range(steps):
        keys = rng.sample(range(30), rng.randrange(1, 8))
        writer.write(
            item(f"c{key}", step, None if rng.random() < 0.3 else rng.randbytes(rng.randrange(size))) for key in keys
        )
        if rng.random() < 0.3:
            writer.go_on()
    return writer


@pytest.fixture(params=["packed", "plain"])
def _zstd(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "plain":
        monkeypatch.setattr(frames, "_packer", lambda: None)


@pytest.mark.usefixtures("_zstd")
@pytest.mark.parametrize("seed", range(5))
def test_what_is_written_comes_back(tmp_path: Path, seed: int) -> None:
    writer = history(tmp_path / "a.warm", seed)
    assert read(writer.path) == writer.states[-1]


@pytest.mark.usefixtures("_zstd")
def test_large_states_take_several_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "FRAME_BYTES", 100)
    monkeypatch.setattr(frames, "FRAME_OBJECTS", 7)
    writer = history(tmp_path / "a.warm", 1, size=90)
    assert read(writer.path) == writer.states[-1]


def test_nothing_is_there_before_the_first_commit(tmp_path: Path) -> None:
    path = tmp_path / "a.warm"
    file = WarmFile(path, HEADER)
    assert not path.exists()
    file.close()
    assert list(tmp_path.iterdir()) == []


def test_what_is_past_is_dropped_once_it_is_more_than_what_is_present(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "FEW", 10)
    writer = Writer(tmp_path / "a.warm")
    sizes = []
    for step in range(100):
        writer.write([item(f"c{step % 5}", step, os.urandom(1000))])
        sizes.append(writer.path.stat().st_size)
        assert read(writer.path) == writer.states[-1]
    assert max(sizes) < 40_000
    writer.go_on()
    writer.write([item("c1", 1000)])
    assert read(writer.path) == writer.states[-1]


def test_a_file_that_cannot_be_compacted_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Writer(tmp_path / "a.warm")
    writer.write([item("c1", 1), item("c2", 1)])
    monkeypatch.setattr(frames, "FEW", -100)
    (tmp_path / "a.warm.new").mkdir()
    writer.write([item("c1", 2)])
    assert read(writer.path) == ("2", {"c1": item("c1", 2)[1:], "c2": item("c2", 1)[1:]})


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Writer(tmp_path / "a.warm")
    writer.write([item("c1", 1)])
    size, write = writer.path.stat().st_size, os.write
    room = 50

    def write_little(file: int, data: memoryview) -> int:
        nonlocal room
        if not room:
            raise OSError(28, "No space left on device")
        count = write(file, data[: min(room, 7)])
        room -= count
        return count

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write_little)
        with pytest.raises(OSError, match="No space"):
            writer.write([item("c2", 2, os.urandom(100))])
    assert writer.path.stat().st_size == size
    writer.version, writer.state = 1, {"c1": item("c1", 1)[1:]}
    writer.write([item("c3", 3)])
    assert read(writer.path) == writer.states[-1]


def fits(path: Path, states: list[tuple[str, State]]) -> str:
    """Tell whether a damaged file holds nothing, or a state that there has been."""
    try:
        found = read(path)
    except UnfitError:
        return "cold"
    assert found in states
    return "warm"


@pytest.mark.parametrize("seed", range(2))
def test_a_file_that_ends_anywhere_holds_a_state_that_there_has_been(tmp_path: Path, seed: int) -> None:
    """As after ``kill -9``, at each byte: what was committed before is whole."""
    writer = history(tmp_path / "a.warm", seed)
    data, cut = writer.path.read_bytes(), tmp_path / "cut.warm"
    found = []
    for end in range(len(data)):
        cut.write_bytes(data[:end])
        found.append(fits(cut, writer.states))
    assert found == sorted(found)
    assert "warm" in found


def test_a_file_that_ends_anywhere_can_be_gone_on_with(tmp_path: Path) -> None:
    writer = history(tmp_path / "a.warm", 3)
    data = writer.path.read_bytes()
    for end in random.Random(1).sample(range(len(data) // 2, len(data)), 50):
        cut = tmp_path / "cut.warm"
        cut.write_bytes(data[:end])
        again = Writer(tmp_path / "unused.warm")
        again.path = cut
        again.version, state = (lambda found: (int(found[0]), found[1]))(read(cut))
        again.state = state
        again.go_on()
        again.write([item("new", 1), item("c1", 2, None), item("c2", 3)])
        assert read(cut) == again.states[-1]
        again.file.close()


@pytest.mark.usefixtures("_zstd")
def test_a_bit_that_has_flipped_is_found(tmp_path: Path) -> None:
    """At 1,000 places: nothing that was not there is ever read."""
    writer = history(tmp_path / "a.warm", 5, steps=20)
    data, path, rng = writer.path.read_bytes(), tmp_path / "flipped.warm", random.Random(7)
    colds = 0
    for _ in range(1000):
        at = rng.randrange(len(data))
        path.write_bytes(data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :])
        colds += fits(path, writer.states) == "cold"
    assert colds > 800  # the others have lost the length of a frame, so that it seems to be cut


@pytest.mark.slow
def test_blocks_that_are_lost_moved_or_overwritten_are_found(tmp_path: Path) -> None:
    """As after a loss of power: blocks of the disk have not been written, or hold something else."""
    writer, rng = history(tmp_path / "a.warm", 5, steps=40), random.Random(8)
    other = history(tmp_path / "b.warm", 6, steps=40).path.read_bytes()
    data, path = writer.path.read_bytes(), tmp_path / "broken.warm"
    for _ in range(1000):
        at, size = rng.randrange(len(data)), rng.choice([1, 9, 64, 512])
        block = rng.choice([
            bytes(size), rng.randbytes(size), b"", data[at + size : at + 2 * size], other[at : at + size],
            data[at : at + size] * 2,
        ])  # fmt: skip
        path.write_bytes(data[:at] + block + data[at + size :])
        fits(path, writer.states)


def test_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.warm"
    for content in (b"", b"SQLite format 3\0" + bytes(100), frames.MAGIC, frames.MAGIC + bytes(100)):
        path.write_bytes(content)
        with pytest.raises(UnfitError):
            read(path)


def test_a_packed_file_without_zstd_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Writer(tmp_path / "a.warm")
    writer.write([item("c1", 1)])

    def missing() -> None:
        raise ImportError

    monkeypatch.setattr(frames, "find_zstd", missing)
    with pytest.raises(UnfitError, match=r"pip install 'aioinformers\[warm\]'"):
        read(writer.path)


def test_one_object_is_found(tmp_path: Path) -> None:
    writer = history(tmp_path / "a.warm", 1)
    key = next(iter(writer.state))
    with open(writer.path, "rb") as file:
        found = scan(file)
        assert found.find(file, key) == (key, *writer.state[key])
        assert found.find(file, "nobody") is None


def test_the_file_is_the_owners_alone(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "a.warm")
    writer.write([item("c1", 1)])
    assert writer.path.stat().st_mode & 0o777 == 0o600
