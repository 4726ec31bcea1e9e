"""The type of a file, from its bytes alone (rule files.all_formats: sniffed, not believed).

Order: exact signatures of the formats people really send; then text, if every byte of the file is text; then the
signature table of puremagic, long matches only; what is left is `application/octet-stream`. A file that starts as one
thing and goes on as another is what it starts as.
"""

import codecs
import re

import puremagic

UNKNOWN = "application/octet-stream"

_HEAD_BYTES = 4 * 1024
_TAIL_BYTES = 64 * 1024
"""Kept of the end: a zip archive's list of names stands there."""

_TEXT_BYTES = bytes({*b"\t\n\f\r\x1b", *range(0x20, 0x7F), *range(0x80, 0x100)})
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_STRICT: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"%PDF-\d"), "application/pdf"),
    (re.compile(rb"\x89PNG\r\n\x1a\n....IHDR", re.DOTALL), "image/png"),
    (re.compile(rb"\xff\xd8\xff[\xc0-\xfe]"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp"),
)

_HTML = re.compile(
    rb"<(?:!doctype html|!--|html|head|body|script|iframe|style|title|table|div|font|h1|br|a|b|p|img|form|object|embed)"
    rb"(?:[\s>/]|-->|$)|<!--"
)
_XML = re.compile(rb"<\?xml|<svg[\s>/]|<!doctype svg")
_SCRIPTABLE = frozenset({"image/svg+xml", "application/xhtml+xml", "application/xml", "application/javascript"})
"""Types a browser may run. They are text, so a table of signatures has no business to name them."""

_OFFICE = {
    b"word/": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    b"xl/": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    b"ppt/": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}
_OFFICE_WITH_MACROS = {
    b"word/": "application/vnd.ms-word.document.macroenabled.12",
    b"xl/": "application/vnd.ms-excel.sheet.macroenabled.12",
    b"ppt/": "application/vnd.ms-powerpoint.presentation.macroenabled.12",
}
_NAMED_IN_ZIP = re.compile(
    rb"PK\x03\x04.{22}\x08\x00..mimetype"
    rb"(application/(?:vnd\.oasis\.opendocument\.(?:text|spreadsheet|presentation|graphics)|epub\+zip))",
    re.DOTALL,
)
_ZIP_ENTRY, _ZIP_ENTRY_BYTES = b"PK\x01\x02", 46

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OLE_STREAMS = {
    "WordDocument": "application/msword",
    "Workbook": "application/vnd.ms-excel",
    "PowerPoint Document": "application/vnd.ms-powerpoint",
}

_CONFIDENCE_MIN = 0.4
"""puremagic's measure grows with the match: 0.4 is four bytes, fewer are found in anything."""


class ContentSniffer:
    """Sees a file chunk by chunk and then says its type. Memory: 68 KiB, whatever the file."""

    def __init__(self) -> None:
        self._head = b""
        self._tail = b""
        self._has_text_bytes_only = True
        self._is_utf8 = True
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def feed(self, chunk: bytes) -> None:
        """See the next bytes of the file."""
        if len(self._head) < _HEAD_BYTES:
            self._head += chunk[: _HEAD_BYTES - len(self._head)]
        self._tail = (self._tail + chunk[-_TAIL_BYTES:])[-_TAIL_BYTES:]
        if self._has_text_bytes_only:
            self._has_text_bytes_only = not chunk.translate(None, _TEXT_BYTES)
            self._is_utf8 = self._is_utf8 and self._decodes(chunk)

    def content_type(self) -> str:
        """Return the media type of what was seen, without parameters; to be called once, after the last chunk."""
        head = self._head
        for signature, content_type in _STRICT:
            if signature.match(head):
                return content_type
        if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            return self._kind_of_zip()
        if head.startswith(_OLE):
            return self._kind_of_ole()
        if self._has_text_bytes_only and self._is_utf8 and self._decodes(b"", final=True):
            return _kind_of_text(head)
        if _is_utf16(head):
            return "text/plain"
        return _by_table(head) or (_kind_of_text(head) if self._has_text_bytes_only and _is_latin(head) else UNKNOWN)

    def _decodes(self, chunk: bytes, *, final: bool = False) -> bool:
        try:
            self._decoder.decode(chunk, final)
        except UnicodeDecodeError:
            return False
        return True

    def _kind_of_zip(self) -> str:
        if named := _NAMED_IN_ZIP.match(self._head):
            return named[1].decode()
        names = _zip_names(self._tail)
        if b"[Content_Types].xml" in names or b"[Content_Types].xml" in self._head[30:64]:
            has_macros = any(name.endswith(b"/vbaProject.bin") for name in names)
            for folder, content_type in (_OFFICE_WITH_MACROS if has_macros else _OFFICE).items():
                if any(name.startswith(folder) for name in names):
                    return content_type
        return "application/zip"

    def _kind_of_ole(self) -> str:
        for stream, content_type in _OLE_STREAMS.items():
            wanted = stream.encode("utf-16-le")
            if wanted in self._head or wanted in self._tail:
                return content_type
        return "application/x-ole-storage"


def _zip_names(tail: bytes) -> set[bytes]:
    """Return the names in that part of an archive's directory which lies within the tail."""
    names: set[bytes] = set()
    at = tail.find(_ZIP_ENTRY)
    while at >= 0:
        length = int.from_bytes(tail[at + 28 : at + 30], "little")
        names.add(tail[at + _ZIP_ENTRY_BYTES : at + _ZIP_ENTRY_BYTES + length])
        at = tail.find(_ZIP_ENTRY, at + _ZIP_ENTRY_BYTES)
    return names


def _kind_of_text(head: bytes) -> str:
    start = head.removeprefix(_BYTE_ORDER_MARK).lstrip(b"\t\n\f\r ").lower()
    if _XML.match(start):
        if b"<svg" in start:
            return "image/svg+xml"
        return "text/html" if b"<html" in start else "application/xml"
    if _HTML.match(start):
        return "text/html"
    if start.startswith(b"{\\rtf"):
        return "application/rtf"
    if start.startswith(b"%!ps"):
        return "application/postscript"
    return "text/plain"


def _is_latin(head: bytes) -> bool:
    """Tell whether most of it is ASCII, as in Western text of the time before UTF-8."""
    return 2 * len(head.translate(None, bytes(range(0x80, 0x100)))) >= len(head)


def _is_utf16(head: bytes) -> bool:
    if not head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return False
    try:
        text = head[: len(head) // 2 * 2].decode("utf-16")
    except UnicodeDecodeError as error:
        if error.end < len(head) - 2:  # half a character at the very end is only where the head was cut
            return False
        text = head[: error.start].decode("utf-16")
    return all(c >= " " or c in "\t\n\f\r" for c in text)


def _by_table(head: bytes) -> str | None:
    try:
        matches = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):
        return None
    for match in matches:
        content_type = str(match.mime_type)
        is_safe = content_type not in _SCRIPTABLE and not content_type.startswith("text/")
        if match.confidence >= _CONFIDENCE_MIN and match.offset >= 0 and content_type and is_safe:
            return content_type
    return None
