"""The rolling map of a tile: of a set of maps, whatever way they came."""

import itertools
import json
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox

import map_products
from tile_maps import TILE, ground, put_map
from undersky.errors import DataError, Reason
from undersky.raster.encoding import ROLLING_LAYERS
from undersky.stac.rolling import rolling_collection
from undersky.stages.roll import RollOptions, plan_roll, roll

OFF = [10, 0, 600_003, 0, -10, 5_100_000]
"""Three metres beside the lattice."""


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Of three days."""
    out = tmp_path_factory.mktemp("maps")
    return [put_map(out, day) for day in (0, 40, 95)]


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".json"}


def _pixels(folder: Path, key: str) -> np.ndarray:
    with rasterio.open(folder / f"{key}.tif") as dataset:
        return dataset.read(1)


def test_the_map_after_three_dates_equals_the_one_rebuilt_from_nothing_in_another_order(
    maps: list[Path], tmp_path: Path
) -> None:
    for number in (1, 2):  # as the dates come in, each rolled into the map of then
        roll(maps[:number], tmp_path / "daily")
    daily = roll(maps, tmp_path / "daily")
    again = roll(maps[::-1], tmp_path / "again", options=RollOptions(threads=1, strip_rows=50))
    assert (again.id, again.digest) == (daily.id, daily.digest)
    assert _bytes(again.folder) == _bytes(daily.folder)


def test_the_plan_is_the_same_in_every_order(maps: list[Path]) -> None:
    plans = [plan_roll(order) for order in itertools.permutations(maps)]
    assert len({(plan.id, plan.digest, tuple(each.id for each in plan.maps)) for plan in plans}) == 1


def test_one_map_rolls_into_itself(maps: list[Path], tmp_path: Path) -> None:
    made = roll(maps[:1], tmp_path)
    np.testing.assert_array_equal(_pixels(made.folder, "landcover"), _pixels(maps[0], "landcover"))
    before, after = _pixels(maps[0], "confidence"), _pixels(made.folder, "confidence")
    np.testing.assert_array_equal(np.where(before == 255, 255, before.clip(10, 99)), after)
    seen = _pixels(maps[0], "landcover") != 0
    np.testing.assert_array_equal(_pixels(made.folder, "observations"), seen)
    np.testing.assert_array_equal(_pixels(made.folder, "last_clear"), seen * plan_roll(maps[:1]).maps[0].day)


def test_a_field_that_became_a_town_is_flagged_and_mapped_as_town(tmp_path: Path) -> None:
    after = ground(40)
    after[:30] = 50
    maps = [put_map(tmp_path, day, ground(40), 0.8) for day in (0, 30, 60)]
    maps += [put_map(tmp_path, day, after, 0.8) for day in (100, 120)]
    made = roll(maps, tmp_path / "out")
    change = _pixels(made.folder, "change")
    assert (change[:30] == 1).all()
    assert (change[30:] == 0).all()
    np.testing.assert_array_equal(_pixels(made.folder, "landcover"), after)
    assert made.summary["changed"] == pytest.approx(25.0)


def test_the_item_says_what_it_is_of(maps: list[Path], tmp_path: Path) -> None:
    made = roll(maps, tmp_path)
    item = pystac.Item.from_file(str(made.item))
    properties = item.properties
    assert item.collection_id == "sentinel-2-landcover-latest"
    assert (properties["start_datetime"], properties["end_datetime"]) == (
        "2025-03-01T10:15:59Z",
        "2025-06-04T10:15:59Z",
    )
    assert [each["id"] for each in properties["undersky:maps"]] == [folder.name for folder in maps]
    assert [link.title for link in item.get_links("derived_from")] == [folder.name for folder in maps]
    assert set(item.assets) == {*(layer.key for layer in ROLLING_LAYERS), "thumbnail"}
    classes = item.assets["landcover"].extra_fields["bands"][0]["classification:classes"]
    assert [each["value"] for each in classes][:3] == [0, 10, 20]
    with rasterio.open(made.folder / "landcover.tif") as dataset:
        assert dataset.colormap(1)[10] == (0, 100, 0, 255)
    assert rolling_collection(item.collection_id).id == item.collection_id


def test_what_is_there_is_not_made_again(maps: list[Path], tmp_path: Path) -> None:
    first, second = roll(maps, tmp_path), roll(maps[::-1], tmp_path)
    assert (first.was_there, second.was_there) == (False, True)
    assert second.summary == first.summary


def test_maps_beyond_the_horizon_and_named_twice_count_for_nothing(tmp_path: Path) -> None:
    old, new = put_map(tmp_path, 0, ground(10)), put_map(tmp_path, 366, ground(40))
    assert plan_roll([old, new, new]).digest == plan_roll([new]).digest


def test_scenes_of_one_lattice_roll_into_the_grid_that_holds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = put_map(tmp_path, 0, ground(10))
    corner = map_products.GRID.affine @ Affine.translation(7, -4)
    shifted = GeoBox(map_products.GRID.shape, corner, map_products.GRID.crs)
    monkeypatch.setattr(map_products, "GRID", shifted)
    second = put_map(tmp_path, 10, ground(40), 0.9)
    made = roll([second, first], tmp_path / "out", options=RollOptions(strip_rows=33))
    side = map_products.SIDE
    observations = _pixels(made.folder, "observations")
    assert observations.shape == (side + 4, side + 7)
    assert (observations[4:side, 7:side] == 2).all()
    assert observations[0, 0] == 0
    codes = _pixels(made.folder, "landcover")
    assert (codes[-1, 0], codes[0, -1], codes[-1, -1]) == (10, 40, 0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda item: item["properties"].update({"proj:code": "EPSG:32633"}), Reason.CRS_MISMATCH),
        (lambda item: item["assets"]["landcover"].update({"proj:transform": OFF}), Reason.GRID_MISMATCH),
        (lambda item: item["properties"].update({"grid:code": "MGRS-33TVM"}), Reason.GRID_MISMATCH),
        (lambda item: item.update({"collection": "sentinel-2-vessels"}), Reason.UNKNOWN_PRODUCT),
        (lambda item: item["assets"]["landcover"].update({"proj:shape": [9, 9]}), Reason.GRID_MISMATCH),
    ],
)  # fmt: skip
def test_maps_that_do_not_belong_together_are_refused_and_nothing_is_left(
    tmp_path: Path, change: object, reason: Reason
) -> None:
    maps = [put_map(tmp_path, 0, ground(10)), put_map(tmp_path, 10, ground(10))]
    map_products.edit(maps[1], change)
    with pytest.raises(DataError) as caught:
        roll(maps, tmp_path / "out")
    assert caught.value.reason is reason
    assert not [path for path in (tmp_path / "out").glob("*") if not path.name.endswith(".json")]


def test_nothing_rolls_into_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no map was given"):
        roll([], tmp_path)


def test_the_id_names_tile_and_day(maps: list[Path]) -> None:
    plan = plan_roll(maps)
    assert plan.id == f"S2_{TILE}_20250604_LATEST_{plan.digest[:8]}"
    assert json.loads((maps[0] / f"{maps[0].name}.json").read_text())["properties"]["undersky:digest"] in {
        each.digest for each in plan.maps
    }
