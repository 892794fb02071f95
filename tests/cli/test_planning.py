"""`undersky plan` as a shell sees it."""

import json
import re
from pathlib import Path

import pytest

from fixtures_ledger import BY, one_valid, outcome, publish
from undersky.cli import main
from undersky.refs import Stage
from undersky.services.ledger import Ledger
from undersky.services.store import Store

ROOT = Path(__file__).parents[2]
EXAMPLE = str(ROOT / "examples" / "price-list.yaml")


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LEDGER", "STORE", "S3_ENDPOINT", "PROFILES"):
        monkeypatch.delenv(f"UNDERSKY_{name}", raising=False)


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, object]]:
    capsys.readouterr()
    code = main(["plan", *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_it_needs_no_flow_and_says_where_its_figures_are_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--scenes-per-day", "200"]) == 0
    text = capsys.readouterr().out
    assert "200 scenes a day, each published and mapped" in text
    assert "tests/bench/stages.py" in text
    assert "? not measured" in text
    assert "in no sum: the seconds of ingest" in text


def test_twice_the_scenes_need_twice_the_cores_and_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    _, few = said(capsys, "--scenes-per-day", "100")
    _, many = said(capsys, "--scenes-per-day", "200")
    assert many["stored_gib_per_day"] == pytest.approx(2 * few["stored_gib_per_day"])
    for one, two in zip(few["stages"], many["stages"], strict=True):
        assert one["cores"] is None or two["cores"] == pytest.approx(2 * one["cores"])


def test_the_bill_is_in_the_currency_of_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    code, found = said(capsys, "--scenes-per-day", "200", "--price-list", EXAMPLE, "--egress-gib", "10")
    cost = found["cost"]
    assert (code, cost["currency"]) == (0, "EUR")
    assert set(cost["per_day_by_part"]) == {"cores", "memory", "store", "egress"}
    assert cost["per_day"] == pytest.approx(sum(cost["per_day_by_part"].values()))
    assert main(["plan", "--scenes-per-day", "200", "--price-list", EXAMPLE]) == 0
    assert "by the prices of an example, nobody's prices, 2026-11-28, in EUR:" in capsys.readouterr().out


def test_the_page_about_sizes_shows_what_it_prints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    sizing = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8").partition("\n## Sizing\n")[2]
    command, shown = re.findall(r"```(?:sh|text)\n(.*?)\n```", sizing, re.DOTALL)[:2]
    monkeypatch.chdir(ROOT)
    assert main(command.split()[1:]) == 0
    printed = "\n".join(line.rstrip() for line in capsys.readouterr().out.rstrip().splitlines())
    assert printed == shown


def test_a_landsat_scene_that_nobody_measured_makes_the_mix_unknown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, found = said(capsys, "--scenes-per-day", "200", "--landsat", "30")
    assert {line["seconds"] for line in found["stages"]} == {None}


def test_with_a_flow_its_own_scenes_are_what_counts(
    ledger: Ledger,
    ledger_url: str,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("UNDERSKY_LEDGER", ledger_url)
    monkeypatch.setenv("UNDERSKY_STORE", store.url)
    ref = one_valid(ledger)
    publish(ledger, ref)
    said_of = outcome(ref, stage=Stage.INGEST, seconds=432.0)
    store.put_json(f"batches/{BY.run}/000/ingest/{ref.acquisition}.json", said_of)
    _, found = said(capsys, "--scenes-per-day", "200", "--utilisation", "0.5")
    ingest = found["stages"][0]
    assert (ingest["seconds"], ingest["pods"]) == (432.0, 2)
    assert ingest["source"] == "the last one here"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--scenes-per-day", "0"], "0 scenes a day need no cluster"),
        (["--scenes-per-day", "5", "--landsat", "130"], "--landsat 130 is no share in percent"),
        (["--scenes-per-day", "5", "--gpu", "train"], "'train' is no stage"),
        (["--scenes-per-day", "5", "--price-list", "none.yaml"], "none.yaml cannot be read"),
    ],
)
def test_what_cannot_be_meant_ends_with_2_and_a_sentence(
    capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["plan", *words]) == 2
    assert message in capsys.readouterr().err


def test_help_teaches_by_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["plan", "--help"])
    assert ended.value.code == 0
    assert "example:\n  undersky plan --scenes-per-day" in capsys.readouterr().out
