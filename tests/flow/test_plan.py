"""The size of a cluster, by hand: 864 scenes a day are one in 100 seconds, half of what is paid for works."""

import pytest

from undersky.errors import ConfigError
from undersky.flow.plan import GIB, POOLS, STAGES, Load, Plan, plan
from undersky.flow.prices import PriceList
from undersky.flow.spent import Spent
from undersky.refs import Stage
from undersky.tile_refs import TileStage

LOAD = Load(864, utilisation=0.5, keep_months=2)
HALF, ONE = int(GIB / 2), int(GIB)
SPENT = {
    Stage.INGEST: Spent(seconds=200, cpu_seconds=25, memory_gib=0.5, bytes=HALF, source="by hand"),
    Stage.CORRECT: Spent(seconds=120, cpu_seconds=150, memory_gib=1.5, bytes=ONE, source="by hand"),
}
"""A scene of half a GiB, and its product of one."""
PRICES = PriceList("EUR", "us", "2026", core_hour=0.1, gib_hour=0.01, gpu_hour=2.0, s3_gib_month=0.03)


def line(found: Plan, stage: str):
    [mine] = [each for each in found.lines if each.stage == stage]
    return mine


def test_every_stage_of_a_scene_and_of_a_tile_has_a_line_and_a_pool() -> None:
    assert [each.stage for each in plan(LOAD, SPENT).lines] == [*Stage, *TileStage]
    assert sorted(stage for stages in POOLS.values() for stage in stages) == sorted(STAGES)


def test_pods_cores_and_memory_follow_from_seconds() -> None:
    correct = line(plan(LOAD, SPENT), Stage.CORRECT)
    # 120 s every 100 s are 1.2 workers, and 2.4 where half of them idles; 150 CPU-s are 1.5 cores, and 3.
    assert (correct.at_once, correct.pods) == (pytest.approx(2.4), 3)
    assert correct.cores == pytest.approx(3.0)
    assert (correct.memory_gib, correct.memory_at_once_gib) == (1.5, pytest.approx(3.6))
    assert correct.scratch_gib == 1.5, "the scene that is fetched and the product that is made"
    assert correct.gpus == 0


def test_a_pool_has_slots_for_all_its_stages_and_one_beside_a_batch_that_hangs() -> None:
    judged = {Stage.VALIDATE_L1: Spent(seconds=10), Stage.VALIDATE_SURFACE: Spent(seconds=40)}
    rest = {stage: Spent(seconds=1) for stage in STAGES}
    found = plan(LOAD, {**rest, **SPENT, **judged})
    # ingest (200 + 10) / 100 / 0.5 = 4.2; correct (120 + 40) / 100 / 0.5 = 3.2
    assert found.slots == {"ingest": 5, "correct": 4, "map": 2, "tiles": 1}


def test_the_store_grows_by_what_stays_and_is_read_by_who_needs_it() -> None:
    found = plan(LOAD, SPENT)
    assert found.stored_gib_per_day == pytest.approx(864 * 1.5)
    # stored 1.5; the scene is read by its judge and by correct, the product by its judge, map and detect
    assert found.moved_gib_per_day == pytest.approx(864 * (1.5 + 2 * 0.5 + 3 * 1.0))


def test_the_bill_is_the_sum_of_its_parts() -> None:
    bill = plan(LOAD, SPENT, prices=PRICES).bill
    # cores 3 + 0.5; memory 3.6 + 4 x 0.5; the store holds two months of 864 x 1.5 GiB a day
    assert bill.per_day == pytest.approx(
        {"cores": 3.5 * 24 * 0.1, "memory": 5.6 * 24 * 0.01, "store": 864 * 1.5 * 60 * 0.03 / 30}
    )
    assert bill.day == pytest.approx(8.4 + 1.344 + 77.76)
    cost = plan(LOAD, SPENT, prices=PRICES).as_json()["cost"]
    assert (cost["per_day"], cost["per_month"]) == (pytest.approx(87.504), pytest.approx(2625.12))
    assert cost["per_scene"] == pytest.approx(87.504 / 864)


def test_a_gpu_is_paid_for_as_long_as_its_pod_holds_it() -> None:
    load = Load(864, utilisation=0.5, gpu_stages=(Stage.CORRECT,))
    found = plan(load, SPENT, prices=PRICES)
    assert line(found, Stage.CORRECT).gpus == pytest.approx(2.4)
    assert found.bill.per_day["gpus"] == pytest.approx(2.4 * 24 * 2.0)


def test_what_readers_take_out_is_paid_for_where_it_is_said() -> None:
    prices = PriceList("EUR", "us", "2026", 0.1, 0.01, s3_gib_month=0.0, egress_gib=0.05)
    assert plan(Load(864, egress_gib_per_day=40), SPENT, prices=prices).bill.per_day["egress"] == 2.0
    assert "egress" not in plan(LOAD, SPENT, prices=prices).bill.per_day


def test_a_price_that_is_needed_and_left_out_is_an_error_and_not_nothing() -> None:
    prices = PriceList("EUR", "us", "2026", 0.1, 0.01)
    with pytest.raises(ConfigError, match="no s3_gib_month, and 77,760 GiB are kept: add it"):
        plan(LOAD, SPENT, prices=prices)


def test_what_was_not_measured_is_said_and_in_no_sum() -> None:
    found = plan(LOAD, {Stage.CORRECT: Spent(seconds=120, source="by hand")}, prices=PRICES)
    detect = line(found, Stage.DETECT)
    assert (detect.seconds, detect.pods, detect.cores, detect.scratch_gib) == (None, None, None, None)
    assert detect.source == "not measured"
    assert found.slots == {"ingest": None, "correct": None, "map": None, "tiles": None}
    assert found.stored_gib_per_day is None
    seconds, cpu, *_ = found.lacking
    assert seconds.startswith("the seconds of ingest, validate-l1, validate-surface, map")
    assert "correct" not in seconds
    assert "correct" in cpu
    assert set(found.lacking) >= {"requests to the store", "growth of the ledger"}
    assert found.bill.per_day == {"cores": 0.0, "memory": 0.0}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"scenes_per_day": 0}, "0 scenes a day"),
        ({"scenes_per_day": 1, "utilisation": 0}, "utilisation of 0 is no share"),
        ({"scenes_per_day": 1, "utilisation": 70}, "utilisation of 70 is no share"),
        ({"scenes_per_day": 1, "keep_months": -1}, "less than none"),
    ],
)
def test_a_load_that_cannot_be_meant_is_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Load(**wrong)


def test_a_stage_that_is_none_is_refused_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match="'train' is no stage; one of ingest, validate-l1"):
        plan(Load(1, gpu_stages=("train",)), SPENT)
