"""How inputs are spoiled: a few steps each, of bytes or of what the format is made of; one source makes all choices."""

from __future__ import annotations

import csv
import io
import json
import re
import struct
import zipfile
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

Mutation = Callable[[Random, bytes, Sequence[bytes]], bytes]

MAX_BYTES = 1 << 20
"""What a step makes longer than this is cut; sizes beyond it are the business of hostile inputs made by hand."""

_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
_TAG = re.compile(rb"<[^<>]*>")
_ATTRIBUTE = re.compile(rb"""=\s*("[^"]*"|'[^']*')""")
_NUMBERS = (
    *(b"0", b"-0", b"-1", b"1", b"255", b"65536", b"2147483648", b"4294967296", b"9223372036854775808", b"1e308"),
    *(b"1e999", b"-1e999", b"NaN", b"0.0000001", b"00012", b"9" * 20, b"9" * 400, b"9" * 5000, b"1_000", b"0x10"),
    *("\u0661\u0662\u0663".encode(), "\u00b2".encode(), "\u2460".encode(), b"+5", b"1.", b".5"),
)
_TOKENS = (
    *(
        b"\0",
        b"\x00\x00\x00\x00",
        b"\xff",
        b"\xfe\xff",
        b"\xef\xbb\xbf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xc0\x80",
    ),
    *(b"\r", b"\n", b"\r\n", b"\t", b"\x0b", b"\x0c", b"\x1b[31m", b"\x1d", b"\x7f", b"\x85", "\u2028".encode()),
    *("\u202e".encode(), "\u0300".encode() * 50, "\U0001f468\u200d\U0001f469".encode(), "\u00df\u0130\ufb01".encode()),
    *(
        b"A" * 5000,
        b" " * 5000,
        b"." * 3000,
        b"-" * 3000,
        b"'" * 3000,
        b"a." * 2000,
        b"[" * 3000,
        b"(" * 3000,
        b"\n" * 2000,
    ),
    *(b"../canary.txt", b"../../canary.txt", b"/etc/passwd", b"file:///etc/passwd", b"..%2f..%2fcanary.txt", b"C:\\x"),
    *(
        b"%00",
        b"%s%n",
        b"${oc.env:HOME}",
        b"{{7*7}}",
        b"&amp;",
        b"&nbsp;",
        b"&#0;",
        b"&#xD800;",
        b"&x;",
        b"<!--",
        b"-->",
    ),
    *(b"<![CDATA[", b"]]>", b"<?x?>", b'"', b"'", b",", b";", b":", b"-", b"*", b"#", b"|", b"\\", b"\\u", b"\\ud800"),
    *(b"null", b"true", b"[]", b"{}", b'""', b"!!python/name:os.system", b"&a [*a]", b"<<: *a", b"? ", b"- "),
)
_TREE_VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2**31,
        2**63,
        10**30,
        10**300,
        0.5,
        -0.0,
        1e308,
        float("inf"),
        float("nan"),
        "",
        " ",
        "0",
    ),
    *("\0", "\ud800", "A" * 3000, "../canary.txt", "/etc/passwd", "a\nb", "\x1b[31m", [], {}, [[]], [None], {"": None}),
    *({"a": {"b": []}}, [0] * 3000, ["x"] * 3000, [[1, 2], [3]], "1-2-3", "*", "\u0661"),
)
_NAMES = (
    "../canary.txt",
    "/etc/passwd",
    "..\\x",
    "a/../../x",
    "C:x",
    "",
    ".",
    "a" * 400,
    "a\0b",
    "\ud83d",
    "META-INF/container.xml",
)
_ENCODINGS = (
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "utf-32",
    "utf-8-sig",
    "utf-7",
    "cp1252",
    "latin-1",
    "cp037",
    "shift_jis",
)


def mutate(
    random: Random, data: bytes, seeds: Sequence[bytes], kind: str, most: int = 4, max_bytes: int = MAX_BYTES
) -> bytes:
    """The beginning of the data after up to that many steps that suit its kind; with none it is as it was."""
    for _ in range(random.randint(0, most)):
        step = random.choice(MUTATIONS[kind])
        data = step(random, data, seeds)[:MAX_BYTES]
    return data[:max_bytes]


def _span(random: Random, data: bytes, longest: int) -> tuple[int, int]:
    first = random.randint(0, len(data))
    return first, min(len(data), first + random.randint(0, longest))


def _flip(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    spoiled = bytearray(data)
    for _ in range(random.randint(1, 6) if spoiled else 0):
        spoiled[random.randint(0, len(spoiled) - 1)] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randint(0, 255)))
    return bytes(spoiled)


def _flip_end(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """Directories and footers stand at the end."""
    end = data[-300:]
    return data[: len(data) - len(end)] + _flip(random, end, seeds)


def _flip_begin(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    return _flip(random, data[:200], seeds) + data[200:]


def _cut(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    first, end = _span(random, data, random.choice((1, 20, 400, 20_000)))
    return data[:first] + data[end:]


def _shorten(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    return data[: random.randint(0, len(data))]


def _repeat(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    first, end = _span(random, data, random.choice((1, 20, 400)))
    return data[:end] + data[first:end] * random.choice((1, 2, 50, 1000)) + data[end:]


def _splice(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    other = random.choice(list(seeds))
    first, end = _span(random, other, 2000)
    start, stop = _span(random, data, 2000)
    return data[:start] + other[first:end] + data[stop:]


def _insert(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    place = random.randint(0, len(data))
    return data[:place] + random.choice(_TOKENS) + data[place:]


def _number(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    return _replaced(random, data, _NUMBER, lambda _: random.choice(_NUMBERS))


def _recode(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    text = data.decode("utf-8", "replace")
    return text.encode(random.choice(_ENCODINGS), "replace")


def _replaced(random: Random, data: bytes, pattern: re.Pattern[bytes], by: Callable[[bytes], bytes]) -> bytes:
    found = [match.span() for match in pattern.finditer(data)]
    if not found:
        return data
    first, end = found[random.randint(0, len(found) - 1)]
    return data[:first] + by(data[first:end]) + data[end:]


def _drop_tag(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    return _replaced(random, data, _TAG, lambda _: b"")


def _swap_tag(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    others = _TAG.findall(random.choice(list(seeds))) or [b"<x>"]
    return _replaced(random, data, _TAG, lambda _: others[random.randint(0, len(others) - 1)])


def _nest(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """Put an empty element inside many of its kind, where it leaves the document well-formed."""
    name = random.choice((b"p", b"span", b"section", b"table", b"i", b"div", b"blockquote"))
    depth = random.choice((2, 50, 200, 255, 5000))
    return (
        _replaced(random, data, _TAG, lambda tag: b"<" + name + b">" + b"x" + b"</" + name + b">" + tag)
        if (random.randint(0, 1))
        else _replaced(
            random, data, _TAG, lambda tag: (b"<" + name + b">") * depth + b"x" + (b"</" + name + b">") * depth + tag
        )
    )


def _attribute(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    others = _ATTRIBUTE.findall(random.choice(list(seeds)))
    values = [*others[:50], b'""', *(b'"' + token.replace(b'"', b"") + b'"' for token in _TOKENS[:40])]
    return _replaced(random, data, _ATTRIBUTE, lambda _: b"=" + random.choice(values))


def _tree(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """Change one place of a JSON value, or of one line of JSON."""
    lines = data.split(b"\n")
    at = random.randint(0, len(lines) - 1)
    try:
        whole: Any = json.loads(data)
        return _dumped(_changed(random, whole))
    except (ValueError, RecursionError):
        pass
    try:
        lines[at] = _dumped(_changed(random, json.loads(lines[at])))
    except (ValueError, RecursionError):
        return _insert(random, data, seeds)
    return b"\n".join(lines)


def _dumped(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


def _changed(random: Random, value: Any) -> Any:
    if isinstance(value, dict) and value and random.randint(0, 5):
        key = random.choice(list(value))
        act = random.randint(0, 9)
        if act == 0:
            return {k: v for k, v in value.items() if k != key}
        if act == 1:
            return {**value, random.choice(_NAMES): value[key]}
        if act == 2:
            return {**value, key: value[random.choice(list(value))]}
        return {**value, key: _changed(random, value[key])}
    if isinstance(value, list) and value and random.randint(0, 5):
        at = random.randint(0, len(value) - 1)
        act = random.randint(0, 9)
        if act == 0:
            return value[:at] + value[at + 1 :]
        if act == 1:
            return value + value[at : at + 1] * random.choice((1, 2, 500))
        return [*value[:at], _changed(random, value[at]), *value[at + 1 :]]
    if isinstance(value, int) and not isinstance(value, bool) and random.randint(0, 1):
        return value + random.choice((-1, 1, -value, 10**6, 10**9, 10**12))
    return random.choice(_TREE_VALUES)


def _cell(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    text = io.StringIO(data.decode("utf-8", "replace").replace("\0", ""), newline="")
    try:
        rows = list(csv.reader(text))
    except csv.Error:  # a cell of hundreds of kilobytes
        rows = []
    if not rows:
        return _insert(random, data, seeds)
    row = rows[random.randint(0, len(rows) - 1)]
    act = random.randint(0, 3)
    if act == 0:
        row.append("x")
    elif act == 1 and row:
        row.pop(random.randint(0, len(row) - 1))
    elif row:
        row[random.randint(0, len(row) - 1)] = random.choice((*_TOKENS, *_NUMBERS)).decode("utf-8", "replace")
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=random.choice(",,,;\t")).writerows(rows)
    return out.getvalue().encode("utf-8", "replace")


def _entry(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """An archive with one entry spoiled, renamed, doubled or left out."""
    entries = unzipped(data)
    if not entries:
        return _flip(random, data, seeds)
    at = random.randint(0, len(entries) - 1)
    name, content = entries[at]
    act = random.randint(0, 5)
    if act == 0:
        entries[at] = (random.choice(_NAMES), content)
    elif act == 1:
        entries.append((name, content))
    elif act == 2:
        entries.pop(at)
    else:
        kind = _KINDS.get(name.rpartition(".")[2], "bytes")
        entries[at] = (name, mutate(random, content, [content], kind))
    return zipped(entries, random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))


def _stored_entry(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """The same for archives whose entries are never packed."""
    entries = unzipped(data)
    if not entries:
        return _flip(random, data, seeds)
    at = random.randint(0, len(entries) - 1)
    name, content = entries[at]
    if random.randint(0, 4):
        entries[at] = (name, mutate(random, content, [content], "bytes", 2))
    else:
        entries.pop(at)
    return zipped(entries, zipfile.ZIP_STORED)


def _directory(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """A field of a header in an archive, or of its directory, says something else: flags, method, size, place."""
    marks = [match.start() for match in re.finditer(rb"PK(?:\x01\x02|\x03\x04|\x05\x06)", data)]
    if not marks:
        return data
    at = marks[random.randint(0, len(marks) - 1)] + random.randint(4, 45)
    width = random.choice((2, 4))
    value = random.choice((0, 1, 8, 99, 0x7FFF, 0xFFFF, random.randint(0, 0xFFFF)))
    patch = struct.pack("<I", value if random.randint(0, 1) else 0xFFFFFFFF)[:width]
    return data[:at] + patch + data[at + width :]


def _header(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """The JSON header of a safetensors file, its length kept in step or not."""
    length = int.from_bytes(data[:8], "little")
    if not 0 < length <= len(data) - 8:
        return _flip(random, data, seeds)
    header = _tree(random, data[8 : 8 + length], seeds)
    said = len(header) if random.randint(0, 5) else random.choice((0, 7, 1 << 20, 1 << 40, (1 << 64) - 1))
    return said.to_bytes(8, "little") + header + data[8 + length :]


def _array_header(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """The Python literal that heads an array file, its length kept in step or not."""
    length = int.from_bytes(data[8:10], "little")
    header = data[10 : 10 + length]
    texts = (
        *(
            b"'<f8'",
            b"'|O'",
            b"'<U9'",
            b"'>f4'",
            b"'<i8'",
            b"'|b1'",
            b"[('a', '<f4')]",
            b"'<f2'",
            b"'<M8[s]'",
            b"'<c8'",
        ),
        *(
            b"True",
            b"None",
            b"(4,)",
            b"()",
            b"(0, 4)",
            b"(-1, 4)",
            b"(10**9, 4)",
            b"(4611686018427387904, 4)",
            b"(" * 300,
        ),
        *(
            b"(2, 2, 2)",
            b"(1, 100000000000)",
            b"(True, 4)",
            b"(1.5, 4)",
            b"('4', 4)",
            b"{'x': 1}",
            b"\n",
            b"\t# ",
            b"'",
            b"\\",
        ),
    )
    pattern = re.compile(rb"'[^']*'|\([^)]*\)|True|False|\d+")
    header = _replaced(random, header, pattern, lambda _: random.choice(texts))
    said = len(header) if random.randint(0, 5) else random.choice((0, 1, 500, 65535))
    return data[:8] + said.to_bytes(2, "little") + header + data[10 + length :]


def unzipped(data: bytes) -> list[tuple[str, bytes]]:
    """Names and contents of the entries of an archive; none where it cannot be read."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            small = [entry for entry in archive.infolist() if entry.file_size <= MAX_BYTES]
            return [(entry.filename, archive.read(entry)) for entry in small]
    except Exception:  # whatever an archive that is spoiled already raises
        return []


def zipped(entries: Sequence[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An archive of these entries; names may be anything."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in entries:
            entry = zipfile.ZipInfo("x")
            entry.filename = name.encode("utf-8", "replace").decode()
            entry.compress_type = method
            archive.writestr(entry, content)
    return file.getvalue()


_BYTES = (_flip, _cut, _shorten, _repeat, _splice, _insert)
_TEXTS = (*_BYTES, _insert, _number, _recode)
_KINDS = {"opf": "xml", "xhtml": "xml", "xml": "xml", "json": "json"}

MUTATIONS: dict[str, tuple[Mutation, ...]] = {
    "bytes": _BYTES,
    "text": _TEXTS,
    "xml": (*_TEXTS, _drop_tag, _swap_tag, _nest, _attribute, _attribute),
    "json": (*_TEXTS, _tree, _tree, _tree, _tree, _tree, _tree),
    "csv": (*_TEXTS, _cell, _cell, _cell, _cell),
    "zip": (_flip, _flip_end, _shorten, _splice, _directory, _directory, _entry, _entry, _entry, _entry),
    "stored_zip": (_flip, _flip_end, _shorten, _directory, *(_stored_entry,) * 6),
    "safetensors": (_flip, _flip_begin, _shorten, _cut, _insert, _header, _header, _header, _header),
    "array": (_flip, _flip_begin, _shorten, _insert, _repeat, _array_header, _array_header, _array_header),
    "parquet": (_flip, _flip, _flip_end, _flip_end, _flip_end, _shorten, _splice, _cut),
}
"""Steps by kind of input; what suits a format best stands there several times."""
