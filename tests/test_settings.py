"""Settings: every one documented, each refused with its name when it cannot be used."""

from pathlib import Path

import pytest

from undersky.errors import ConfigError
from undersky.settings import Settings, needed, read_settings, torchrun_ranks

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"


def rows():
    """A line of the page for each setting."""
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f"`{field.default}`"
        yield f"| `UNDERSKY_{name.upper()}` | {default} | {field.description} |"


def test_the_page_of_settings_lists_every_one_and_no_other():
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    table = [line for line in lines if line.startswith("| `UNDERSKY_")]
    assert table == list(rows())


def test_a_value_that_a_setting_does_not_take_is_named(monkeypatch):
    monkeypatch.setenv("UNDERSKY_THREADS", "many")
    with pytest.raises(ConfigError, match="UNDERSKY_THREADS='many'"):
        read_settings()


def test_a_store_is_a_bucket_and_nothing_below_it(monkeypatch):
    monkeypatch.setenv("UNDERSKY_STORE", "s3://bucket/folder")
    with pytest.raises(ConfigError, match="UNDERSKY_STORE"):
        read_settings()


def test_the_ledger_s_password_is_not_printed(monkeypatch):
    monkeypatch.setenv("UNDERSKY_LEDGER", "postgresql://undersky:hush@127.0.0.1/undersky")
    settings = read_settings()
    assert "hush" not in repr(settings)
    assert settings.ledger.get_secret_value().endswith("@127.0.0.1/undersky")


def test_what_a_verb_cannot_do_without_is_asked_for_by_name():
    with pytest.raises(ConfigError, match=r"UNDERSKY_STORE is not set: give the bucket"):
        needed(None, "store", cure="give the bucket")
    assert needed(3, "threads", cure="") == 3


def test_a_process_is_alone_unless_torchrun_says_otherwise(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert torchrun_ranks() == (0, 1, 0)
    monkeypatch.setenv("RANK", "3")
    assert torchrun_ranks() == (0, 1, 0)
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert torchrun_ranks() == (3, 4, 1)


@pytest.mark.parametrize("values", [("4", "4", "0"), ("-1", "4", "0"), ("1", "x", "1"), ("0", "2", "1")])
def test_ranks_that_cannot_be_are_refused(monkeypatch, values):
    for name, value in zip(("RANK", "WORLD_SIZE", "LOCAL_RANK"), values, strict=True):
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="RANK WORLD_SIZE LOCAL_RANK are"):
        torchrun_ranks()
