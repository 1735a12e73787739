"""What Trino's grammar does not have, and sqlglot takes all the same because it reads many dialects with one parser.

Each was tried on Trino 476 with `EXPLAIN (TYPE VALIDATE)`; its functions and types are in `trino_words.toml`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from importlib.resources import files

import sqlglot
from sqlglot import exp
from sqlglot.tokens import Token, TokenType  # type: ignore[attr-defined]  # where every release has them

_TOKENS = {
    TokenType.DCOLON: "`::` is no cast here: write CAST(… AS …)",
    TokenType.ILIKE: "there is no ILIKE: write lower(…) LIKE …",
    TokenType.RLIKE: "there is no RLIKE: write regexp_like(…, …)",
    TokenType.NULLSAFE_EQ: "there is no `<=>`: write IS NOT DISTINCT FROM",
    TokenType.DARROW: "there is no `->>`: write json_extract_scalar(…, …)",
    TokenType.DIV: "there is no DIV: `/` of two whole numbers is one",
    TokenType.NOT: "there is no `!`: write NOT",
    TokenType.EQ: "there is no `==`: write `=`",
    TokenType.LIMIT: "there is no LIMIT …, …: write OFFSET … LIMIT …",
    TokenType.COMMA: "a comma too many",
    TokenType.INTERVAL: "the number of an INTERVAL is text: write INTERVAL '1' DAY",
    TokenType.OFFSET: "OFFSET stands before LIMIT",
}
_WORDS = {
    name: frozenset(words.split()) for name, words in tomllib.loads(files(__package__).joinpath("trino_words.toml").read_text()).items()
}
_TYPES = _WORDS["types"]
_CALLED = _WORDS["functions"] | _WORDS["grammar"] | _TYPES


def refused_words(sql: str, tree: exp.Query) -> Iterator[tuple[int, str]]:
    """Line in the text, and reason, of what Trino's grammar does not have.

    Args:
        tree: the same text, parsed.
    """
    tokens = sqlglot.tokenize(sql, dialect="trino")
    given = {name.name.lower() for name in tree.find_all(exp.TableAlias, exp.CTE) if name.name}
    given |= {cte.alias.lower() for cte in tree.find_all(exp.CTE, exp.Subquery, exp.Table, exp.Unnest)}
    opened: list[str] = []  # for each open parenthesis, the word before it
    limited: list[bool] = [False]  # for each open parenthesis, whether its LIMIT has been
    for i, token in enumerate(tokens):
        word = token.text.lower()
        before = tokens[i - 1] if i else None
        after = tokens[i + 1] if i + 1 < len(tokens) else None
        if message := _refused(token, after, tokens[i + 2] if i + 2 < len(tokens) else None, limited=limited[-1]):
            yield token.line, message
        if token.token_type is TokenType.LIMIT:
            limited[-1] = True
        if token.token_type is TokenType.L_PAREN:
            opened.append(before.text.lower() if before else "")
            limited.append(False)
        elif token.token_type is TokenType.R_PAREN and opened:
            opened.pop()
            limited.pop()
        elif before and before.token_type is TokenType.ALIAS and opened and opened[-1] in ("cast", "try_cast") and word not in _TYPES:
            yield token.line, f"there is no type {token.text}"
        elif after and after.token_type is TokenType.L_PAREN and word not in _CALLED | given and _is_call(token, before):
            yield token.line, f"there is no function {token.text}"
    if tokens and tokens[0].token_type is TokenType.FROM:
        yield 1, "a query begins with SELECT"
    for select in tree.find_all(exp.Select):
        distinct = select.args.get("distinct")
        if distinct and distinct.args.get("on"):
            yield 1, "there is no DISTINCT ON: write max_by, or row_number() in a subquery"


def _refused(token: Token, after: Token | None, second: Token | None, *, limited: bool) -> str | None:
    message = _TOKENS.get(token.token_type)
    if token.token_type is TokenType.NOT:
        return message if token.text == "!" else None
    if token.token_type is TokenType.EQ:
        return message if token.text == "==" else None
    if token.token_type is TokenType.LIMIT:
        return message if after and second and second.token_type is TokenType.COMMA else None
    if token.token_type is TokenType.INTERVAL:
        return message if after and after.token_type is TokenType.NUMBER else None
    if token.token_type is TokenType.COMMA:
        return message if after and after.token_type in (TokenType.FROM, TokenType.R_PAREN) else None
    if token.token_type is TokenType.OFFSET:
        return message if limited else None
    return message


def _is_call(token: Token, before: Token | None) -> bool:
    """Whether a word before a parenthesis is a function's name: not the name of a catalog's own function, nor one that is given."""
    plain = token.text.isidentifier() and token.token_type is not TokenType.STRING
    return plain and not (before and before.token_type in (TokenType.DOT, TokenType.ALIAS))
