"""A generated collection of hostile files: contents that pretend, explode or reach outside, and names that mislead."""

import gzip
import io
import random
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping

SCRIPT = b"<script>alert(document.cookie)</script>"
HTML = b"<html><body>" + SCRIPT + b"</body></html>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(1)</script></svg>'
PHP = b"<?php system($_GET['c']); ?>"
MIB = 1024 * 1024


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """Return a PNG that claims a size and brings some chunks and no pixels."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)), *chunks, (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + body


def archive(*entries: tuple[str, bytes], mode: int = 0, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip archive with entries under just these names."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as made:
        for name, content in entries:
            info = zipfile.ZipInfo("x")
            info.filename, info.compress_type, info.external_attr = name, method, mode << 16
            made.writestr(info, content)
    return buffer.getvalue()


def tar(name: str, content: bytes = b"x", *, kind: bytes = tarfile.REGTYPE, target: str = "") -> bytes:
    """Return a tar archive with one entry."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        info = tarfile.TarInfo(name)
        info.size, info.type, info.linkname = (len(content) if kind == tarfile.REGTYPE else 0), kind, target
        made.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def office(folder: str, *more: tuple[str, bytes]) -> bytes:
    """Return what a word processor writes, as far as anybody looks."""
    return archive(("[Content_Types].xml", b"<Types/>"), (f"{folder}/document.xml", b"<d/>"), *more)


def contents() -> Iterator[tuple[str, bytes]]:
    """Yield a label and the bytes of each hostile content."""
    noise = random.Random(20_260_302)
    jpeg = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
    gif = b"GIF89a\x01\x00\x01\x00\x80\x00\x00"
    pdf = b"%PDF-1.7\n1 0 obj<<>>endobj\n"
    # one thing that goes on as another
    for kind, head in (
        ("png", png(1, 1)),
        ("jpeg", jpeg),
        ("gif", gif),
        ("pdf", pdf),
        ("webp", b"RIFF\x10\0\0\0WEBPVP8 "),
    ):
        for other, tail in (("html", HTML), ("svg", SVG), ("php", PHP), ("zip", archive(("a.html", HTML)))):
            yield f"{kind}+{other}", head + tail
    yield "gif+js", b"GIF89a/*" + b"\0" * 8 + b"*/=1;alert(1)//"
    yield "bmp+js", b"BM/*" + b"\0" * 40 + b"*/=1;alert(1)"
    yield "png with a script in its text", png(1, 1, (b"tEXt", b"Comment\0" + SCRIPT))
    yield "jpeg with a script in its comment", b"\xff\xd8\xff\xfe\x00\x40" + SCRIPT
    yield "pdf with javascript", pdf + b"2 0 obj<</S/JavaScript/JS(app.alert(1))>>endobj\n"
    yield "pdf that starts late", b"\n" * 20 + pdf
    # text that a browser would run
    for label, text in (
        ("html", HTML),
        ("html after blanks", b" \r\n\t " + HTML),
        ("html in capitals", HTML.upper()),
        ("html behind a byte order mark", b"\xef\xbb\xbf" + HTML),
        ("html behind a comment", b"<!-- x -->" + HTML),
        ("html with a doctype", b"<!DOCTYPE html>" + HTML),
        ("html in latin-1", HTML + "\u00e9".encode("latin-1")),
        ("html in utf-16", HTML.decode().encode("utf-16")),
        ("html in utf-32", HTML.decode().encode("utf-32")),
        ("html in utf-7", b"+ADw-script+AD4-alert(1)+ADw-/script+AD4-"),
        ("html far behind text", b"word " * 2000 + HTML),
        ("html behind a NUL", b"\0" + HTML),
        ("html with a NUL inside", HTML[:20] + b"\0" + HTML[20:]),
        ("an image tag", b"<img src=x onerror=alert(1)>"),
        ("an iframe", b"<iframe src=javascript:alert(1)>"),
        ("a link that runs", b"<a href='javascript:alert(1)'>x</a>"),
        ("xhtml", b'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml">' + SCRIPT + b"</html>"),
        ("svg", SVG),
        ("svg with a declaration", b'<?xml version="1.0"?>' + SVG),
        ("svg with a doctype", b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "x">' + SVG),
        ("svg behind a comment", b"<!-- x -->" + SVG),
        ("svg in utf-16", SVG.decode().encode("utf-16")),
        ("svgz", gzip.compress(SVG, mtime=0)),
        (
            "xml that reads a file",
            b'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r>&x;</r>',
        ),
        ("xml that explodes", b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><l>&b;</l>'),
        ("xml with a stylesheet", b'<?xml version="1.0"?><?xml-stylesheet type="text/xsl" href="x"?><a/>'),
        ("javascript", b"alert(1);"),
        ("php", PHP),
        ("a shell script", b"#!/bin/sh\nrm -rf /\n"),
        ("a batch file", b"@echo off\r\ndel *.*\r\n"),
        ("a shortcut", b"[InternetShortcut]\r\nURL=file://evil/share\r\n"),
        ("a formula", b"=cmd|' /C calc'!A0,1\n"),
        ("an archive of a page", b"MIME-Version: 1.0\nContent-Type: multipart/related\n\n" + HTML),
        ("rtf", b"{\\rtf1{\\object\\objocx}}"),
        ("postscript", b"%!PS-Adobe-3.0\n(x) run\n"),
        ("text that turns around", "invoice\u202efdp.exe".encode()),
        ("a terminal's escape", b"\x1b]0;pwned\x07\x1b[2J"),
        ("json", b'{"__proto__": {"admin": true}}'),
        ("one endless line", b"A" * MIB),
    ):
        yield label, text
    # programs
    for label, content in (
        ("a windows program", b"MZ\x90\0" + b"\0" * 56 + b"\x80\0\0\0" + b"\0" * 64 + b"PE\0\0"),
        ("a linux program", b"\x7fELF\x02\x01\x01" + b"\0" * 60),
        ("a java class", b"\xca\xfe\xba\xbe\0\0\0\x34" + b"\0" * 20),
        ("a windows link", b"L\0\0\0\x01\x14\x02\0\0\0\0\0\xc0\0\0\0\0\0\0F" + b"\0" * 60),
        ("a help file", b"ITSF\x03\0\0\0" + b"\0" * 80),
        ("a flash film", b"FWS\x09" + b"\0" * 40),
    ):
        yield label, content
    # archives: nothing here unpacks any
    for name in (
        "../../etc/passwd", "/etc/passwd", "..\\..\\windows\\x.dll", "C:\\x", "a/../../b", "x\0y", "\u202etxt.exe",
        "con", "x" * 5000,
    ):  # fmt: skip
        yield f"zip with {name[:20]!r}", archive((name, b"x"))
    yield "zip with a link", archive(("link", b"/etc/passwd"), mode=stat.S_IFLNK | 0o777)
    yield "zip bomb", archive(("zeros", b"\0" * (32 * MIB)))
    yield "zip in zip in zip", archive(("b.zip", archive(("c.zip", archive(("zeros", b"\0" * MIB))))))
    yield "zip with 5,000 entries", archive(*((f"{number}", b"") for number in range(5000)))
    yield "zip cut short", archive(("a", b"x" * 1000), method=zipfile.ZIP_STORED)[:500]
    yield "zip behind a page", HTML + archive(("a", b"x"))
    yield "jar", archive(("META-INF/MANIFEST.MF", b"Main-Class: X\n"), ("X.class", b"\xca\xfe\xba\xbe"))
    for name in ("../../etc/passwd", "/etc/cron.d/x"):
        yield f"tar with {name}", tar(name)
    yield "tar with a link", tar("x", kind=tarfile.SYMTYPE, target="/etc/passwd")
    yield "tar with a device", tar("x", kind=tarfile.CHRTYPE)
    yield "gzip bomb", gzip.compress(b"\0" * (32 * MIB), mtime=0)
    for label, head in (
        ("7z", b"7z\xbc\xaf\x27\x1c\0\x04"),
        ("rar", b"Rar!\x1a\x07\x01\0"),
        ("xz", b"\xfd7zXZ\0\0\x04"),
    ):
        yield label, head + noise.randbytes(200)
    # documents
    yield "docx", office("word")
    yield "docx with macros", office("word", ("word/vbaProject.bin", b"x"))
    yield "xlsx with macros", office("xl", ("xl/vbaProject.bin", b"x"))
    yield "pptx", office("ppt")
    yield "docx with a page inside", office("word", ("word/afchunk.html", HTML))
    yield (
        "doc with macros",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 504 + "WordDocument".encode("utf-16-le") + b"Macros",
    )
    yield "ole object", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600
    # floods of pixels: nothing here decodes any
    yield "png of 4 gigapixels", png(65535, 65535)
    yield "png of 2^62 pixels", png(2**31 - 1, 2**31 - 1)
    yield "png with a bomb of text", png(1, 1, (b"zTXt", b"x\0\0" + zlib.compress(b"\0" * (16 * MIB))))
    yield "gif of 4 gigapixels", b"GIF89a\xff\xff\xff\xff\x80\0\0"
    yield "jpeg of 4 gigapixels", jpeg + b'\xff\xc0\0\x11\x08\xff\xff\xff\xff\x03\x01"\0\x02\x11\x01\x03\x11\x01'
    yield (
        "bmp of 4 gigapixels",
        b"BM" + struct.pack("<IHHIIiiHHI", 54, 0, 0, 54, 40, 65535, 65535, 1, 24, 0) + b"\0" * 20,
    )
    yield (
        "tiff of 4 gigapixels",
        b"II*\0\x08\0\0\0\x02\0\0\x01\x04\0\x01\0\0\0\xff\xff\0\0\x01\x01\x04\0\x01\0\0\0\xff\xff\0\0",
    )
    # nearly something, or nothing
    yield "png without its first byte", png(1, 1)[1:]
    yield "the first bytes of a png", b"\x89PNG\r\n\x1a\n"
    yield "the first bytes of a jpeg", b"\xff\xd8\xff"
    yield "a pdf without version", b"%PDF-x\n"
    yield "riff of sound", b"RIFF\x24\0\0\0WAVEfmt "
    yield "one NUL", b"\0"
    yield "a thousand NULs", b"\0" * 1000
    yield "one bracket", b"<"
    yield "every byte", bytes(range(256))
    yield "noise", noise.randbytes(5000)
    yield "overlong utf-8", b"\xc0\xbcscript\xc0\xbe"
    yield "half a character", "\u20ac".encode()[:2]


NAMES: tuple[tuple[str, str], ...] = (
    ("../../../etc/passwd", "passwd"),
    ("..\\..\\windows\\system32\\cmd.exe", "cmd.exe"),
    ("/etc/passwd", "passwd"),
    ("C:\\autoexec.bat", "autoexec.bat"),
    ("\\\\server\\share\\x.pdf", "x.pdf"),
    ("....//....//x.pdf", "x.pdf"),
    ("%2e%2e%2fpasswd", "%2e%2e%2fpasswd"),
    ("..", "file"),
    (".", "file"),
    ("...", "file"),
    ("/", "file"),
    (" ", "file"),
    ("a/", "file"),
    (".htaccess", "htaccess"),
    (".ssh/authorized_keys", "authorized_keys"),
    ("invoice\u202efdp.exe", "invoicefdp.exe"),
    ("\u2066x\u2069.pdf", "x.pdf"),
    ("a\u200bb.pdf", "ab.pdf"),
    ("\ufeffx.pdf", "x.pdf"),
    ("a\x1b[31mred.pdf", "a[31mred.pdf"),
    ("a\x7fb.pdf", "ab.pdf"),
    ("a\x85b.pdf", "ab.pdf"),
    ("a\ue000b.pdf", "ab.pdf"),
    ("x.pdf. . .", "x.pdf"),
    ("x.pdf::$DATA", "x.pdf::$DATA"),
    ("con.txt", "con.txt"),
    ("<script>alert(1)<", "<script>alert(1)<"),
    ("a;b=c.pdf", "a;b=c.pdf"),
    ("'; DROP TABLE files; --.pdf", "'; DROP TABLE files; --.pdf"),
    ("$(id).pdf", "$(id).pdf"),
    ("{{7*7}}.pdf", "{{7*7}}.pdf"),
    ("=cmd|' !A0.csv", "=cmd|' !A0.csv"),
    ("r\u00e9sum\u00e9.pdf", "r\u00e9sum\u00e9.pdf"),
    ("re\u0301sume\u0301.pdf", "r\u00e9sum\u00e9.pdf"),
    ("\u0645\u0644\u0641.pdf", "\u0645\u0644\u0641.pdf"),
    ("\u6587\u66f8.pdf", "\u6587\u66f8.pdf"),
    ("\U0001f4a3.zip", "\U0001f4a3.zip"),
    ("x" * 240 + ".pdf", "x" * 200),
    ("\u00e9" * 210, "\u00e9" * 200),
    ("Z\u0351\u036b\u0343\u036a.pdf", "Z\u0351\u036b\u0313\u036a.pdf"),
)
"""What is sent, and what is shown."""


VERDICTS: Mapping[str, tuple[str, ...]] = {
    "image/png": (
        "png+html",
        "png+svg",
        "png+php",
        "png+zip",
        "png with a script in its text",
        "png of 4 gigapixels",
        "png of 2^62 pixels",
        "png with a bomb of text",
        "the first bytes of a png",
    ),
    "image/jpeg": (
        "jpeg+html",
        "jpeg+svg",
        "jpeg+php",
        "jpeg+zip",
        "jpeg with a script in its comment",
        "jpeg of 4 gigapixels",
    ),
    "image/gif": (
        "gif+html",
        "gif+svg",
        "gif+php",
        "gif+zip",
        "gif+js",
        "gif of 4 gigapixels",
    ),
    "application/pdf": (
        "pdf+html",
        "pdf+svg",
        "pdf+php",
        "pdf+zip",
        "pdf with javascript",
    ),
    "image/webp": (
        "webp+html",
        "webp+svg",
        "webp+php",
        "webp+zip",
    ),
    "application/octet-stream": (
        "bmp+js",
        "html in utf-32",
        "html behind a NUL",
        "html with a NUL inside",
        "svgz",
        "a terminal's escape",
        "a linux program",
        "a windows link",
        "a help file",
        "a flash film",
        "zip behind a page",
        "gzip bomb",
        "bmp of 4 gigapixels",
        "png without its first byte",
        "the first bytes of a jpeg",
        "one NUL",
        "a thousand NULs",
        "every byte",
        "noise",
        "half a character",
    ),
    "text/plain": (
        "pdf that starts late",
        "html in utf-16",
        "html in utf-7",
        "html far behind text",
        "svg in utf-16",
        "javascript",
        "php",
        "a shell script",
        "a batch file",
        "a shortcut",
        "a formula",
        "an archive of a page",
        "text that turns around",
        "json",
        "one endless line",
        "a pdf without version",
        "one bracket",
        "overlong utf-8",
    ),
    "text/html": (
        "html",
        "html after blanks",
        "html in capitals",
        "html behind a byte order mark",
        "html behind a comment",
        "html with a doctype",
        "html in latin-1",
        "an image tag",
        "an iframe",
        "a link that runs",
        "xhtml",
        "svg behind a comment",
    ),
    "image/svg+xml": (
        "svg",
        "svg with a declaration",
        "svg with a doctype",
    ),
    "application/xml": (
        "xml that reads a file",
        "xml that explodes",
        "xml with a stylesheet",
    ),
    "application/rtf": ("rtf",),
    "application/postscript": ("postscript",),
    "application/vnd.microsoft.portable-executable": ("a windows program",),
    "application/java": ("a java class",),
    "application/zip": (
        "zip with '../../etc/passwd'",
        "zip with '/etc/passwd'",
        "zip with '..\\\\..\\\\windows\\\\x.dll'",
        "zip with 'C:\\\\x'",
        "zip with 'a/../../b'",
        "zip with 'x\\x00y'",
        "zip with '\\u202etxt.exe'",
        "zip with 'con'",
        "zip with 'xxxxxxxxxxxxxxxxxxxx'",
        "zip with a link",
        "zip bomb",
        "zip in zip in zip",
        "zip with 5,000 entries",
        "zip cut short",
        "jar",
    ),
    "application/x-tar": (
        "tar with ../../etc/passwd",
        "tar with /etc/cron.d/x",
        "tar with a link",
        "tar with a device",
    ),
    "application/x-7z-compressed": ("7z",),
    "application/vnd.rar": ("rar",),
    "application/x-xz": ("xz",),
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": (
        "docx",
        "docx with a page inside",
    ),
    "application/vnd.ms-word.document.macroenabled.12": ("docx with macros",),
    "application/vnd.ms-excel.sheet.macroenabled.12": ("xlsx with macros",),
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ("pptx",),
    "application/msword": ("doc with macros",),
    "application/x-ole-storage": ("ole object",),
    "image/tiff": ("tiff of 4 gigapixels",),
    "audio/wave": ("riff of sound",),
}
"""What each content is taken for; whatever it is, it leaves as an attachment that runs nowhere."""
