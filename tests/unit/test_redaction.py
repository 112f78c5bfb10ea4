"""Which names are sensitive, and what becomes of their values."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_chest_otel._base.sensitive import SENSITIVE_WORDS, is_sensitive
from flask_chest_otel._values.redaction import DROPPED, MASK, Redact, Refused, redacted_query, redactor

WORDS = [
    *("password", "passwd", "pwd", "passphrase", "secret", "token", "authorization", "cookie", "card", "cvv", "cvc"),
    *(
        "iban",
        "ssn",
        "apikey",
        "credential",
        "jwt",
        "csrf",
        "auth",
        "bearer",
        "otp",
        "pin",
        "api_key",
        "private_key",
        "access_key",
    ),
]
quick = settings(deadline=None)


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize(
    "spell",
    [
        "{}",
        "{}s",
        "user_{}",
        "{}_of_user",
        "user-{}",
        "user.{}.x",
        "the {} x",
        "user[{}]",
        "{}1",
        "_{}_",
        "größe_{}",
    ],
)
def test_whole_words_are_sensitive(word: str, spell: str) -> None:
    """Each word is found at every kind of border, in the singular and plural, in any case."""
    name = spell.format(word)
    assert is_sensitive(name)
    assert is_sensitive(name.upper())
    assert is_sensitive(name.title())


@pytest.mark.parametrize(
    "name",
    [
        "userPassword",
        "passwordHash",
        "accessToken",
        "APIKey",
        "apiKeyId",
        "X-Api-Key",
        "AWSAccessKeyId",
        "privateKey",
        "HTTPCookie",
        "creditCards",
        "IBANs",
        "passWord",
        "oauth2token",
        "Authorization",
        "set-cookie",
        "card_number",
    ],
)
def test_camel_case_and_headers_are_split(name: str) -> None:
    """Camel case, acronyms, digits and header spelling do not hide a sensitive word."""
    assert is_sensitive(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "cart_total",
        "discard",
        "tokenizer",
        "tokenize",
        "cardinal",
        "cardinality",
        "postcard",
        "secretary",
        "keys",
        "api",
        "access",
        "key",
        "private",
        "access_level",
        "monkey_api",
        "keyApi",
        "api_user_key",
        "business",
        "lesson",
        "user_id",
        "cookiecutter",
        "plan",
        "discardCount",
        "authorized",
        "author",
        "urban",
        "étoken",
        "keys_api",
    ],
)
def test_parts_of_words_are_harmless(name: str) -> None:
    """A sensitive word inside another word, or half of a pair, says nothing."""
    assert not is_sensitive(name)


@pytest.mark.slow
@quick
@given(st.text(max_size=200), st.sampled_from(WORDS), st.text(max_size=200), st.sampled_from(["_", "-", ".", " ", "/"]))
def test_a_word_between_separators_is_always_found(before: str, word: str, after: str, border: str) -> None:
    """Whatever stands around it, also in names longer than the cache takes, the word is found."""
    assert is_sensitive(f"{before}{border}{word}{border}{after}")


def test_long_names_do_not_fill_the_cache() -> None:
    """A name of a megabyte is looked at and not kept."""
    from flask_chest_otel._base import sensitive  # noqa: PLC0415 - its private cache is what is looked at

    before = sensitive._cached.cache_info().currsize  # noqa: SLF001 - as above
    assert is_sensitive("x" * 200_000 + "_token")
    assert not is_sensitive("x" * 200_000)
    assert sensitive._cached.cache_info().currsize == before  # noqa: SLF001 - as above


@pytest.mark.parametrize(("name", "redact"), [("cart_total", "auto"), ("cart_total", None), ("password", None)])
def test_nothing_to_do_costs_nothing(name: str, redact: Redact) -> None:
    """A harmless name, or an explicit None, needs no function at all."""
    assert redactor(name, redact, "key") is None


@pytest.mark.parametrize(("name", "redact"), [("user_token", "auto"), ("user_token", "mask"), ("plan", "mask")])
def test_masks(name: str, redact: Redact) -> None:
    """A sensitive name by itself, or any name on a wish, is masked whatever its value is."""
    mask = redactor(name, redact, None)
    assert mask is not None
    values: list[Any] = ["s3cret", 5, "", 0, False, []]
    assert [mask(value) for value in values] == [MASK] * 6


def test_drops() -> None:
    """A dropped variable yields the sentinel, for any value."""
    drop = redactor("plan", "drop", None)
    assert drop is not None
    assert drop("gold") is DROPPED
    assert drop(None) is DROPPED


@pytest.mark.parametrize("redact", ["mask", "hash", len])
def test_not_set_stays_not_set(redact: Redact) -> None:
    """None on g means "not set": it is neither masked nor hashed nor given to a callable."""
    function = redactor("plan", redact, "key")
    assert function is not None
    assert function(None) is None


def hashes(*values: Any, secret: str | None = "key") -> list[str]:  # noqa: S107 - a test's key
    function = redactor("email", "hash", secret)
    assert function is not None
    return [function(value) for value in values]


def test_hashes_are_golden() -> None:
    """Hashes are 16 hexadecimal digits, the same for ever: stored data are searched by them."""
    assert hashes("user@example.org") == ["746042169a6554ac"]
    assert hashes("user@example.org", secret=None) == ["cdf717380aeac951"]
    assert hashes("user@example.org", secret="k" * 100) == ["024d62f9ebd4d05a"]


def test_hashes_are_of_the_text() -> None:
    """Equal texts have equal hashes, whatever the types and whatever the variable's name."""
    assert len(set(hashes(17, "17", b"17", bytearray(b"17")))) == 1
    other = redactor("another", "hash", "key")
    assert other is not None
    assert other("17") == hashes("17")[0]


@quick
@given(st.sets(st.text(st.characters(), max_size=50), min_size=2, max_size=10), st.text(min_size=1, max_size=80))
def test_different_texts_and_secrets_have_different_hashes(texts: set[str], secret: str) -> None:
    """Texts, lone surrogates included, do not share hashes, nor does one text under another key."""
    made = hashes(*texts, secret=secret)
    assert len(set(made)) == len(texts)
    assert all(len(each) == 16 and int(each, 16) >= 0 for each in made)
    assert made == hashes(*texts, secret=secret)
    assert not set(made) & set(hashes(*texts, secret=secret + "x"))


def test_long_texts_are_told_apart_by_head_and_length() -> None:
    """Beyond 65 536 characters the head and the length count: 10 MB cost no time, and are no prefix of others."""
    head = "x" * 65_536
    made = hashes(head, head + "y", head + "yy", "z" + head, "x" * 10_000_000)
    assert len(set(made)) == 5
    assert hashes(head + "y") == hashes(head + "z")


@pytest.mark.process
def test_hashes_agree_between_processes() -> None:
    """Another process, with another hash seed, makes the same hash."""
    code = """
    from flask_chest_otel._values.redaction import redactor

    print(redactor("x", "hash", "key")("user@example.org"))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == hashes("user@example.org")


def last_four(number: str) -> str | None:
    return number[-4:] or None


def test_a_callables_result_is_the_value() -> None:
    """What the user's function returns goes on as the value, None included."""
    last = redactor("card", last_four, "key")
    assert last is not None
    assert last("4111111111111111") == "1111"
    assert last("") is None


def test_a_callables_exception_refuses_the_value() -> None:
    """A failing function lets nothing through: the reason names the exception and nothing of the value."""
    failing = redactor("card", int, "key")
    assert failing is not None
    with pytest.raises(Refused) as caught:
        failing("4111-s3cret")
    assert caught.value.reason == "redact raised ValueError"
    assert "s3cret" not in str(caught.value)


def test_a_value_without_text_is_refused() -> None:
    """An object whose text cannot be had is refused rather than hashed as something else."""

    class Mute:
        def __str__(self) -> str:
            raise RuntimeError

    with pytest.raises(Refused, match="RuntimeError"):
        hashes(Mute())


@pytest.mark.parametrize(
    "name",
    [
        "token",
        "access_token",
        "api_key",
        "apiKey",
        "code",
        "CODE",
        "password",
        "X-Amz-Signature",
        "X-Amz-Credential",
        "X-Amz-Security-Token",
        "AWSAccessKeyId",
        "Signature",
        "sig",
        "X-Goog-Signature",
        "user%5Bpassword%5D",
        "%74oken",
        "api+key",
    ],
)
def test_parameters_of_a_query(name: str) -> None:
    """Sensitive names, however they are encoded, keep their place and lose their value; all others stay as they are."""
    assert redacted_query(f"a=1&{name}=s3=cret%20&b=%C3%BC&&c") == f"a=1&{name}=REDACTED&b=%C3%BC&&c"
    assert redacted_query(f"{name}=s3cret&{name}=&{name}") == f"{name}=REDACTED&{name}=&{name}"


@pytest.mark.parametrize("query", ["page=2&sort=price", "country_code=DE", "discard=1", "q=a%26token%3Dx", "token", ""])
def test_harmless_parameters(query: str) -> None:
    """Names of nothing secret, and words in values, are left alone."""
    assert redacted_query(query) == query


@pytest.mark.parametrize(
    "query",
    ["a=b&" * 2000, "%" * 8000, "&".join(f"k{n}_token" for n in range(800)), "api" * 2700, "&" * 260_000 + "%"],
)
def test_a_long_query_holds_nobody_up(query: str) -> None:
    """A query as long as servers take it costs a few milliseconds at most."""
    start = time.process_time()
    for _ in range(10):
        redacted_query(query)
    assert time.process_time() - start < 0.5


def test_the_page_lists_the_words() -> None:
    """The documentation names every word and pair that is masked, and none that is not."""
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "redaction.md").read_text("utf-8")
    words, pairs = re.findall(r"\*([a-z,\s]+)\*", page.partition("Words end at")[0])
    singular = {word for word in SENSITIVE_WORDS if f"{word}s" in SENSITIVE_WORDS}
    assert {word.strip() for word in words.split(",")} == singular
    assert all(is_sensitive(pair.strip()) for pair in pairs.split(","))


@pytest.mark.parametrize("name", ["discard", "tokenizer"])
def test_the_page_s_harmless_names(name: str) -> None:
    """What the documentation calls harmless is."""
    assert not is_sensitive(name)


def test_a_query_is_cut() -> None:
    """Of a query that no proxy takes the beginning is kept, without the secret in which it is cut."""
    assert redacted_query("a=" + "b" * 100_000) == "a=" + "b" * 8190
    assert redacted_query("a=b&" * 2047 + "token=s3cret") == "a=b&" * 2047 + "toke"
    assert redacted_query("a=b&" * 2046 + "token=s3cret") == "a=b&" * 2046 + "token=REDACTED"
