"""What style sees in a single word: which small word it is, how it ends, how long it is, how it is written.

Every fact is an indicator, a column that the word counts in once or not at all, so that a passage is
the sum of its words and every number that follows from it is exact.
"""

from __future__ import annotations

from functools import lru_cache

from wotd.providers.text import count_syllables

FUNCTION_WORDS = (
    "the of and to a in that i it was he his with as for not had but be at on by is him her she they my which you "
    "from have this or all we me were so when one an there if will been what their them who then out into up could "
    "than now its do any your upon are has these those am did about after own down over such shall must can only "
    "very before never too like while because until though nor till us"
)

WORD_GROUPS = {
    "thou": "thou thee thy thine ye thyself",
    "hath": "hath doth art hast dost wilt shalt canst wert hadst didst mayst saith quoth",
    "unto": "unto whilst whence thence hence hither thither wherefore thereof whereof wherein therein nay verily lo "
    "alas oft ere betwixt methinks forsooth amongst ay o",
    "therefore": "therefore however thus although indeed whether consequently moreover nevertheless accordingly",
    "said": "said says say asked replied cried answered",
    "something": "something anything everything nothing someone anyone everyone somebody anybody everybody",
    "get": "get got gets getting",
    "around": "back around off just right away",
    "mister": "mr mrs miss dr sir lord lady captain king madam",
    "number": "two three four five six seven eight nine ten twenty hundred thousand first second third",
}

ENDINGS = ("ing", "ed", "ly", "s", "er", "al", "ion", "ance", "ical", "est", "eth", "ous")
"""Counted where at least three letters stand before them."""

CONTRACTIONS = ("n't", "'ll", "'d", "'ve", "'re", "'m", "'s")

LONGEST_WORD, MOST_SYLLABLES = 20, 8
"""What is longer counts as that long, so that no heap of letters outweighs a language."""

LENGTHS = [f"letters:{length}" for length in range(1, LONGEST_WORD + 1)]
SYLLABLES = [f"syllables:{count}" for count in range(1, MOST_SYLLABLES + 1)]

INDICATORS = (
    *(f"word:{word}" for word in FUNCTION_WORDS.split()),
    *(f"words:{name}" for name in WORD_GROUPS),
    *(f"ending:-{ending}" for ending in ENDINGS),
    *(f"contraction:{contraction}" for contraction in CONTRACTIONS),
    *("elision", "hyphenated", "capitalised", "all capitals", "digits", "accented"),
    *LENGTHS,
    *SYLLABLES,
)
"""Names of the columns that :func:`indicators` answers with."""

_COLUMN = {name: column for column, name in enumerate(INDICATORS)}
_LEXICAL = {word: (_COLUMN[f"word:{word}"],) for word in FUNCTION_WORDS.split()}
for _name, _members in WORD_GROUPS.items():
    for _word in _members.split():
        _LEXICAL[_word] = (*_LEXICAL.get(_word, ()), _COLUMN[f"words:{_name}"])


@lru_cache(maxsize=1 << 16)
def indicators(word: str) -> tuple[int, ...]:
    """The columns that a word counts in; it has at most a few dozen letters, and its apostrophes are ASCII."""
    lower = word.lower()
    contraction = next((c for c in CONTRACTIONS if lower.endswith(c)), None)
    pronoun_i = word == "I" or word.startswith("I'")
    written = {
        f"contraction:{contraction}": contraction is not None,
        "elision": "'" in word and contraction is None,
        "hyphenated": "-" in word,
        "capitalised": word[0].isupper() and not pronoun_i,
        "all capitals": len(word) > 1 and word.isupper() and not pronoun_i,
        "digits": any(char.isdigit() for char in word),
        "accented": not word.isascii(),
        LENGTHS[min(len(word), LONGEST_WORD) - 1]: True,
        SYLLABLES[min(count_syllables(lower), MOST_SYLLABLES) - 1]: True,
    }
    names = [name for name, holds in written.items() if holds]
    names += [f"ending:-{e}" for e in ENDINGS if lower.endswith(e) and len(lower) >= len(e) + 3]
    return (*_LEXICAL.get(lower, ()), *(_COLUMN[name] for name in names))
