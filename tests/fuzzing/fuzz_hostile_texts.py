"""Documents, texts, tables and values made to do harm: each is run once, and spoiled further like any other."""

from __future__ import annotations

import gzip

_BOMB = b"".join(b'<!ENTITY e%d "%s">' % (n + 1, b"&e%d;" % n * 10) for n in range(12))


def xml(document: bytes) -> list[bytes]:
    """Hostile forms of a document that is sound."""
    declaration = b'<?xml version="1.0"?>'
    head, _, rest = document.partition(b"?>") if document.startswith(b"<?xml") else (b"", b"", document)
    del head
    root = rest.lstrip()
    name = root[1:].split(None, 1)[0].strip(b">").decode("ascii", "replace").encode()
    inner = root.find(b">") + 1

    def with_dtd(subset: bytes, within: bytes) -> bytes:
        return declaration + b"<!DOCTYPE " + name + subset + b">" + root[:inner] + within + root[inner:]

    return [
        with_dtd(b' [<!ENTITY e0 "ha">' + _BOMB + b"]", b"&e12;"),
        with_dtd(b' [<!ENTITY x SYSTEM "file:///etc/passwd">]', b"&x;"),
        with_dtd(b' [<!ENTITY x SYSTEM "../canary.txt">]', b"&x;"),
        with_dtd(b' [<!ENTITY % p SYSTEM "../canary.txt"> %p;]', b""),
        with_dtd(b' [<!ATTLIST p a CDATA "' + b"x" * 10000 + b'">]', b"<p/>" * 10000),
        with_dtd(b' SYSTEM "../canary.txt"', b"&nbsp;&made-up;"),
        with_dtd(b' SYSTEM "http://127.0.0.1:9/x.dtd"', b"&nbsp;"),
        with_dtd(b' PUBLIC "-//X" "../../canary.txt"', b"&x;" * 200_000),
        declaration + root[:inner] + b'<?xml-stylesheet href="../canary.txt"?>' + root[inner:],
        root[:inner] + b'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="../canary.txt"/>' + root[inner:],
        root[:inner] + b"<i>" * 240 + b"x" + b"</i>" * 240 + root[inner:],
        root[:inner] + b"<i>" * 100_000 + b"x" + b"</i>" * 100_000 + root[inner:],
        root[:inner] + b"<i>" * 100_000,
        root[:inner] + b"<i/>" * 2_000_000 + root[inner:],
        root[:inner] + b"<i/>x" * 200_000 + root[inner:],
        root[:inner] + b"<!---->" * 1_000_000 + root[inner:],
        root[:inner] + b"<?x?>" * 1_000_000 + root[inner:],
        root[:inner] + b"<i " + b" ".join(b'a%d=""' % n for n in range(300_000)) + b"/>" + root[inner:],
        root[:inner] + b'<i a="' + b"x" * 3_000_000 + b'"/>' + root[inner:],
        root[:inner] + b"<" + b"i" * 100_000 + b"/>" + root[inner:],
        root[:inner] + b"x" * 12_000_000 + root[inner:],
        root[:inner] + b"&amp;" * 1_000_000 + root[inner:],
        root[:inner] + b"&#x10FFFF;&#xD800;" + root[inner:],
        *(document.decode("utf-8").encode(codec) for codec in ("utf-16", "utf-16-le", "utf-32", "utf-7", "utf-8-sig")),
        b'<?xml version="1.0" encoding="cp037"?>' + root,
        b'<?xml version="1.0" encoding="utf-7"?>' + root,
        b'<?xml version="1.0" encoding="IBM037"?>'.decode().encode("cp037")
        + root.decode("utf-8").encode("cp037", "replace"),
        document * 2,
        b"",
        b"\0",
        gzip.compress(document, mtime=0),
    ]


def prose() -> list[bytes]:
    """Texts on which expressions that look back could fall asleep."""
    repeated = (
        *(
            "a",
            " ",
            ".",
            "'",
            "-",
            "\u2014",
            "1",
            "[",
            "]",
            "(",
            "{",
            "*",
            "_",
            "=",
            "^",
            "|",
            '"',
            "\u00ad",
            "\u0300",
            "a-",
        ),
        *("a.", ". ", "! ", "a'", "i", "iv", "1 ", "1-", "b.c. ", "A. ", "Mr. ", "--", "- ", ", ", "; ", "and ", "&"),
        *(
            "[1]",
            "[Greek: ",
            "[Illustration: ",
            "^{a",
            "{p",
            "=a",
            "a=",
            "+ ",
            "\t",
            "\u00a0",
            "\u1e9e\u0130",
            "\u0661",
        ),
    )
    texts = [part * (12_000 // len(part)) for part in repeated]
    lines = [
        (part * 30).strip() + "\n"
        for part in ("a b ", "[x", "*** ", "CHAPTER I ", "by ", "Title: ", "1 ", "| ", "vol. ")
    ]
    texts += [line * 500 for line in lines]
    texts += [
        "word " * 30_000,
        "\n" * 100_000,
        "a\n" * 30_000,
        "a\n\n" * 20_000,
        " \n" * 30_000,
        ("a" * 20 + " ") * 5000 + ".",
    ]
    return [text.encode("utf-8") for text in texts]


def json_values() -> list[bytes]:
    """JSON and what passes for it."""
    return [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 900 + b"]" * 900,
        b"9" * 5000,
        b"-" + b"9" * 4000,
        b'{"schema": ' + b"9" * 4400 + b"}",
        b"[1e999, -1e999, NaN, Infinity]",
        b'"\\ud800"',
        b'{"\\ud800": "\\udfff"}',
        b'{"a": 1, "a": 2}',
        b"[" + b"[]," * 100_000 + b"[]]",
        b"[" + b"0.1," * 100_000 + b"1]",
        b"null",
        b"true",
        b'""',
        b"",
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        "{}".encode("utf-32"),
        b"\0",
        b'{"texts": ["\\u0000"]}',
    ]


def yaml_documents() -> list[bytes]:
    """YAML that runs, refers, nests or takes its time."""
    bomb = b"a0: &a0 [x,x]\n" + b"".join(b"a%d: &a%d [*a%d,*a%d]\n" % (n, n, n - 1, n - 1) for n in range(1, 30))
    return [
        b"!!python/object/apply:os.system ['touch ../canary.txt']",
        b"title: !!python/name:os.system\n",
        b"title: !!python/object/new:type [x, [], {}]\n",
        bomb,
        b"&a [*a]",
        b"title: &a {b: *a}",
        b"a: &a {x: 1}\nb: {<<: *a}\nc: {<<: [*a, *a]}\n",
        b"[" * 5000,
        b"{a: " * 5000,
        b"- " * 5000,
        b"? " * 5000,
        b"title: " + b"9" * 5000,
        b"title: 0x" + b"f" * 5000,
        b"title: 1" + b":59" * 300,
        b"title: 2001-99-99\n",
        b"title: 2001-12-14t21:59:43.10-99:99\n",
        b"title: .inf\nidentifiers: {gutenberg: .nan}\n",
        b"{[a]: b, {c: d}: e}",
        b"? [a, b]\n: c\n",
        b"title: !!binary =====\n",
        b"title: !!set {a, b}\nsubjects: !!omap [a: b]\n",
        b"title: !!timestamp x\n",
        b"title: !!int x\n",
        b"title: !!float x\n",
        b"title: !!bool x\n",
        b"title: !!null x\n",
        b"<<: x\n",
        b"%YAML 9.9\n---\na\n",
        b"%TAG ! tag:x\n--- !a b\n",
        b"a: b\n" * 12_000,
        b"a: |\n" + b"  x\n" * 15_000,
        b"'" + b"x\n\n" * 20_000,
        b'"' + b"\\x41" * 15_000 + b'"',
        b'"\\ud800\\U00110000"',
        b"- a\n--- \n- b\n",
        b"",
        "title: x\n".encode("utf-16"),
        b"title: a\x00b\n",
        b"title: \x85\n",
    ]


def csv_tables() -> list[bytes]:
    """Tables with quotes, rows and cells that do not end or do not fit."""
    return [
        b'id,text\n1,"never closed\n' + b"line\n" * 50_000,
        b"id,text\n" + b'"' * 200_001,
        b"id,text\n1," + b"x" * 3_000_000 + b"\n",
        b"id,text\n" + b"1,x\n" * 5000,
        b"id,text\n1\n1,2,3\n,\n",
        b"text,text\na,b\n",
        b",,\na,b,c\n",
        b"\n\n\n",
        b"text\0\na\0b\n",
        b"text\rword \rword\r",
        b'text;id\n"a";1\n',
        b"a" * 200_000,
        b"," * 100_000 + b"\n" + b"," * 100_000,
        "id,text\n1,na\u00efve\n".encode("latin-1"),
        "id,text\n1,x\n".encode("utf-16"),
        b"\xef\xbb\xbfid,text\n1,x\n",
        b"id,text,year_written,authors,index\n1,x," + b"9" * 400 + b",;;;," + b"9" * 400 + b"\n",
        b"Text#,Title\n" + b"1,x\n" * 20_000,
        b"Text#\n" + b"9" * 5000 + b"\n",
        b"",
        b'"',
    ]


def gutenberg_texts() -> list[bytes]:
    """Headers and encodings that lie."""
    start, end = b"*** START OF THE PROJECT GUTENBERG EBOOK X ***\n", b"*** END OF THE PROJECT GUTENBERG EBOOK X ***\n"
    body = (
        b"CHAPTER I\n\n"
        + b"The keeper of the lamp had counted the ships since morning, and by noon there were many. " * 8
    )
    declared = b"Title: X\nCharacter set encoding: %s\n\n"
    codecs = (
        b"utf-16",
        b"utf-7",
        b"idna",
        b"punycode",
        b"rot13",
        b"zlib",
        b"hex",
        b"unicode_escape",
        b"undefined",
        b"../x",
        b"cp037",
    )
    return [
        *(declared % codec + start + body + b"\xe9\x81\n" + end for codec in codecs),
        start + end,
        end + body + start,
        start * 2000 + body,
        (start + body + end) * 20,
        b"[Illustration: " * 4000,
        b"*START*THE SMALL PRINT!\n" * 3000 + b"*END*THE SMALL PRINT! Version.1\n" * 3000,
        body.decode().encode("utf-16"),
        b"\xff\xfe" + body,
        b"\xef\xbb\xbf\xff" + body,
        b"Title: " + b"x" * 300_000 + b"\n\nAuthor: " + b"A, " * 50_000 + b"\n" + start + body,
        b"Language: " + b"x and " * 20_000 + b"\n" + start + body,
        b"Project Gutenberg" + b" of" * 20_000 + b"\n" + body,
        b"[EBook #9999999]\n" + start + body,
        b"\0" * 100,
        b"",
        b"\n" * 1000,
    ]


def overrides() -> list[bytes]:
    """Overrides of a config that lead out, refer to themselves, or are none; one a line."""
    return [
        b"seed=" + b"9" * 5000,
        b"seed=" + b"[" * 2000,
        b"seed=" + b"[" * 90 + b"]" * 90,
        b"a" * 5000 + b"=1",
        b"=",
        b"",
        b"seed",
        b"+=",
        b"~",
        b"seed=${seed}",
        b"seed=${oc.env:NOWHERE}",
        b"seed=${",
        b"+a=${b}\n+b=${a}",
        b"seed='",
        b"a.b.c.d=1",
        b"..=1",
        b"seed=1e999",
        b"seed=nan",
        b"provider=../../canary",
        b"provider=/etc/passwd",
        b"experiment=../x",
        b"+provider=[a,b]",
        b"hydra.run.dir=../x",
        b"seed=\xff",
        b"seed=a\0b",
        b"seed@x=1",
        b"+seed@:=1",
        b"provider@data=gutenberg",
        b"seed=1,2",
        b"seed=range(1,99999999)",
        b"seed=glob(*)",
        b"model.hidden=[" + b"1," * 200 + b"1]",
        b"model=null",
        b"~model",
        b"model.quantizer=x",
        b"data=1",
        b"callbacks=[]",
        b"trainer={}",
        b"+a={b:{c:{d:" + b"{x:" * 60 + b"1" + b"}" * 60 + b"}}}",
        b"seed=true",
        b"seed=\xf0\x9f\x98\x80",
        b"\xef\xbb\xbfseed=1",
        b"seed= 1 ",
        b"seed=\\",
        b"model.level_sizes=7",
        b"model.level_sizes=[-1]",
    ]
