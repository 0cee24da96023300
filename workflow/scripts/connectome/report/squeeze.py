"""Scripts and styles without comments and blanks that mean nothing; standard library only.

Nothing is renamed or reordered, so that what a browser complains about can be found in the source.
"""

import re

_WORD = re.compile(r"[\w$\u0080-\uffff]")
_STRING = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'")
_REGEX = re.compile(r"/(?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/[a-z]*")
_BLANK = re.compile(r"(?:\s|//[^\n]*|/\*.*?\*/)+", re.DOTALL)
_ARROW = re.compile(r"(?<![\w$])\((\w+)\)=>")  # no string of ours looks like one
_BEFORE_REGEX = "(,=:[!&|?{};+-*%<>~^\n"
_CLOSES = ")]}\"'`"


def script(text: str) -> str:
    """A script: no comments, no blanks beside punctuation; statements must end in semicolons or
    lines, and none may be empty.

    A `/` is read as the start of a regular expression after an operator, an opening bracket or
    `return`, as division elsewhere. Raises ValueError for a template that does not end.
    """
    out: list[str] = []
    depths: list[int] = []  # open braces inside each open `${`
    at = 0
    while at < len(text):
        blank = _BLANK.match(text, at)
        if blank:
            at = blank.end()
            kept = _between(out[-1][-1] if out else "", text[at : at + 1], blank[0])
            out += [kept] if kept else []
            continue
        piece = _STRING.match(text, at)
        if text[at] == "/" and _may_be_regex(out):
            piece = _REGEX.match(text, at)
        found = piece[0] if piece else text[at]
        if found == "`" or (found == "}" and depths and depths[-1] == 0):
            if found == "}":
                depths.pop()
            found = _template(text, at)
            if found.endswith("${"):
                depths.append(0)
        elif found in "{}" and depths:
            depths[-1] += 1 if found == "{" else -1
        if found == "}" and out and out[-1] == ";":
            out.pop()
        out.append(found)
        at += len(found)
    return _ARROW.sub(r"\1=>", "".join(out)).strip() + "\n"


def _template(text: str, start: int) -> str:
    """A template literal, or what follows a value inside it, up to its end or the next `${`."""
    end = re.compile(r"(?:[^`\\$]|\\.|\$(?!\{))*(?:`|\$\{)", re.DOTALL).match(text, start + 1)
    if end is None:
        raise ValueError("a template of the page's script does not end")
    return text[start : end.end()]


def _may_be_regex(out: list[str]) -> bool:
    before = "".join(out[-12:]).rstrip()
    return not before or before[-1] in _BEFORE_REGEX or bool(re.search(r"\breturn$", before))


def _between(before: str, after: str, blank: str) -> str:
    """What must stay of a blank between two characters."""
    if not before or not after:
        return ""
    if "\n" in blank and before in _CLOSES and (_WORD.match(after) or after in "([`'\"/{"):
        return "\n"
    if _WORD.match(before) and _WORD.match(after):
        return "\n" if "\n" in blank else " "
    return " " if before in "+-" and after in "+-" else ""


def style(text: str) -> str:
    """A style sheet without comments, and without blanks beside punctuation."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    text = re.sub(r"\s*([{};,])\s*|(?<=[\w-]:)[ \t]+|\s*\n\s*", lambda found: found[1] or "", text)
    return text.replace(";}", "}")
