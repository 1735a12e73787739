"""Hides secrets and personal data in text that is kept; valid JSON stays valid, and the time is linear in the length."""

from __future__ import annotations

import re

import orjson

HIDDEN = "***"
_MASKED_LENGTH = 300
_LOOKED_AT = 2_000

# A span that is hidden never has an unescaped quote and never half of an escape, so that the JSON around it stays whole. Every
# repetition is bounded or possessive, and no pattern looks past what it takes: that keeps the time linear.
_NAMES = r"(?:pass(?:word|wd|phrase)|pwd|secret|token|authorization|cookie|session|credential|(?:api|access|private)[_-]?key)[\w-]{0,40}+"
# Looked for first, in small letters: most lines have none of these, and a regular expression takes ten times as long to say so.
_NAME_PARTS = ("pass", "pwd", "secret", "token", "authorization", "cookie", "session", "credential", "key")
_TOKEN_PARTS = ("bearer ", "basic ", "akia", "asia", "eyj")


def _value(depth: int, end: str) -> str:
    """The inside of a quoted value up to its closing quote; at depth 1 its quote is escaped once, as in JSON within JSON."""
    run = 2 ** (depth + 1)
    return rf"(?:[^{end}\\\n]|\\{{{run}}}|\\{{{run - 1}}}\"|\\{{1,{run - 1}}}+[^\"\\\n])*+"


def _named(start_of_value: str) -> re.Pattern[str]:
    """A name, and in `value` what stands for it; runs over a line in small letters."""
    values = (
        rf"{start_of_value}{_value(0, chr(34))}",
        rf"\\\"{_value(1, chr(34))}",
        rf"\\\\\\\"{_value(2, chr(34))}",
        rf"\\{{0,3}}'{_value(0, chr(34) + chr(39))}",
        r"(?(json)\[(?:[^\[\]{}\"\\\n]|\"(?:[^\"\\\n]|\\.)*+\")*+(?=\])|(?!))",
        r"(?!(?:null|true|false|none)\b)(?:(?:basic|bearer) )?"
        r"(?:[^\s\"',;&{}()\[\]\\]|(?:\\\\)++(?!\\?[\"'])|\\[^\"'\\nrt\s])++",
    )
    key = r"(?:(?P<json>\")|(?P<key>\\{0,7}+[\"']))?"
    return re.compile(rf"{_NAMES}{key}[ \t]{{0,4}}[:=][ \t]{{0,4}}(?=(?P<quote>\\{{0,3}}[\"'\[])?)(?P<value>{'|'.join(values)})")


_NAMED = _named('"')
# In JSON a quote after a name opens a value only if the name is a key; else it closes the text that ends there.
_NAMED_IN_JSON = _named('(?(json)"|(?!))')
# Not within a word; the letter of an escaped line break is no word.
_START = r"(?:(?<![\w+/-])|(?<=\\[nrt]))"
_TOKENS = re.compile(
    rf"{_START}(?:(?P<scheme>[Bb]earer |[Bb]asic )(?=[A-Za-z]{{0,500}}[\d+/=._~-])(?:[\w.~+/-]|\\/){{8,}}+=*+"
    r"|A(?:KIA|SIA)[0-9A-Z]{16}|eyJ[\w-]{5,}+\.[\w-]{5,}+\.[\w-]*+)"
)
_IN_URL = re.compile(r"(/\\{0,2}+/)[^/?#\s\"'\\<>@]*+@(?:[^/?#\s\"'\\<>@]*+@)*+")
# Not possessive: Python 3.11.2 passes over a look-ahead in such a group. Nothing is tried twice, because the end is optional.
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----(?:[A-Za-z0-9+/=:,.\s]|\\{1,8}[nrt/]|-(?!----))*(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?"
)
_PERSONAL = re.compile(r"[\w.+-]{1,100}@[\w-]+\.[\w.]+|\d{6,}")


def hide_secrets(text: str) -> str:
    """The text with secrets hidden; lines stay lines, and nothing is cut.

    Hidden are values after names such as password or token, credentials in URLs, Bearer and Basic tokens, AWS access keys, JWTs and
    private keys.
    """
    if "-----BEGIN" in text:
        text = _PRIVATE_KEY.sub(lambda found: "\n".join(HIDDEN if line.strip() else line for line in found[0].split("\n")), text)
    small = _small(text)
    names = [part for part in _NAME_PARTS if part in small]
    tokens = [part for part in _TOKEN_PARTS if part in small]
    if not (names or tokens or "@" in text):
        return text
    lines = []
    for line, small_line in zip(text.split("\n"), small.split("\n"), strict=True):
        hidden = _IN_URL.sub(r"\1***@", line) if "@" in line else line
        if any(part in small_line for part in tokens):
            hidden = _TOKENS.sub(lambda found: (found["scheme"] or "") + HIDDEN, hidden)
        if any(part in small_line for part in names):
            hidden = _hide_named(hidden)
        lines.append(hidden)
    return "\n".join(lines)


def hide_secrets_in(body: bytes) -> bytes:
    """The same for a file; bytes that are no text stay as they are."""
    return hide_secrets(body.decode(errors="surrogateescape")).encode(errors="surrogateescape")


def mask(text: str) -> str:
    """A copy for a first look: secrets, mail addresses and long numbers are hidden, the rest is cut."""
    return _PERSONAL.sub(HIDDEN, hide_secrets(text)[:_LOOKED_AT])[:_MASKED_LENGTH]


def _hide_named(line: str) -> str:
    pattern = _NAMED_IN_JSON if _is_json(line) else _NAMED
    pieces, end = [], 0
    for found in pattern.finditer(_small(line)):
        pieces += [line[end : found.start("value")], _hidden_value(found)]
        end = found.end()
    return "".join(pieces) + line[end:]


def _is_json(line: str) -> bool:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True


def _small(line: str) -> str:
    """In small letters, each at its place: one letter of Unicode becomes two."""
    return line.replace("\u0130", "i").lower()


def _hidden_value(found: re.Match[str]) -> str:
    """What stands in the value's place; in JSON that must be text even where a number was."""
    quote, key = found["quote"], found["json"] or found["key"] or ""
    if quote == "[":
        return f'["{HIDDEN}"'
    return f"{quote}{HIDDEN}" if quote else f"{key}{HIDDEN}{key}"
