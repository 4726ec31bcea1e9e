import io
import zipfile

import pytest

from infrastructure.content_types.sniffer import ContentSniffer

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(20)
UNKNOWN = "application/octet-stream"


def archive(*names: str, fill: int = 0) -> bytes:
    """Return a zip of files with these names; `fill` bytes that do not shrink stand in each."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as opened:
        for name in names:
            opened.writestr(name, bytes(range(256)) * (fill // 256) or b"x")
    return made.getvalue()


def document(mimetype: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as opened:
        opened.writestr("mimetype", mimetype)
        opened.writestr("content.xml", "<x/>")
    return made.getvalue()


FILES: dict[str, tuple[bytes, str]] = {
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", "application/pdf"),
    "png": (PNG, "image/png"),
    "jpeg": (b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(30), "image/jpeg"),
    "jpeg exif": (b"\xff\xd8\xff\xe1\0\x10Exif\0" + bytes(30), "image/jpeg"),
    "gif": (b"GIF89a\1\0\1\0" + bytes(20), "image/gif"),
    "webp": (b"RIFF\x10\0\0\0WEBPVP8 " + bytes(20), "image/webp"),
    "mp4": (b"\0\0\0\x18ftypmp42" + bytes(30), "video/mp4"),
    "7z": (b"7z\xbc\xaf\x27\x1c\0\4" + bytes(30), "application/x-7z-compressed"),
    "docx": (archive("[Content_Types].xml", "_rels/.rels", "word/document.xml"), DOCX),
    "docx, content types last": (archive("word/document.xml", "_rels/.rels", "[Content_Types].xml"), DOCX),
    "docx, large": (archive("[Content_Types].xml", "word/media/1", "word/document.xml", fill=200_000), DOCX),
    "xlsx": (archive("[Content_Types].xml", "xl/workbook.xml"), XLSX),
    "pptx": (archive("[Content_Types].xml", "ppt/presentation.xml"), PPTX),
    "docm": (
        archive("[Content_Types].xml", "word/document.xml", "word/vbaProject.bin"),
        "application/vnd.ms-word.document.macroenabled.12",
    ),
    "odt": (document("application/vnd.oasis.opendocument.text"), "application/vnd.oasis.opendocument.text"),
    "epub": (document("application/epub+zip"), "application/epub+zip"),
    "zip that names a strange type": (document("text/html"), "application/zip"),
    "zip": (archive("a.txt", "b.txt"), "application/zip"),
    "zip with a folder called word": (archive("word/a.txt"), "application/zip"),
    "empty zip": (archive(), "application/zip"),
    "broken zip": (b"PK\x03\x04 and nothing more", "application/zip"),
    "doc": (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + "WordDocument".encode("utf-16-le") + bytes(20),
        "application/msword",
    ),
    "ole of another kind": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "application/x-ole-storage"),
    "text": (b"hello world\n", "text/plain"),
    "text with accents": ("Hôtel à Kisumu — 日本語\n".encode(), "text/plain"),
    "text with a mark": (b"\xef\xbb\xbfhello", "text/plain"),
    "text in latin-1": (b"caf\xe9 au lait\n", "text/plain"),
    "text in utf-16": ("hello wörld".encode("utf-16"), "text/plain"),
    "text about html": (b"how to write <html> and <script>\n", "text/plain"),
    "a less-than sign": (b"<3 you\n", "text/plain"),
    "csv": (b"a,b\n1,2\n", "text/plain"),
    "json": (b'{"a": 1}', "text/plain"),
    "python": (b"#!/usr/bin/env python\nimport os\n", "text/plain"),
    "rtf": (b"{\\rtf1\\ansi hello}", "application/rtf"),
    "html": (b"<!DOCTYPE html><html></html>", "text/html"),
    "html after space": (b" \r\n\t<HTML lang=en>", "text/html"),
    "html after a mark": (b"\xef\xbb\xbf<script>alert(1)</script>", "text/html"),
    "html after a comment": (b"<!-- a --><script>alert(1)</script>", "text/html"),
    "html in latin-1": (b"<html><body>caf\xe9</body></html>", "text/html"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', "image/svg+xml"),
    "svg as xml": (b'<?xml version="1.0"?>\n<!-- x -->\n<svg onload="alert(1)"/>', "image/svg+xml"),
    "xml": (b'<?xml version="1.0"?><feed/>', "application/xml"),
    "xhtml": (b'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"/>', "text/html"),
    "gif that is also a script": (b"GIF89a/*" + bytes(4) + b"*/=alert(1)//", "image/gif"),
    "pdf that is also a zip": (b"%PDF-1.4\n" + archive("a"), "application/pdf"),
    "png with a page inside": (PNG + b"<html><script>alert(1)</script>", "image/png"),
    "png by its first letters only": (b"\x89PNG\r\n\x1a\n<html>" + bytes(5), "image/png"),
    "jpeg by two bytes only": (b"\xff\xd8", UNKNOWN),
    "text with a zero byte": (b"hello\0world", UNKNOWN),
    "page with a zero byte": (b"<html>\0<script>alert(1)</script>", UNKNOWN),
    "noise": (bytes(range(256)) * 20, UNKNOWN),
    "one zero byte": (b"\0", UNKNOWN),
    "one letter": (b"a", "text/plain"),
}


@pytest.mark.parametrize(("content", "expected"), FILES.values(), ids=FILES.keys())
def test_the_type_is_what_the_content_shows_however_it_is_cut(content: bytes, expected: str) -> None:
    for chunk_bytes in (1 if len(content) < 10_000 else 1000, 7777, len(content)):
        sniffer = ContentSniffer()
        for at in range(0, len(content), chunk_bytes):
            sniffer.feed(content[at : at + chunk_bytes])
        assert sniffer.content_type() == expected


def test_text_that_turns_into_something_else_at_the_end_is_not_text() -> None:
    sniffer = ContentSniffer()
    sniffer.feed(b"hello " * 50_000)
    sniffer.feed(b"\0\1\2")
    sniffer.feed(b" world" * 50_000)
    assert sniffer.content_type() == UNKNOWN


def test_text_that_ends_in_half_a_character_is_still_text() -> None:
    sniffer = ContentSniffer()
    sniffer.feed("Kisumu 日本".encode()[:-1])
    assert sniffer.content_type() == "text/plain"
