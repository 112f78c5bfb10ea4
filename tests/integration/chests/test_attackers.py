"""The whole corpus of nasty texts through an application into a real PostgreSQL: no value costs a record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_chest_otel.chests import SQLChest
from tests.backends.attackers import CORPUS, Attacker, ask, attacked

if TYPE_CHECKING:
    from tests.backends.postgresql import PostgreSQL
    from tests.conftest import Rig


def test_postgresql_takes_everything(postgresql: PostgreSQL, prefix: str, rig: Rig) -> None:
    """One row per request, and the texts that PostgreSQL can hold as they were."""
    url = postgresql.url.replace("postgresql:", "postgresql+psycopg:")
    chest = SQLChest(url, name="audit", table_prefix=prefix)
    app = attacked(**rig.providers, server_span="chest", chests=[chest])
    attacker = Attacker(11)
    asked = [{"value": text, "kind": text} for text in CORPUS.values()]
    asked += [{attacker.name(): attacker.value() for _ in range(40)} for _ in range(100)]
    try:
        for said in asked:
            assert ask(app, said, {"X-Request-ID": attacker.header()})[0] == "200 OK"
        assert chest.flush(20)
    finally:
        chest.close()
    assert (chest.dropped, chest.lost) == (0, 0)
    rows = postgresql.rows(f"SELECT count(*) AS n FROM {prefix}requests")
    assert [int(row["n"]) for row in rows] == [len(asked)]
    found = postgresql.rows(f"SELECT text_value FROM {prefix}variables WHERE name = 'value'")
    kept = {row["text_value"] for row in found}
    for text in CORPUS.values():
        if len(text) <= 1024 and text.isprintable():
            assert text in kept
