"""Small values between Airflow and the flow: names, labels, links, XCom."""

from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures_airflow import context
from undersky.refs import Batch, Ending, Lane, SceneRef
from undersky.settings import Settings


def _batch(*tiles: str) -> Batch:
    scenes = tuple(
        SceneRef(
            acquisition=f"A{number}",
            scene=f"S{number}",
            collection="sentinel-2-l1c",
            tile=tile,
            sensed=datetime(2025, 6, 19, tzinfo=UTC),
        )
        for number, tile in enumerate(tiles)
    )
    return Batch(run="r", name="000", lane=Lane.FRESH, scenes=scenes)


@pytest.mark.parametrize(
    ("tiles", "label"),
    [
        (("32TQM", "32TQM", "31TGL", "30TVP", "192029"), "32TQM +3, 5 scenes"),
        (("32TQM",), "32TQM, 1 scene"),
        (("32TQM", "32TQM"), "32TQM, 2 scenes"),
        ((), "nothing, 0 scenes"),
    ],
)
def test_a_batch_is_labelled_by_tile_and_count(tiles: tuple[str, ...], label: str) -> None:
    from undersky_airflow.cards import card

    assert card("s3://b/batch.json", _batch(*tiles)) == {"href": "s3://b/batch.json", "label": label}


def test_a_run_has_a_name_that_is_unique_among_dags_and_fit_for_a_key() -> None:
    from undersky_airflow.actors import run_key

    one = run_key(context())
    assert one.startswith("surface_maps.scheduled__2026-11-22T18-30-00-00-00.")
    assert one == run_key(context(try_number=3)), "every task and try of a run agrees"
    others = [
        context(dag_id="ingest_acquisitions"),
        context(run_id="scheduled__2026-11-22T18:30:00-00:00"),
        context(run_id="by hand / two"),
        context(run_id="x" * 250),
    ]
    names = {one, *map(run_key, others)}
    assert len(names) == 5
    assert all(name.replace(".", "").replace("-", "").replace("_", "").isalnum() for name in names)
    assert max(map(len, names)) < 120


def test_an_actor_is_run_task_try_and_the_address_of_the_log() -> None:
    from undersky_airflow.actors import actor, run_key

    by = actor(context(try_number=2), None)
    assert (by.run, by.task, by.attempt) == (run_key(context()), "surface_batch.correct", 2)
    assert by.log == "http://localhost:8080/dags/surface_maps/runs/x/tasks/surface_batch.correct?try_number=1"


def test_the_log_is_addressed_as_people_reach_it() -> None:
    from undersky_airflow.actors import actor

    log = actor(context(), "https://airflow.example/team/").log
    assert log is not None
    assert log.startswith("https://airflow.example/team/dags/surface_maps/runs/x/tasks/")


def test_what_lies_in_the_bucket_is_addressed_as_a_browser_reaches_it() -> None:
    from undersky_airflow.links import public

    settings = Settings(public_url="https://data.example/undersky/")
    assert public("s3://undersky/stac/a.json", settings) == "https://data.example/undersky/stac/a.json"
    assert public("https://docs.example/x", settings) == "https://docs.example/x"
    assert public("s3://undersky/stac/a.json", Settings()) is None
    assert public(None, settings) is None


def test_a_link_leads_where_its_task_found_out_and_nowhere_before() -> None:
    from undersky_airflow.links import LINKS

    found: Any = SimpleNamespace(addresses={"Products": "https://p", "Model version": "https://m"})
    none: Any = SimpleNamespace()
    key: Any = None
    assert [link.get_link(found, ti_key=key) for link in LINKS] == ["https://p", "", "https://m", "", ""]
    assert [link.get_link(none, ti_key=key) for link in LINKS] == [""] * 5
    assert len({link.xcom_key for link in LINKS}) == len(LINKS)


def test_results_are_small_plain_json() -> None:
    from undersky_airflow.plain import plain

    @dataclass(frozen=True, slots=True)
    class Report:
        lane: Lane
        counts: dict[Ending, int]
        at: datetime
        names: tuple[str, ...]

    report = Report(Lane.FRESH, {Ending.DONE: 2}, datetime(2026, 1, 1, tzinfo=UTC), ("a",) * 1000)
    found: Any = plain(report)
    assert found["lane"] == "fresh"
    assert found["counts"] == {"done": 2}
    assert found["at"] == "2026-01-01 00:00:00+00:00"
    assert len(found["names"]) == 50
    assert plain(_batch("32TQM"))["scenes"][0]["tile"] == "32TQM"  # type: ignore[index]


def test_failed_tasks_are_named_and_those_that_never_ran_are_not() -> None:
    from undersky_airflow.failures import failed_tasks

    states = {"pin": "failed", "claim_surface": "upstream_failed", "index": "success", "account": "running"}
    assert failed_tasks(context(states=states)) == ["task pin failed: its log says why"]


def test_a_provider_that_could_not_be_asked_is_named() -> None:
    from undersky_airflow.failures import failed_searches

    failure = {"profile": "earth-search", "area": "po", "sentence": "it answers 503"}
    assert failed_searches({"failures": [failure]}) == ["earth-search, area po: it answers 503"]
    assert failed_searches(None) == failed_searches({}) == []
