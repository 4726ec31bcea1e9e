"""Ask for known vulnerabilities of every package that the server runs with, as requirements/runtime.txt pins them.

Exit status: 0 where every package was asked about and nothing is known, 1 where something is known, 3 where the
service could not be asked about every package (make makes 2 of both). The last says nothing about safety: pip-audit
itself ends with 0 when a service knows no package at all, so its report is read and not its status.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements" / "runtime.txt"
PIP_AUDIT = ROOT / ".tools" / "audit" / "bin" / "pip-audit"
SOUND, VULNERABLE, NOT_ASKED = 0, 1, 3
SECONDS_MAX = 600
NAMED_MAX = 5


def main() -> int:
    """Ask, and say what was found."""
    command = [str(PIP_AUDIT), "--requirement", str(LOCK), "--require-hashes", "--disable-pip"]
    options = ["--format", "json", "--progress-spinner", "off", "--timeout", "15", *sys.argv[1:]]
    try:
        finished = subprocess.run(
            [*command, *options], capture_output=True, text=True, timeout=SECONDS_MAX, check=False
        )
    except subprocess.TimeoutExpired:
        print(f"Not audited: the service did not answer within {SECONDS_MAX} s.", file=sys.stderr)
        return NOT_ASKED
    code, lines = judge(finished.stdout, finished.stderr)
    print("\n".join(lines), file=sys.stdout if code == SOUND else sys.stderr)
    return code


def judge(report: str, complaint: str) -> tuple[int, list[str]]:
    """Return the exit status for a report of pip-audit, and what to say."""
    try:
        packages: list[dict[str, Any]] = json.loads(report)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = complaint.strip().splitlines()[-1:] or ["it said nothing"]
        return NOT_ASKED, [f"Not audited: the service could not be asked ({last[0][:200]})."]
    vulnerable = [one for one in packages if one.get("vulns")]
    skipped = [one for one in packages if "vulns" not in one]
    lines = [
        f"{one['name']} {one['version']}: {found['id']}, fixed in {', '.join(found['fix_versions']) or 'no version'}"
        for one in vulnerable
        for found in one["vulns"]
    ]
    if skipped or not packages:
        named = ", ".join(one["name"] for one in skipped[:NAMED_MAX])
        lines.append(
            f"Not audited: {len(skipped)} of {len(packages)} packages are not known to the service that was asked"
            f" ({named} and so on). It may not be reachable from here; nothing is proven about them."
        )
    if vulnerable:
        return VULNERABLE, lines
    if skipped or not packages:
        return NOT_ASKED, lines
    return SOUND, [f"{len(packages)} packages were asked about; no vulnerability is known."]


if __name__ == "__main__":
    sys.exit(main())
