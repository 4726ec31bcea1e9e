"""Business settings of files. The server's settings give their defaults where they are set."""

import re

from domain.core.kernel.policies import Policy, PolicyValueRefused, number_policy

MEGABYTE = 1024 * 1024
"""Bytes in the unit of the limits."""

ALL_EXTENSIONS = "all"

_EXTENSION = re.compile(r"[a-z0-9]{1,10}")


def extension_list(text: str) -> str:
    """Read `all`, or endings separated by commas. Raises PolicyValueRefused."""
    endings = [part.strip().lower().removeprefix(".") for part in text.split(",")]
    if len(endings) > 100 or not all(_EXTENSION.fullmatch(ending) for ending in endings):
        raise PolicyValueRefused("Name endings separated by commas, such as pdf,docx, or all.")
    return ",".join(sorted(set(endings)))


FILE_SIZE_MAX = number_policy("files.max_size", 20, "MB", minimum=1, maximum=50)
FILE_COUNT_BOUND = 50
"""No setting lets more files come at once."""

FILE_COUNT_MAX = number_policy("files.max_count", 10, "files", minimum=1, maximum=FILE_COUNT_BOUND)
REQUEST_SIZE_MAX = number_policy("files.max_request", 50, "MB", minimum=1, maximum=50)
"""At most 50 MB: the server reads no request beyond that (its own limit leaves 2 MB for the other parts)."""
QUOTA = number_policy("files.quota", 1024, "MB", minimum=1, maximum=1_000_000)
"""What the files of one account may take together, with what it has announced to upload."""
EXTENSIONS = Policy("files.extensions", ALL_EXTENSIONS, "list", extension_list)


def accepts_extension(accepted: str, name: str) -> bool:
    """Tell whether a file of this name may be sent, by the value of the policy files.extensions."""
    if accepted == ALL_EXTENSIONS:
        return True
    _, dot, ending = name.rpartition(".")
    return bool(dot) and ending.lower() in accepted.split(",")
