"""Stages validate-l1 and validate-surface: every product ends with its own reason and pages."""

import json
from datetime import UTC, date, datetime

import pytest

from scene_batches import Log, bare_ref, ingest, put_batch, put_product
from undersky.batch.run import run_stage
from undersky.batch.validate import announced
from undersky.refs import Ending, Manifest, Outcome, Stage
from undersky.services.store import Store
from undersky.settings import Settings
from undersky.stages.simulate import Order, request_for, simulate
from undersky.synth.malformed import MALFORMED, malform


def validate(store: Store, href: str, stage: Stage = Stage.VALIDATE_L1, log: Log | None = None) -> Manifest:
    return run_stage(stage, href, store=store, settings=Settings(), tell=log or Log())


def judged(store: Store, *refs: object) -> list[Outcome]:
    href = put_batch(store, *refs)
    ingest(store, href)
    return list(validate(store, href).outcomes)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A good product of either family, 3,600 m a side."""
    folder = tmp_path_factory.mktemp("good")
    requests = {"sentinel-2": request_for("S2B", size_m=3600), "landsat": request_for("L8", size_m=3600)}
    return {family: simulate(folder, order=Order(request)).product for family, request in requests.items()}


@pytest.mark.faults
def test_each_kind_of_malformed_product_is_quarantined_for_its_own_reason(store, good, tmp_path):
    refs = [
        put_product(
            store,
            malform(good[kind.family], name, out=tmp_path),
            acquisition=f"S2B_20250619T095753_{name}",
            scene=f"S2B_MSIL1C_{name}",
        )
        for name, kind in MALFORMED.items()
    ]
    outcomes = judged(store, *refs)
    found = dict(zip(MALFORMED, outcomes, strict=True))
    assert len(found) == 25
    assert {n: (o.ending, o.reason) for n, o in found.items()} == {
        name: (Ending.QUARANTINED, kind.reason.value) for name, kind in MALFORMED.items()
    }
    assert all(len(outcome.sentence) > 20 for outcome in outcomes)


def test_good_products_of_every_satellite_and_layout_are_valid(store, tmp_path):
    orders = [
        *(Order(request_for(sensor, size_m=1800, day=date(2025, 6, 13))) for sensor in ("S2A", "S2C")),
        Order(request_for("S2A", size_m=1800, day=date(2018, 7, 14)), baseline="02.09"),
        *(Order(request_for(sensor, size_m=3600)) for sensor in ("L8", "L9")),
        *(Order(request_for("S2B", size_m=1800), layout=layout) for layout in ("folder", "zip", "tile")),
    ]
    products = [simulate(tmp_path / str(n), order=order).product for n, order in enumerate(orders)]
    refs = [put_product(store, path) for path in products]
    refs = [ref.model_copy(update={"acquisition": f"{ref.acquisition}_{n}"}) for n, ref in enumerate(refs)]
    outcomes = judged(store, *refs)
    assert [(o.ending, o.reason, o.sentence) for o in outcomes] == [(Ending.DONE, "ok", "")] * len(refs)
    assert [o.judged.failed for o in outcomes] == [()] * len(refs)
    assert all(o.ingested is not None for o in outcomes)


def test_the_pages_of_a_scene_lie_in_the_store_and_find_their_styles(store, good):
    (outcome,) = judged(store, put_product(store, good["landsat"]))
    assert outcome.judged.expectations > 15
    prefix = store.key(outcome.judged.docs).removesuffix("index.html")
    assert prefix == f"reports/data-docs/level-1/run-1/000/{outcome.acquisition}/"
    pages = {stored.key.removeprefix(prefix) for stored in store.list(prefix)}
    assert len([page for page in pages if page.startswith("validations/")]) == 2
    statics = {stored.key for stored in store.list("reports/data-docs/static/")}
    assert len(statics) > 10
    for page in pages - {"facts.json"}:
        text = store.get(prefix + page).decode()
        assert "great-expectations-web-assets" not in text
        for part in text.split('"'):
            if "static/" in part and part.startswith("."):
                steps = [*prefix.split("/")[:-1], *page.split("/")[:-1]]
                up = part.count("../")
                assert "/".join([*steps[:-up], part.replace("../", "").removeprefix("./")]) in statics


def test_the_table_that_was_judged_lies_beside_its_pages(store, good):
    (outcome,) = judged(store, put_product(store, good["sentinel-2"], tile="32TQN"))
    assert (outcome.ending, outcome.reason) == (Ending.QUARANTINED, "tile_mismatch")
    table = json.loads(store.get(store.key(outcome.judged.facts)))
    assert table["scene"]["tile"] == "32TQM"
    assert [row["band"] for row in table["bands"]][:3] == ["B01", "B02", "B03"]
    assert all(0.0 < row["p50"] < 1.0 for row in table["bands"] if row["role"] == "surface")
    assert table["failures"][0] == {
        "code": "tile_mismatch",
        "severity": "critical",
        "sentence": outcome.sentence,
        "bands": [],
    }
    assert outcome.judged.failed == (outcome.sentence,)


def test_judging_again_in_another_try_writes_the_same_pages(store, good):
    ref = put_product(store, good["landsat"])
    (first,) = judged(store, ref)
    before = {stored.key for stored in store.list("reports/")}
    store.delete(f"batches/run-1/000/validate-l1/{ref.acquisition}.json")
    (second,) = judged(store, ref)
    assert (second.tries, second.judged) == (2, first.judged)
    assert {stored.key for stored in store.list("reports/")} == before


@pytest.mark.parametrize(
    ("changes", "ending", "reason"),
    [
        ({"tile": "32TQN"}, Ending.QUARANTINED, "tile_mismatch"),
        ({"sensed": datetime(2020, 1, 1, tzinfo=UTC)}, Ending.QUARANTINED, "date_mismatch"),
        (
            {"acquisition": "S2C_20250619T095753_32TQM", "scene": "S2C_MSIL1C_X"},
            Ending.QUARANTINED,
            "platform_mismatch",
        ),
        ({"scene": "S2B_MSIL1C_RENAMED"}, Ending.DONE, "ok"),
    ],
)
def test_a_product_other_than_announced_is_noticed(store, good, changes, ending, reason):
    ref = put_product(store, good["sentinel-2"]).model_copy(update=changes)
    (outcome,) = judged(store, ref)
    assert (outcome.ending, outcome.reason) == (ending, reason)
    assert outcome.judged.failed


def test_much_cloud_makes_an_expected_non_product(store, tmp_path):
    cloudy = request_for("L9", size_m=3600, cloud_percent=100)
    (outcome,) = judged(store, put_product(store, simulate(tmp_path, order=Order(cloudy)).product))
    assert (outcome.ending, outcome.reason) == (Ending.SKIPPED, "too_cloudy")


def test_what_was_announced_is_read_off_the_reference():
    sentinel = announced(bare_ref())
    assert (sentinel.platform, sentinel.tile) == ("sentinel-2b", "32TQM")
    landsat = announced(bare_ref(acquisition="LC09_192029_20250613", tile="192/029", scene="LC09_X.SAFE"))
    assert (landsat.platform, landsat.tile, landsat.scene) == ("landsat-9", "192029", "LC09_X")
    odd = announced(bare_ref(acquisition="X1_2025", tile="nowhere"))
    assert (odd.platform, odd.tile) == (None, "nowhere")


REAL = {
    "s2-l1c-safe-t55jej-20171207-decimated": "ok",
    "s2-l1c-safe-t31tdh-20180101": "band_missing",
    "s2-l1c-safe-t51mup-20230804-metadata": "band_missing",
    "landsat8-l1tp-c2-decimated-20201029": "ok",
    "landsat8-l1tp-corumba-20190809": None,
    "landsat8-l1tp-marburg-20130707": None,
    "landsat8-pair-l1tp-l2sp-momotombo-west": None,
    "landsat9-l1tp-hawaii-20230714": "ok",
    "landsat8-l2sp-brumadinho-20190114": "unknown_product",
    "landsat5-l1t-amazon-1988": "unsupported_sensor",
}


@pytest.mark.oracle
def test_every_real_product_is_valid_or_names_its_reason(store, samples):
    refs = []
    for number, name in enumerate(REAL):
        folder = samples / name
        ref = put_product(store, next(iter(folder.glob("S2A_MSIL1C_*")), folder))
        refs.append(ref.model_copy(update={"acquisition": f"{ref.acquisition}_{number}"}))
    found = dict(zip(REAL, judged(store, *refs), strict=True))
    for name, expected in REAL.items():
        outcome = found[name]
        assert outcome.ending in (Ending.DONE, Ending.QUARANTINED)
        assert expected is None or outcome.reason == expected, outcome.sentence
