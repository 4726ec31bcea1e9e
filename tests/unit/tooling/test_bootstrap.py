import hashlib
import os
import re
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from scripts.bootstrap import (
    EVERYTHING,
    LOCKS,
    CannotPrepare,
    PackageSource,
    Pin,
    find_uv,
    main,
    pip_setting_files,
    pip_settings,
    prepare,
    read_pin,
    stamp_of,
    unpack_uv,
    uv_environment,
    wheel_link,
)

ROOT = Path(__file__).parents[3]
PAGE = """
<!DOCTYPE html><html><body>
<a href="../../files/uv-1.2.3-py3-none-macosx_11_0_arm64.whl#sha256=aa">uv</a>
<a href="../../files/uv-1.2.3-py3-none-musllinux_1_1_x86_64.whl">uv</a>
<a href="../../files/uv-1.2.30-py3-none-manylinux_2_17_x86_64.whl">uv</a>
<a href="../../files/uv-1.2.3-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl#sha256=bb">uv</a>
</body></html>
"""


def make_wheel(folder: Path, binary: bytes = b"#!/bin/sh\n") -> tuple[Path, Pin]:
    wheel = folder / "uv-1.2.3-py3-none-manylinux_2_17_x86_64.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("uv-1.2.3.data/scripts/uv", binary)
    return wheel, Pin("1.2.3", frozenset({hashlib.sha256(wheel.read_bytes()).hexdigest()}))


def test_pips_environment_wins_over_its_files_and_a_later_file_over_an_earlier(tmp_path: Path) -> None:
    weak, strong = tmp_path / "weak.conf", tmp_path / "strong.conf"
    weak.write_text("[global]\nindex-url = https://weak.example/simple\ncert = /weak.crt\n")
    strong.write_text("[global]\nindex_url = https://strong.example/simple\nfind-links = /a\n    /b\n")

    told = pip_settings({"PIP_EXTRA_INDEX_URL": "https://extra.example/simple"}, [weak, strong])

    assert told == PackageSource(
        index_url="https://strong.example/simple",
        extra_index_urls=("https://extra.example/simple",),
        find_links=("/a", "/b"),
        certificates="/weak.crt",
    )
    assert pip_settings({"PIP_INDEX_URL": "https://env.example/simple"}, [strong]).index_url == (
        "https://env.example/simple"
    )


def test_files_that_do_not_exist_set_nothing(tmp_path: Path) -> None:
    assert pip_settings({}, [tmp_path / "none.conf"]) == PackageSource()


def test_a_broken_settings_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "pip.conf").write_text("index-url without a section")

    with pytest.raises(CannotPrepare, match=r"pip\.conf"):
        pip_settings({}, [tmp_path / "pip.conf"])


def test_pip_files_can_be_switched_off_and_one_can_be_added() -> None:
    assert pip_setting_files({"PIP_CONFIG_FILE": os.devnull}) == []
    assert pip_setting_files({"PIP_CONFIG_FILE": "/my/pip.conf"})[-1] == Path("/my/pip.conf")


def test_uv_is_told_what_pip_knows(tmp_path: Path) -> None:
    source = PackageSource(
        index_url="https://one.example/simple",
        extra_index_urls=("https://two.example/simple",),
        find_links=("/wheels",),
        trusted_hosts=("one.example",),
        certificates="/ca.crt",
    )

    told = uv_environment({"HOME": str(tmp_path), "VIRTUAL_ENV": "/elsewhere"}, source, tools=tmp_path)

    assert told == {
        "HOME": str(tmp_path),
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_DEFAULT_INDEX": "https://one.example/simple",
        "UV_INDEX": "https://two.example/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": "/wheels",
        "UV_INSECURE_HOST": "one.example",
        "SSL_CERT_FILE": "/ca.crt",
    }


def test_uvs_own_settings_win(tmp_path: Path) -> None:
    own = {"HOME": str(tmp_path), "UV_DEFAULT_INDEX": "https://own.example/simple", "SSL_CERT_FILE": "/own.crt"}
    source = PackageSource(index_url="https://pip.example/simple", certificates="/pip.crt")

    told = uv_environment(own, source, tools=tmp_path)

    assert told["UV_DEFAULT_INDEX"] == "https://own.example/simple"
    assert told["SSL_CERT_FILE"] == "/own.crt"


def test_a_user_without_a_home_gets_a_cache_beside_the_tools(tmp_path: Path) -> None:
    told = uv_environment({"HOME": "/nonexistent"}, PackageSource(), tools=tmp_path)

    assert told["UV_CACHE_DIR"] == str(tmp_path / "cache")


def test_the_pin_is_read_from_our_lock() -> None:
    pin = read_pin((ROOT / "requirements/uv.txt").read_text())

    assert pin.version[0].isdigit()
    assert len(pin.sha256) > 10


def test_a_lock_without_a_hash_is_refused() -> None:
    with pytest.raises(CannotPrepare, match="does not pin"):
        read_pin("uv==1.2.3\n")


def test_the_pinned_wheel_is_unpacked_and_can_be_run(tmp_path: Path) -> None:
    wheel, pin = make_wheel(tmp_path)

    unpack_uv(wheel, pin, tmp_path / "tools" / "uv")

    assert (tmp_path / "tools" / "uv").read_bytes() == b"#!/bin/sh\n"
    assert os.access(tmp_path / "tools" / "uv", os.X_OK)


def test_a_wheel_with_another_hash_is_refused_and_nothing_is_unpacked(tmp_path: Path) -> None:
    _, pin = make_wheel(tmp_path)
    forged, _ = make_wheel(tmp_path, binary=b"#!/bin/sh\nrm -rf ~\n")

    with pytest.raises(CannotPrepare, match="refused"):
        unpack_uv(forged, pin, tmp_path / "tools" / "uv")

    assert not (tmp_path / "tools").exists()


@pytest.mark.parametrize(
    ("system", "machine", "ending"),
    [
        ("Linux", "x86_64", "/files/uv-1.2.3-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"),
        ("Darwin", "arm64", "/files/uv-1.2.3-py3-none-macosx_11_0_arm64.whl"),
    ],
)
def test_the_wheel_of_this_platform_is_chosen(system: str, machine: str, ending: str) -> None:
    found = wheel_link(PAGE, "https://index.example/root/simple/uv/", "1.2.3", system, machine)

    assert found == f"https://index.example/root{ending}"


def test_a_platform_without_a_wheel_is_named() -> None:
    with pytest.raises(CannotPrepare, match=r"no uv 1\.2\.3 for Linux on riscv64"):
        wheel_link(PAGE, "https://index.example/simple/uv/", "1.2.3", "Linux", "riscv64")


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pip, no uv, no apt; Linux on x86_64."""
    monkeypatch.setattr("scripts.bootstrap.pip_commands", list)
    monkeypatch.setattr("scripts.bootstrap.shutil.which", lambda _name: None)
    monkeypatch.setattr("scripts.bootstrap.platform.system", lambda: "Linux")
    monkeypatch.setattr("scripts.bootstrap.platform.machine", lambda: "x86_64")


@pytest.fixture
def checkout(tmp_path: Path) -> tuple[Path, Path]:
    """A checkout whose lock pins a made-up uv, and the wheel of it."""
    wheel, pin = make_wheel(tmp_path)
    root = tmp_path / "checkout"
    (root / "requirements").mkdir(parents=True)
    (root / "requirements/uv.txt").write_text(f"uv==1.2.3 \\\n    --hash=sha256:{min(pin.sha256)}\n")
    return root, wheel


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """A package index on a loopback port, with the made-up uv in it."""
    page = tmp_path / "simple" / "uv"
    page.mkdir(parents=True)
    (page / "index.html").write_text('<a href="../../uv-1.2.3-py3-none-manylinux_2_17_x86_64.whl#sha256=x">uv</a>')

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/simple"
        server.shutdown()
        thread.join()


@pytest.mark.usefixtures("bare_machine")
def test_without_pip_the_wheel_comes_straight_from_the_configured_index(
    checkout: tuple[Path, Path], index: str
) -> None:
    root, _ = checkout

    found = find_uv(root, PackageSource(index_url=index), {})

    assert found == root / ".tools/uv-1.2.3/uv"
    assert found.read_bytes() == b"#!/bin/sh\n"


@pytest.mark.usefixtures("bare_machine")
def test_an_index_that_serves_another_file_is_refused(checkout: tuple[Path, Path], index: str) -> None:
    root, wheel = checkout
    make_wheel(wheel.parent, binary=b"#!/bin/sh\nrm -rf ~\n")

    with pytest.raises(CannotPrepare, match="is not the file"):
        find_uv(root, PackageSource(index_url=index), {})

    assert not (root / ".tools").exists()


@pytest.mark.usefixtures("bare_machine")
def test_a_machine_that_knows_no_index_is_told_what_to_set(checkout: tuple[Path, Path]) -> None:
    root, _ = checkout

    with pytest.raises(CannotPrepare, match="set PIP_INDEX_URL"):
        find_uv(root, PackageSource(), {})


def test_an_environment_that_matches_its_stamp_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/dev.txt").write_text("a==1\n")
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/soko-stamp").write_text(stamp_of(tmp_path, EVERYTHING))
    monkeypatch.setattr("scripts.bootstrap.subprocess.run", None)  # any program started would fail the test

    prepare(tmp_path, {})


@pytest.mark.parametrize("changed", ["requirements/dev.txt", "pyproject.toml"])
def test_the_stamp_changes_with_what_the_environment_is_made_from(tmp_path: Path, changed: str) -> None:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/dev.txt").write_text("a==1\n")
    (tmp_path / "pyproject.toml").write_text("")
    before = stamp_of(tmp_path, EVERYTHING)

    (tmp_path / changed).write_text("b==2\n")

    assert stamp_of(tmp_path, EVERYTHING) != before


def test_an_unknown_command_is_answered_with_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lokc"]) == 2
    assert capsys.readouterr().err == "soko: usage: bootstrap.py [lock [--upgrade] | audit | client | peers]\n"


def test_every_line_of_the_locks_is_pinned_by_hash_and_names_no_host() -> None:
    for name in LOCKS:
        lines = (ROOT / name).read_text().splitlines()
        pins = [line for line in lines if "==" in line]
        assert pins
        assert all(line.endswith("\\") for line in pins), name
        assert not [line for line in lines if "://" in line or line.startswith("--")], name


def test_django_is_not_locked_although_a_package_asks_for_it() -> None:
    assert "\ndjango" not in (ROOT / "requirements/dev.txt").read_text().lower()


def test_the_runtime_lock_is_part_of_the_lock_for_everything() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^[a-z0-9-]+==\S+", (ROOT / name).read_text(), re.MULTILINE))

    assert pins("requirements/runtime.txt") < pins("requirements/dev.txt")
