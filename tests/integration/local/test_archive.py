"""Archives: whole or refused, with a key and without."""

import random
import tarfile
from pathlib import Path
from typing import cast

import pytest

from infrastructure.local.archive import FRAME_BYTES, ArchiveRefused, parts_of, written_archive

KEY = "a key of a test, thirty-two bytes or more"
PARTS = {
    "tables/accounts/000001": b"rows",
    "files/a/b": random.Random(5).randbytes(2 * FRAME_BYTES + 17),
    "manifest.json": b"{}",
}


def write(path: Path, key: str, parts: dict[str, bytes] = PARTS) -> bytes:
    with written_archive(path, key) as archive:
        for name, content in parts.items():
            archive.add(name, content)
    return path.read_bytes()


def read(path: Path, key: str) -> dict[str, bytes]:
    return {name: content.read() for name, content in parts_of(path, key)}


@pytest.mark.parametrize("key", ["", KEY])
def test_what_was_written_is_read(tmp_path: Path, key: str) -> None:
    write(tmp_path / "kept", key)
    assert read(tmp_path / "kept", key) == PARTS
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [tmp_path / "kept"]


def test_without_a_key_any_tar_program_reads_it_and_with_one_nobody_sees_what_is_in_it(tmp_path: Path) -> None:
    write(tmp_path / "plain", "")
    with tarfile.open(tmp_path / "plain") as tar:
        assert tar.getnames() == list(PARTS)
    sealed = write(tmp_path / "sealed", KEY)
    assert b"accounts" not in sealed
    assert PARTS["files/a/b"][:64] not in sealed


@pytest.mark.parametrize("size", [0, 1, FRAME_BYTES - 10_240, FRAME_BYTES, 3 * FRAME_BYTES])
def test_the_size_does_not_matter(tmp_path: Path, size: int) -> None:
    write(tmp_path / "kept", KEY, {"files/one": b"x" * size})
    assert read(tmp_path / "kept", KEY) == {"files/one": b"x" * size}


@pytest.mark.parametrize("key", ["", KEY])
def test_one_changed_bit_anywhere_is_noticed(tmp_path: Path, key: str) -> None:
    whole = write(tmp_path / "kept", key)
    chance = random.Random(11)
    places = {0, 8, 20, 31, 600, len(whole) - 1, len(whole) - 33, *(chance.randrange(len(whole)) for _ in range(60))}
    for at in places:
        damaged = bytearray(whole)
        damaged[at] ^= 1 << chance.randrange(8)
        (tmp_path / "damaged").write_bytes(damaged)
        with pytest.raises(ArchiveRefused):
            read(tmp_path / "damaged", key)


@pytest.mark.parametrize("key", ["", KEY])
def test_one_that_was_cut_short_or_goes_on_is_noticed(tmp_path: Path, key: str) -> None:
    whole = write(tmp_path / "kept", key)
    sealed_frame = 31 + FRAME_BYTES + 16
    for length in (0, 1, 8, 31, 40, 512, sealed_frame, 2 * sealed_frame - 31, len(whole) // 2, len(whole) - 1):
        (tmp_path / "short").write_bytes(whole[:length])
        with pytest.raises(ArchiveRefused):
            read(tmp_path / "short", key)
    (tmp_path / "long").write_bytes(whole + b"\0")
    with pytest.raises(ArchiveRefused):
        read(tmp_path / "long", key)


@pytest.mark.parametrize("key", ["", "another key, of thirty-two bytes or more"])
def test_without_its_key_it_is_refused(tmp_path: Path, key: str) -> None:
    write(tmp_path / "kept", KEY)
    with pytest.raises(ArchiveRefused):
        read(tmp_path / "kept", key)


def test_with_a_key_one_that_anybody_could_have_written_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "planted", "")
    with pytest.raises(ArchiveRefused, match="not encrypted"):
        read(tmp_path / "planted", KEY)


def test_frames_cannot_change_places(tmp_path: Path) -> None:
    whole = write(tmp_path / "kept", KEY)
    frame = FRAME_BYTES + 16
    moved = whole[:31] + whole[31 + frame : 31 + 2 * frame] + whole[31 : 31 + frame] + whole[31 + 2 * frame :]
    (tmp_path / "moved").write_bytes(moved)
    with pytest.raises(ArchiveRefused):
        read(tmp_path / "moved", KEY)


def test_a_name_that_is_taken_is_not_written_over_and_a_failure_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(b"older")
    with pytest.raises(ArchiveRefused, match="exists already"):
        write(tmp_path / "kept", "")
    assert (tmp_path / "kept").read_bytes() == b"older"
    broken = {"one": b"1" * 100_000, "two": cast(bytes, None)}
    with pytest.raises(TypeError):
        write(tmp_path / "new", "", broken)
    assert list(tmp_path.iterdir()) == [tmp_path / "kept"]


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ArchiveRefused, match="there is no such file"):
        read(tmp_path / "nothing", "")
