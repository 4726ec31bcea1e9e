"""What `make audit` makes of a report: silence is no success."""

import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

_spec = spec_from_file_location("audit", Path(__file__).parents[3] / "scripts" / "audit.py")
assert _spec is not None
assert _spec.loader is not None
audit = module_from_spec(_spec)
_spec.loader.exec_module(audit)

SOUND = {"name": "litestar", "version": "2.0", "vulns": []}
VULNERABLE = {"name": "uvicorn", "version": "0.1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["0.2"]}]}
SKIPPED = {"name": "yarl", "skip_reason": "Dependency not found"}


@pytest.mark.parametrize(
    ("packages", "code", "told"),
    [
        ([SOUND], 0, "1 packages were asked about; no vulnerability is known."),
        ([SOUND, VULNERABLE], 1, "uvicorn 0.1: PYSEC-1, fixed in 0.2"),
        ([VULNERABLE, SKIPPED], 1, "uvicorn 0.1: PYSEC-1, fixed in 0.2"),
        ([SOUND, SKIPPED], 3, "Not audited: 1 of 2 packages are not known to the service that was asked (yarl"),
        ([], 3, "Not audited: 0 of 0 packages"),
    ],
)
def test_only_an_answer_about_every_package_is_a_success(packages: list[Any], code: int, told: str) -> None:
    found, lines = audit.judge(json.dumps({"dependencies": packages}), "")
    assert found == code
    assert lines[0].startswith(told)


def test_a_service_that_cannot_be_reached_is_named_with_a_status_of_its_own() -> None:
    assert audit.judge("", "ERROR\nTip: your network may be blocking this service.") == (
        3,
        ["Not audited: the service could not be asked (Tip: your network may be blocking this service.)."],
    )
