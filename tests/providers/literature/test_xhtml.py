import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_standard_ebooks import chapter, xhtml

from wotd.errors import UnreadableWorkError
from wotd.providers.literature.xhtml import parse_chapters
from wotd.providers.text import Block


def _chapters(text: str) -> list[list[Block]]:
    return parse_chapters(text.encode(), "text.xhtml")


def _blocks(body: str) -> list[Block]:
    return [block for part in _chapters(chapter(body)) for block in part]


def test_prose_runs_on_and_inline_elements_leave_no_trace():
    body = (
        '<p>The <abbr>Dr.</abbr>\n\t\tsaid <i xml:lang="fr">non</i>, twice,<br/> and\u2060\u2014\u2060went\u00a0out.'
        "</p><p/><p> </p>"
    )
    assert _blocks(body) == [Block("The Dr. said non, twice, and—went out.")]


@pytest.mark.parametrize("between", ["<br/>", "\n<br/>\n", "\n", ""])
def test_a_line_of_verse_is_a_span(between):
    lines = ["<span>One heron,</span>", '<span class="i1">two <em>herons</em>,</span>', "<span>none.</span>"]
    assert _blocks(f"<p>\n{between.join(lines)}\n</p>") == [Block("One heron,\ntwo herons,\nnone.", verse=True)]


def test_verse_without_spans_keeps_its_breaks_and_prose_does_not():
    lines = "<p>One heron,<br/>\ntwo herons.</p>"
    assert _blocks(f'<blockquote epub:type="z3998:song">{lines}</blockquote>')[0].verse
    assert _blocks(lines) == [Block("One heron, two herons.")]
    assert not _blocks('<div epub:type="z3998:poem"><p>An explanation in prose.</p></div>')[0].verse


def test_inline_spans_are_no_lines():
    assert _blocks("<p>Henry <span>V</span> and <span>VI</span></p><p><span>IV</span></p>") == [
        Block("Henry V and VI"),
        Block("IV"),
    ]


def test_notes_leave_no_digits():
    body = '<p>A heron<a href="n#1" epub:type="noteref">12</a>, a weir.<sup><a epub:type="noteref">3</a></sup></p>'
    assert _blocks(body) == [Block("A heron, a weir.")]


@pytest.mark.parametrize(
    "furniture",
    [
        "<h3>IV</h3>",
        '<hgroup><h2>I</h2><p epub:type="title">A Title</p></hgroup>',
        '<p hidden="hidden">Unseen</p>',
        '<p epub:type="bridgehead">In which nothing happens.</p>',
        '<blockquote epub:type="epigraph"><p>Motto</p><cite>Somebody</cite></blockquote>',
        '<section epub:type="dedication"><p>To the heron</p></section>',
        '<section epub:type="introduction"><p>By a professor</p></section>',
        '<section epub:type="endnotes"><ol><li epub:type="endnote"><p>A note</p></li></ol></section>',
        '<aside epub:type="footnote"><p>A note</p></aside>',
        '<figure><img src="a.jpg" alt="A picture"/><figcaption>Caption</figcaption></figure>',
        '<p><img src="a.jpg" alt="A picture"/></p>',
        "<nav><ol><li>Contents</li></ol></nav>",
        '<svg xmlns="http://www.w3.org/2000/svg"><text>drawn</text></svg>',
        '<p><svg xmlns="http://www.w3.org/2000/svg"><text>drawn</text></svg></p>',
        "<table><tbody><tr><td>Total</td><td>21.70</td></tr></tbody></table>",
        '<header><p epub:type="se:bridgehead">Summary</p></header>',
        "<header><h2>I</h2><p>By another hand</p></header>",
        "<footer><p>August 1902.</p></footer>",
        "<!-- a comment --><?an instruction?>",
        "<hr/>",
    ],
)
def test_furniture_is_left_out_and_what_follows_it_is_not(furniture):
    assert _blocks(f"{furniture}\n<p>Text.</p>{furniture}") == [Block("Text.")]


@pytest.mark.parametrize("kind", ["frontmatter", "frontmatter z3998:fiction", "backmatter"])
def test_only_body_matter_is_text(kind):
    assert _chapters(xhtml("<p>Text.</p>", kind)) == []
    assert _chapters(xhtml("<p>Text.</p>", "bodymatter z3998:drama z3998:fiction")) == [[Block("Text.")]]


def test_a_long_vignette_in_a_header_is_text():
    vignette = (
        "The river went by as it had always gone by, past the mill and the weir and the heron, who was still early."
    )
    assert _blocks(f"<header><h2>I</h2><p>{vignette}</p></header><p>Text.</p>")[0] == Block(vignette)


def test_letters_keep_their_heads_and_signatures():
    body = (
        '<blockquote epub:type="z3998:letter"><header><p epub:type="se:letter.dateline">Oakham, May 3.</p></header>'
        '<p epub:type="z3998:salutation">Sir,</p><p>It is early.</p>'
        '<footer><p epub:type="z3998:signature">The Heron</p></footer></blockquote>'
    )
    assert [block.text for block in _blocks(body)] == ["Oakham, May 3.", "Sir,", "It is early.", "The Heron"]


def test_lists_and_definitions():
    body = (
        "<ol><li><p>One</p></li><li>Two <b>and</b> a half<ul><li>Three</li></ul></li></ol>"
        "<dl><dt><dfn>Heron</dfn></dt><dt>Egret</dt><dd><p>A bird.</p><p>It waits.</p></dd></dl>"
    )
    assert [block.text for block in _blocks(body)] == [
        "One",
        "Two and a half",
        "Three",
        "Heron, Egret: A bird.",
        "It waits.",
    ]


PLAY = """<table><tbody>
<tr><td/><td><i epub:type="z3998:stage-direction">Enter <b epub:type="z3998:persona">Heron</b>.</i></td></tr>
<tr><td epub:type="z3998:persona">Miller<a epub:type="noteref">1</a></td>
    <td>What is the time? <i epub:type="z3998:stage-direction">Aside.</i> He will say it is early.</td></tr>
<tr><td epub:type="z3998:persona">Heron</td><td epub:type="z3998:verse"><p>
    <span>I wade, I wait,</span><br/><span class="i2">it is not late.</span></p></td></tr>
<tr><td epub:type="z3998:persona" rowspan="2">Both<br/> The <abbr>Mrs.</abbr> Miller</td><td><p>Early!</p></td></tr>
<tr><td>(<i epub:type="z3998:stage-direction">They go</i>)</td></tr>
<tr><td epub:type="z3998:persona">Clock</td><td/></tr>
</tbody></table>"""


def test_a_play_is_speeches_with_their_speakers():
    assert _blocks(PLAY) == [
        Block("(Enter Heron.)"),
        Block("Miller: What is the time? (Aside.) He will say it is early."),
        Block("Heron: I wade, I wait,\nit is not late.", verse=True),
        Block("Both, The Mrs. Miller: Early!"),
        Block("(They go)"),
        Block("Clock"),
    ]


def test_other_tables_give_their_paragraphs():
    body = (
        "<table><tbody><tr><td><h3>1.1</h3></td><td><p>The weir is all that is the case.</p></td></tr></tbody></table>"
    )
    assert _blocks(body) == [Block("The weir is all that is the case.")]


def test_a_formula_is_read_by_its_alternative_text():
    body = (
        '<p xmlns:m="http://www.w3.org/1998/Math/MathML">If <m:math alttext="p"><m:mi>p</m:mi></m:math>, '
        "then early.</p>"
    )
    assert _blocks(body) == [Block("If p, then early.")]


def test_html_entities_are_read():
    text = chapter("<p>early&nbsp;late</p>").replace("<html", '<!DOCTYPE html SYSTEM "xhtml11.dtd">\n<html', 1)
    assert _chapters(text) == [[Block("early late")]]


def test_poems_and_typed_sections_are_chapters_and_untyped_ones_are_not():
    body = """
    <p>Before.</p>
    <article epub:type="z3998:poem"><h2>One</h2><p>a</p><section><h3>II</h3><p>b</p></section></article>
    <article><section epub:type="z3998:poem"><p>c</p></section><p>d</p></article>
    <section epub:type="chapter"><p>e</p><section epub:type="z3998:subchapter"><p>f</p></section></section>
    <p>After.</p>"""
    read = [[block.text for block in part] for part in _chapters(xhtml(body))]
    assert read == [["Before."], ["a", "b"], ["c"], ["d"], ["e", "f"], ["After."]]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html><body>",
        '<!DOCTYPE html [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><html xmlns="http://www.w3.org/1999/xhtml"/>',
        '<!DOCTYPE html [<!ENTITY x SYSTEM "file:///etc/passwd">]><html xmlns="http://www.w3.org/1999/xhtml"/>',
    ],
)
def test_what_is_not_well_formed_or_declares_entities_is_unreadable(text):
    with pytest.raises(UnreadableWorkError, match=r"text\.xhtml"):
        _chapters(text)


def test_a_document_without_a_body_has_no_text():
    assert _chapters('<html xmlns="http://www.w3.org/1999/xhtml"/>') == []


def test_deep_nesting_is_read_or_refused_but_never_overflows():
    assert _chapters(xhtml("<div>" * 200 + "<p>Text.</p>" + "</div>" * 200)) == [[Block("Text.")]]
    with pytest.raises(UnreadableWorkError):
        _chapters(xhtml("<div>" * 5000 + "</div>" * 5000))


WORDS = st.lists(st.text("abcdefgäöß’", min_size=1, max_size=8), min_size=1, max_size=6)


@given(st.lists(st.tuples(WORDS, st.sampled_from(["p", "blockquote", "div", "li", "span"])), min_size=1, max_size=8))
def test_no_text_is_lost_and_no_words_run_together(pieces):
    """However the elements around them are nested, the words come out in their order, apart from each other."""
    wrap = {"p": "<p>{}</p>", "blockquote": "<blockquote><p>{}</p></blockquote>", "div": "<div>{}</div>",
            "li": "<ul><li>{}</li></ul>", "span": "<p>“<b>{}</b>”</p>"}  # fmt: skip
    body = "".join(wrap[kind].format("\n\t".join(found)) for found, kind in pieces)
    expected = [
        word
        for found, kind in pieces
        for word in (f"“{' '.join(found)}”" if kind == "span" else " ".join(found)).split()
    ]
    assert " ".join(block.text for block in _blocks(body)).split() == expected


@given(st.lists(st.lists(WORDS, min_size=2, max_size=6), min_size=1, max_size=5))
def test_every_line_of_verse_stays_a_line(stanzas):
    body = "".join(
        "<p>" + "<br/>".join(f"<span>{' '.join(line)}</span>" for line in stanza) + "</p>" for stanza in stanzas
    )
    assert _blocks(body) == [Block("\n".join(" ".join(line) for line in stanza), verse=True) for stanza in stanzas]
