r"""Text of data made visible: control characters, bidirectional marks, lone surrogates.

A token is shown as what it is, never interpreted: newline as U+23CE, tab as U+2192, carriage
return as U+21B5, a blank at either end as U+2423, other invisible characters as `\u{...}`.
Standard library only.
"""

import unicodedata

_SIGNS = {"\n": "\u23ce", "\t": "\u2192", "\r": "\u21b5"}
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def visible(text: str, longest: int = 300, ends: bool = True) -> str:
    """Text in which every character can be seen; cut in the middle above `longest` characters.

    Without `ends` blanks at either end stay blanks, as within running text.
    """
    if len(text) > longest:
        kept = longest // 2
        text = f"{text[:kept]} \u2026 ({len(text)} characters) \u2026 {text[-kept:]}"
    start, stop = 0, len(text)
    if ends:
        start, stop = len(text) - len(text.lstrip(" ")), len(text.rstrip(" "))
    return "".join(
        "\u2423" if c == " " and not start <= i < stop else _sign(c) for i, c in enumerate(text)
    )


def _sign(character: str) -> str:
    if character in _SIGNS:
        return _SIGNS[character]
    if unicodedata.category(character) in _HIDDEN:
        return f"\\u{{{ord(character):x}}}"
    return character
