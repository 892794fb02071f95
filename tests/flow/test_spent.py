"""What scenes took: of the batches of late where there are some, of the bench elsewhere, guessed nowhere."""

import pytest

from fixtures_ledger import BY, one_valid, outcome, product_of, publish
from undersky.flow.spent import LANDSAT, SENTINEL_2, Spent, bench, best, measured_here, mixed, shipped
from undersky.refs import Ending, Ingested, Made, SceneRef, Stage
from undersky.services.ledger import Ledger
from undersky.services.profiles import load_profiles
from undersky.services.store import Store
from undersky.tile_refs import RolledRef, TileStage


def published(ledger: Ledger, number: int) -> SceneRef:
    ref = one_valid(ledger, number)
    publish(ledger, ref, f"d{number}")
    return ref


def lay(store: Store, ref: SceneRef, stage: Stage, seconds: float, **changes: object) -> None:
    """How the scene left a stage, as the stage writes it down."""
    said = outcome(ref, stage=stage, seconds=seconds, **changes)
    store.put_json(f"batches/{BY.run}/000/{stage}/{ref.acquisition}.json", said)


def made(ref: SceneRef, **figures: float) -> Made:
    return product_of(ref).model_copy(update=figures)


def test_seconds_and_bytes_are_the_mean_of_the_last_scenes_here(ledger: Ledger, store: Store) -> None:
    for number, seconds in enumerate((100.0, 140.0)):
        ref = published(ledger, number)
        lay(store, ref, Stage.INGEST, seconds / 2, ingested=Ingested(files=(), bytes=600, fetched=0))
        lay(store, ref, Stage.CORRECT, seconds, made=made(ref, cpu_seconds=2 * seconds, bytes=1000 + number))
        lay(store, ref, Stage.VALIDATE_SURFACE, 4.0, made=made(ref, cpu_seconds=2 * seconds))
    found = measured_here(ledger, store, SENTINEL_2)
    source = "mean of the last 2 here"
    assert found == {
        Stage.INGEST: Spent(seconds=60.0, bytes=600, source=source),
        Stage.CORRECT: Spent(seconds=120.0, cpu_seconds=240.0, bytes=1000, source=source),
        # what an earlier stage made is carried along, and no work of the judge's
        Stage.VALIDATE_SURFACE: Spent(seconds=4.0, source=source),
    }


def test_a_scene_that_did_not_end_well_says_nothing_of_what_one_takes(ledger: Ledger, store: Store) -> None:
    ref = published(ledger, 0)
    lay(store, ref, Stage.CORRECT, 0.2, ending=Ending.RETRY, reason="service_failed")
    lay(store, ref, Stage.VALIDATE_L1, 0.0)
    assert measured_here(ledger, store, SENTINEL_2) == {}


def test_rolling_maps_of_the_same_runs_count(ledger: Ledger, store: Store) -> None:
    ref = published(ledger, 0)
    rolled = made(ref, seconds=50.0, cpu_seconds=90.0, bytes=7)
    said = RolledRef(tile="32TQM", ending=Ending.DONE, made=rolled)
    store.put_json(f"rolls/{BY.run}/32TQM-1/rolled.json", said)
    assert measured_here(ledger, store, SENTINEL_2) == {
        TileStage.ROLL: Spent(seconds=50.0, cpu_seconds=90.0, bytes=7, source="the last one here")
    }


def test_a_sensor_that_was_never_here_has_no_figures(ledger: Ledger, store: Store) -> None:
    lay(store, published(ledger, 0), Stage.CORRECT, 10.0)
    assert measured_here(ledger, store, LANDSAT) == {}


def test_what_is_lacking_here_is_taken_from_the_bench_and_that_is_said() -> None:
    here = {Stage.CORRECT: Spent(seconds=80.0, source="mean of the last 9 here")}
    before = {
        Stage.CORRECT: Spent(seconds=131.0, memory_gib=1.0, source="the bench"),
        Stage.MAP: Spent(seconds=90.0, source="the bench"),
    }
    found = best(here, before)
    assert found[Stage.CORRECT] == Spent(
        seconds=80.0, memory_gib=1.0, source="mean of the last 9 here; memory_gib: the bench"
    )
    assert found[Stage.MAP] == before[Stage.MAP]
    assert Stage.DETECT not in found


def test_a_mix_is_the_mean_and_lacks_what_one_part_lacks() -> None:
    sentinel = {Stage.CORRECT: Spent(seconds=100.0, memory_gib=1.0, bytes=10, source="a")}
    landsat = {Stage.CORRECT: Spent(seconds=60.0, memory_gib=2.0, source="b")}
    found = mixed([(0.75, sentinel), (0.25, landsat)])
    assert found[Stage.CORRECT] == Spent(seconds=90.0, memory_gib=2.0, source="75% a; 25% b")
    assert found[Stage.MAP].seconds is None
    assert mixed([(1.0, sentinel), (0.0, landsat)]) == sentinel


def test_what_ships_is_of_sentinel_2_and_names_the_bench() -> None:
    profiles = load_profiles(None)
    found = shipped(SENTINEL_2, profiles)
    assert all("tests/bench/stages.py" in found[stage].source for stage in bench() if stage in set(Stage))
    assert found[Stage.INGEST].seconds is None, "the network decides"
    assert found[Stage.INGEST].source.startswith("bytes: as the profile ")
    assert set(shipped(LANDSAT, profiles)) == {Stage.INGEST}


@pytest.mark.parametrize("stage", [Stage.CORRECT, Stage.MAP, Stage.DETECT])
def test_a_product_that_the_bench_made_was_weighed_too(stage: Stage) -> None:
    spent = bench().get(stage)
    assert spent is None or None not in (spent.cpu_seconds, spent.memory_gib, spent.bytes)
    assert Stage.CORRECT in bench()


def test_a_page_of_a_judge_is_no_product() -> None:
    assert bench()[Stage.VALIDATE_L1].bytes is None
