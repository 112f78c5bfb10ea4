"""Texts of queries without literals."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flask_chest_otel._values.query_text import CUT, without_literals

PARAMETRISED = [
    "SELECT a.b1 AS c_1 FROM a WHERE a.id = ? AND b = %s AND c = %(c_1)s AND d = $1 AND e = :e1 AND f = @f2 LIMIT ?",
    'SELECT "order".id, "user"."name" FROM "order" JOIN "user" ON "order".user_id = "user".id',
    "SELECT `group` FROM `t` WHERE x IS NULL AND y = TRUE",
    "SELECT /*+ INDEX(a b) */ x FROM a -- all of them",
    "",
]


@pytest.mark.parametrize("text", PARAMETRISED)
def test_parametrised_texts_stay(text: str) -> None:
    """What takes its values from parameters is kept as it is."""
    assert without_literals(text, "sqlite") == text


@pytest.mark.parametrize(
    ("text", "system", "kept"),
    [
        ("SELECT * FROM t WHERE a = 'bob' AND b = 'it''s'", "sqlite", "SELECT * FROM t WHERE a = ? AND b = ?"),
        (
            "UPDATE t1 SET a=-42, b=0xFF, c=1.5e-7, d=.5 WHERE t1.x>1",
            "",
            "UPDATE t1 SET a=-?, b=?, c=?, d=? WHERE t1.x>?",
        ),
        ('SELECT x FROM t WHERE a = "bob"', "mysql", "SELECT x FROM t WHERE a = ?"),
        ('SELECT x FROM t WHERE a = "bob"', "sqlite", "SELECT x FROM t WHERE a = ?"),
        ('SELECT x FROM t WHERE "a" = 1', "postgresql", 'SELECT x FROM t WHERE "a" = ?'),
        (r"SELECT x FROM t WHERE a = 'it\'s secret' AND b = 'secret'", "", "SELECT x FROM t WHERE a = " + CUT),
        ("SELECT $$secret$$, $t$ it's secret $t$, $1", "postgresql", "SELECT ?, ?, $1"),
        ("SELECT x FROM t WHERE a = 'secr", "", "SELECT x FROM t WHERE a = ?"),
        ("SELECT 1 /* user='secret' */", "", "SELECT ? /* ? */"),
        ("SELECT 1 -- don't: secret\nFROM t", "", "SELECT ? /* ? */\nFROM t"),
        ("find {'name': 'secret', 'n': 5}", "mongodb", "find {?: ?, ?: ?}"),
        ("SET key secret", "redis", f"SET {CUT}"),
        ("SET ? ?", "redis", "SET ? ?"),
        ("AUTH\tsecret", "redis", f"AUTH {CUT}"),
        ("SELECT [o'clock] FROM t WHERE a = 'secret'", "mssql", "SELECT [o'clock] FROM t WHERE a = ?"),
        ("SELECT [o'clock] FROM t WHERE a = 'secret'", "sqlite", "SELECT [o'clock] FROM t WHERE a = ?"),
        ("SELECT [o'clock] FROM t WHERE a = 'secret'", "", f"SELECT {CUT}"),
        ("SELECT ARRAY['secret', 'x'], a[1] FROM t", "", "SELECT ARRAY[?, ?], a[?] FROM t"),
        ("SELECT a #>> '{secret}', 'x' FROM t", "postgresql", "SELECT a #>> ?, ? FROM t"),
        ("SELECT b # don't cache\n, 'secret'", "mysql", "SELECT b # ?\n, ?"),
        ("SELECT b # don't cache\n, 'secret'", "", f"SELECT b {CUT}"),
        ("SELECT a--'secret\n, b'", "mysql", f"SELECT a{CUT}"),
        ("/* a /* b */ don't */ SELECT 'secret'", "postgresql", CUT),
        ("SELECT `o'clock`, 'secret'", "mysql", "SELECT `o'clock`, ?"),
        ("SELECT `o'clock`, 'secret'", "", f"SELECT {CUT}"),
        ("SELECT a FROM t WHERE b = q'[it's secret]'", "oracle.db", f"SELECT a FROM t WHERE b = {CUT}"),
        ('ALTER USER bob IDENTIFIED BY "secret"', "oracle.db", "ALTER USER bob IDENTIFIED BY ?"),
        ('SELECT "a" FROM t GROUP BY "a" HAVING 1 = 1', "oracle.db", 'SELECT "a" FROM t GROUP BY "a" HAVING ? = ?'),
        ("a % 5", "", "a % ?"),
    ],
)
def test_literals_are_left_out(text: str, system: str, kept: str) -> None:
    """Texts and numbers become ``?``; where the end of one is not clear, all that follows is left out."""
    assert without_literals(text, system) == kept


MARK = "zQx7"


@given(
    st.lists(st.sampled_from(["SELECT a FROM t WHERE b = ", ", ", " AND c = ", "(", ")", "::text ", " -- x\n", "?"])),
    st.sampled_from(["'{}'", "E'{}'", "N'{}'", "'{}", "$${}$$", "$a${}$a$", "'a''{}'", "'{}''b'"]),
    st.sampled_from(["sqlite", "postgresql", "mysql", ""]),
)
@example(["?"], "'{}'", "mysql")
def test_no_quoted_text_gets_through(around: list[str], quoted: str, system: str) -> None:
    """Wherever a quoted text stands in a query, it is not in what is kept."""
    for place in range(len(around) + 1):
        text = "".join([*around[:place], quoted.format(MARK), *around[place:]])
        assert MARK not in without_literals(text, system)


@given(st.text(), st.sampled_from(["sqlite", "mysql", "redis", ""]))
def test_total(text: str, system: str) -> None:
    """Any text at all has an answer, and asking again changes nothing."""
    once = without_literals(text, system)
    assert without_literals(once, system) == once or CUT in once
