"""The lock of the TypeScript client; what the client does is played by `make client`."""

import json
from pathlib import Path

CLIENT = Path(__file__).parents[3] / "clients" / "typescript"


def test_every_package_of_the_lock_is_pinned_by_hash_and_names_no_registry() -> None:
    packages = json.loads((CLIENT / "package-lock.json").read_text())["packages"]
    installed = {name: package for name, package in packages.items() if name}
    assert len(installed) > 10
    assert [name for name, package in installed.items() if not package.get("integrity", "").startswith("sha512-")] == []
    assert [name for name, package in installed.items() if "resolved" in package] == []


def test_npm_is_told_to_leave_registries_out_of_the_lock() -> None:
    assert "omit-lockfile-registry-resolved=true" in (CLIENT / ".npmrc").read_text().splitlines()
