"""Name a device for its owner: from what its program says of itself, which proves nothing, and from its address."""

from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address

UNKNOWN = "Unknown device"

_PROGRAMS: Sequence[tuple[str, str]] = (  # in this order: Edge and Opera call themselves Chrome, Chrome says Safari
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("okhttp/", "Android app"),
    ("Dart/", "Mobile app"),
    ("CFNetwork/", "Apple app"),
    ("curl/", "curl"),
    ("python-", "Python program"),
)
_SYSTEMS: Sequence[tuple[str, str]] = (  # Android says Linux, an iPhone says Mac OS X
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def device_of(user_agent: str | None) -> str:
    """Return a few words for a device, such as `Firefox on Windows`; never the text that was sent."""
    text = user_agent or ""
    program = next((name for mark, name in _PROGRAMS if mark in text), None)
    system = next((name for mark, name in _SYSTEMS if mark in text), None)
    if program and system:
        return f"{program} on {system}"
    return program or system or UNKNOWN


def address_kind_of(ip: str | None) -> str:
    """Return `loopback`, `private`, `public` or `unknown`."""
    try:
        address = ip_address(ip or "")
    except ValueError:
        return "unknown"
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    if address.is_loopback:
        return "loopback"
    return "private" if address.is_private else "public"
