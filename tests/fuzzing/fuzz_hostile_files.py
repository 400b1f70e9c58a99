"""Archives, arrays, weights, checkpoints and tables made to do harm: each is run once, and spoiled further."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from fuzz_mutations import zipped

XHTML = b'<html xmlns="http://www.w3.org/1999/xhtml"><body><p>%s</p></body></html>'


def epubs(files: Sequence[tuple[str, bytes]]) -> list[bytes]:
    """Archives that lead out, unpack to mountains or say wrong things of themselves; from the files of a sound one."""
    files = list(files)
    sound = zipped(files)
    texts = [name for name, _ in files if name.endswith(".xhtml")]
    package = next(name for name, _ in files if name.endswith(".opf"))

    def plus(*entries: tuple[str, bytes]) -> bytes:
        return zipped([*files, *entries])

    def instead(name: str, content: bytes) -> bytes:
        return zipped([(n, content if n == name else c) for n, c in files])

    links = io.BytesIO()
    with zipfile.ZipFile(links, "w") as archive:
        for name, content in files:
            entry = zipfile.ZipInfo(name)
            if name == texts[0]:
                entry.external_attr, content = 0o120777 << 16, b"../../../canary.txt"
            archive.writestr(entry, content)
    opf = dict(files)[package]
    hrefs = (
        b"../../../canary.txt",
        b"/etc/passwd",
        b"file:///etc/passwd",
        b"..%2f..%2f..%2fcanary.txt",
        b"http://127.0.0.1:9/x",
        b"\\..\\x",
    )
    return [
        *(
            plus((name, b"x"))
            for name in ("../x", "../../canary.txt", "/etc/x", "a/../../x", "..\\x", "C:/x", "//h/x", "")
        ),
        links.getvalue(),
        instead(texts[0], b"\0" * 20_000_000),
        instead(texts[0], XHTML % (b"<i/>" * 3_000_000)),
        instead(texts[0], XHTML % (b"word " * 3_000_000)),
        instead(texts[0], XHTML % (b"&amp;" * 2_000_000)),
        *(instead(package, opf.replace(b'href="text/', b'href="' + href + b'" x="', 1)) for href in hrefs),
        instead(package, opf.replace(b"<spine>", b"<spine>" + b'<itemref idref="x"/>' * 100_000)),
        zipped([(f"e/{n}", b"") for n in range(20_000)]),
        zipped([("META-INF/container.xml", files[0][1])] * 3 + files),
        _overlapping(sound),
        _lying(sound, 24, b"\xff\xff\xff\x7f"),
        _lying(sound, 20, b"\xff\xff\xff\x7f"),
        _lying(sound, 24, b"\x01\x00\x00\x00"),
        _lying(sound, 42, b"\xff\xff\xff\xff"),
        _lying(sound, 8, b"\x01\x00"),
        _lying(sound, 10, b"\x0c\x00"),
        _lying(sound, 28, b"\xff\xff"),
        b"#!/bin/sh\n" + sound,
        sound + b"x" * 70_000,
        sound[:-22] + sound[-22:].replace(b"PK\5\6\0\0\0\0", b"PK\5\6\1\0\1\0"),
        b"PK\5\6" + b"\0" * 18,
        b"PK\5\6" + b"\xff" * 18,
        b"PK",
        b"",
    ]


def _lying(archive: bytes, field: int, value: bytes) -> bytes:
    """Every entry of the directory with another value in one field."""
    spoiled = bytearray(archive)
    at = archive.find(b"PK\1\2")
    while at >= 0:
        spoiled[at + field : at + field + len(value)] = value
        at = archive.find(b"PK\1\2", at + 4)
    return bytes(spoiled)


def _overlapping(archive: bytes) -> bytes:
    """All entries of the directory lie where the first one does."""
    return _lying(archive, 42, b"\0\0\0\0")


def arrays() -> list[bytes]:
    """Array files with headers that lie, objects to unpickle, and other files of the same library."""
    several, objects, fields = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.savez(several, a=np.zeros((2, 4), np.float32))
    np.save(objects, np.array([[_Runs(), 1]], dtype=object), allow_pickle=True)
    np.save(fields, np.zeros(3, dtype=[("a", "<f4"), ("b", "<f4")]))

    def header(kind: str, order: str, shape: object) -> str:
        return f"{{'descr': {kind}, 'fortran_order': {order}, 'shape': {shape}}}"

    headers = (
        *(header("'<f4'", "False", f"({rows}, 4)") for rows in (10**6, 10**12, 10**18, 10**40, -1)),
        *(header("'<f4'", "False", f"(4, {width})") for width in (10**12, 0, -1, "True", "None")),
        *(header(kind, "True", "(2, 4)") for kind in ("'<f4'", "'O'", "'V4'", "'<U0'", "'>f8'", "''")),
        *(header(kind, "False", "(2, 4)") for kind in ("('<f4', (10**9,))", "('<f4', (1000000000,))")),
        header("[('a', '<f4'), ('a', '<f4')]", "False", "(2, 4)"),
        header("'<f4'", "False", "(2L, 4L)"),
        header("'<f4'", "False", "(2, 4), 'x': 1"),
        *("(" * 5000, "{" * 200, "[" * 3000 + "]" * 3000, "-" * 5000 + "1", "{}", "", "\t{", "  \n x", "'", "\\"),
        *("9" * 5000, "{'a'"),
    )
    made = [b"\x93NUMPY\1\0" + struct.pack("<H", len(h) + 1) + h.encode() + b"\n" + b"\0\0\x80?" * 8 for h in headers]
    long = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 4)}" + b" " * 2_000_000
    made += [b"\x93NUMPY" + bytes([v, 0]) + struct.pack("<I", len(long)) + long + b"\0\0\x80?" * 8 for v in (2, 3, 9)]
    return [
        *made,
        several.getvalue(),
        objects.getvalue(),
        fields.getvalue(),
        pickle.dumps([1, 2]),
        b"",
        b"\x93NUMPY",
        b"PK\3\4",
    ]


class _Runs:
    """Would write into the canary if it were unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, ("echo x > ../canary.txt",)


def tensors(names: Sequence[str] = ("keys", "vectors")) -> list[bytes]:
    """Safetensors files whose header lies."""
    first, second = names[:2]

    def file(header: Any, data: bytes = b"\0" * 4096, said: int | None = None) -> bytes:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        return (len(text) if said is None else said).to_bytes(8, "little") + text + data

    def about(dtype: str, shape: list[Any], begin: int, end: int) -> dict[str, Any]:
        return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}

    return [
        file({}),
        file({"__metadata__": {"fingerprint": "x" * 64}}),
        file(
            {
                first: about("U8", [1, 32], 0, 32),
                second: about("F32", [1, 4], 32, 48),
                "__metadata__": {"fingerprint": ""},
            }
        ),
        file({first: about("U8", [2**40, 32], 0, 2**45)}),
        file({first: about("U8", [-1, 32], 0, 4096)}),
        file({first: about("F32", [1e9, 2], 0, 4096)}),
        file({first: about("F32", [0] * 70, 0, 0), second: about("F4", [2], 0, 1)}),
        file({first: about("F32", [1024], 4096, 0)}),
        file({first: about("F32", [1024], 0, 4096), second: about("F32", [1024], 0, 4096)}),
        file({first: [], second: None}),
        file({first: {"dtype": 1, "shape": 1, "data_offsets": 1}}),
        file({first: about("U8", [True, 32], False, 32)}),
        file({str(n): about("F32", [0], 0, 0) for n in range(20_000)}),
        file(b"[" * 100_000),
        file(b"[]"),
        file(b"{}" + b" " * 200_000),
        file(b'{"a":' + b"9" * 5000 + b"}"),
        file(b"\xff\xfe"),
        file({}, said=2**63),
        file({}, said=0),
        file({}, said=1 << 27),
        b"",
        b"\1\0\0\0",
    ]


def checkpoints(sound: bytes) -> list[bytes]:
    """Checkpoints that run, grow or lie; from the bytes of a sound one."""
    with zipfile.ZipFile(io.BytesIO(sound)) as archive:
        entries = [(name, archive.read(name)) for name in archive.namelist()]
    prefix = entries[0][0].split("/")[0]

    def instead(part: str, content: bytes, method: int = zipfile.ZIP_STORED) -> bytes:
        return zipped([(n, content if n.endswith(part) else c) for n, c in entries], method)

    def reduced(module: str, name: str, argument: bytes) -> bytes:
        return b"\x80\x02c" + f"{module}\n{name}\n".encode() + argument + b"R."

    huge = b"(\x8a\x06\x00\x00\x00\x00\x00\x01t"  # a tuple of 2**40
    loop = b"\x80\x02]q\x00h\x00a."
    doubled = b"\x80\x02]q\x00" + b"".join(b"(h%ch%ctq%c" % (n, n, n + 1) for n in range(60)) + b"."
    return [
        instead("data.pkl", pickle.dumps(_Runs())),
        instead("data.pkl", pickle.dumps({"wotd": _Runs()})),
        instead("data.pkl", reduced("builtins", "eval", b"(X\x01\x00\x00\x001t")),
        instead("data.pkl", reduced("builtins", "bytearray", huge)),
        instead("data.pkl", reduced("torch", "ones", huge)),
        instead("data.pkl", reduced("numpy", "zeros", huge)),
        instead("data.pkl", loop),
        instead("data.pkl", doubled),
        instead("data.pkl", b"\x80\x02" + b"]" * 100_000 + b"."),
        instead("data.pkl", b"\x80\x02" + b"(" * 100_000 + b"t" * 100_000 + b"."),
        instead("data.pkl", b"\x80\x02X\xff\xff\xff\x7fx."),
        instead("data.pkl", b"\x80\x02\x8b\xff\xff\xff\x7f1."),
        instead("data.pkl", b"\x80\x02r\xff\xff\xff\xff."),
        instead("data.pkl", b""),
        instead("data/0", b""),
        instead("data/0", b"\0" * 20_000_000, zipfile.ZIP_DEFLATED),
        zipped([*entries, (f"{prefix}/data/99", b"\0" * 10_000_000)]),
        instead("version", b"9" * 5000),
        instead("byteorder", b"x" * 5000),
        zipped(entries),
        _overlapping(sound),
        _lying(sound, 24, b"\xff\xff\xff\x7f"),
        pickle.dumps({"wotd": {}, "state_dict": {}}, protocol=2),
        pickle.dumps(_Runs()),
        b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}q\x00.\x80\x02}q\x00.\x80\x02]q\x00.",
        zlib.compress(sound),
        sound[: len(sound) // 2],
        b"",
    ]


def parquets() -> list[bytes]:
    """Parquet files of odd types, and some that are small only while they are packed."""
    import pyarrow as pa
    from pyarrow import parquet

    def file(table: pa.Table, **settings: Any) -> bytes:
        sink = io.BytesIO()
        parquet.write_table(table, sink, **settings)
        return sink.getvalue()

    words = "the keeper of the lamp had counted the ships " * 4
    return [
        file(pa.table({"id": ["a"], "text": [words]})),
        file(pa.table({"text": pa.array([words.encode(), b"\xff\xfe"])})),
        file(pa.table({"text": pa.array([None, None])})),
        file(pa.table({"text": pa.array([], pa.string())})),
        file(pa.table({"text": pa.array([1, 2]), "id": pa.array([[1], [2]])})),
        file(pa.table({"text": pa.array([{"a": [{"b": 2}, None]}])})),
        file(pa.table({"text": pa.array([words]).dictionary_encode(), "year_written": pa.array([10**18])})),
        file(pa.table({"text": [words], "year_written": pa.array([0], pa.timestamp("ns", "Europe/Berlin"))})),
        file(pa.table({"text": [words], "index": pa.array([2**62]), "authors": pa.array([[None, "x"]])})),
        file(pa.table({"text": [words], "id": pa.array(["a"], pa.large_string()), "language": pa.array([b"\xff"])})),
        file(pa.table({"text": ["x" * 30_000] * 1000}), compression="zstd"),
        file(pa.table({"text": pa.array(["x" * 3000] * 100_000).dictionary_encode()}), compression="zstd"),
        file(pa.table({"text": ["x" * 1_000_000] * 250}), compression="zstd"),
        file(pa.table({f"c{n}": [n] for n in range(3000)})),
        file(pa.table({"text": [words], "name": ["a"]}), store_schema=False).replace(b"name", b"\x80ame"),
        b"PAR1PAR1",
        b"PAR1\xff\xff\xff\x7fPAR1",
        b"PAR1" + b"\x15" * 1000 + struct.pack("<I", 1000) + b"PAR1",
        b"PAR1" + b"\x19\xfc\xff\xff\xff\xff\x07" * 100 + struct.pack("<I", 700) + b"PAR1",
        b"",
    ]


def configs(config: dict[str, Any]) -> list[bytes]:
    """Configs of models far larger than their weights, of endless taxonomies, and with strange names of files."""
    changes: list[dict[str, Any]] = [
        {"encoder": config["encoder"] | change}
        for change in (
            *({"input_dim": n} for n in (10**5, 10**9, 10**30, -1, 1.5, "6", None, True)),
            *({"latent_dim": n, "input_dim": n} for n in (40_000, 10**7)),
            *(
                {"level_sizes": sizes}
                for sizes in ([10**9, 2], [2] * 5000, [10**30], [], 3, "88", [None], [2.5, 2], [[2]], [10**5, 3])
            ),
            *({"hidden": widths} for widths in ([10**9], [30_000, 30_000], [1] * 20_000, [-1], "8", [None])),
            *({"feature_dim": n} for n in (50_000, 10**10, -5, "x")),
            *({"quantizer": name} for name in ("fsq", "os", "", None, ["hvq"], {})),
            *(
                {"quantizer_options": options}
                for options in ({"taught": [10**9]}, {"taught": [0] * 10**5}, {"beam": 10**12}, {"x": 1}, [], "x")
            ),
            *({"quantizer_options": {"max_prefixes": n}} for n in (10**12, -1, "x", None)),
            {"x" * 100_000: 1},
            {"dropout": float("nan")},
        )
    ]
    rank = [{"name": "kind", "fact": "genres", "rule": "rank", "size": 10**9}]
    codes = [
        {
            "name": "kind",
            "fact": "g",
            "rule": "edges",
            "edges": list(range(60_000)),
            "codes": [str(n) for n in range(60_001)],
        }
    ]
    changes += [
        {"taxonomy": {"name": "x", "version": 1, "levels": levels}}
        for levels in (rank, codes, [1] * 10**5, [rank], "x", {}, [])
    ]
    changes += [{"taxonomy": taxonomy} for taxonomy in ({}, [], "x", 5, {"name": [], "version": None, "levels": None})]
    names = (
        "../../canary.txt",
        "/etc/passwd",
        "a" * 5000,
        "\ud800",
        "x\ny",
        "C:x",
        "a/b/c",
        "config.json",
        "encoder.safetensors/x",
        "\x1b[2J",
    )
    changes += [{"files": config["files"] | {name: "0" * 64}} for name in names]
    changes += [{"files": config["files"] | {"codes.parquet": digest}} for digest in (None, 5, [], "x" * 10**5)]
    changes += [{"schema": schema} for schema in (2, 10**400, "1", True, None, 1.0, [], "x" * 10**5)]
    changes += [
        {"embedding": embedding} for embedding in ({}, [], "x", 5, config["embedding"] | {"probe": [[10**400]]})
    ]
    changes += [{"embedding": config["embedding"] | {"fingerprint": {"x" * 10**5: "\n"}}}]
    written = [json.dumps(config | change).encode("utf-8", "surrogatepass") for change in changes]
    return written
