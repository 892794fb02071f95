"""Maps of what the flow published, read back with the tools of the field; the rolling map of their tile.

The tests are one story, in the order in which they stand.
"""

import json
import subprocess
import sys
import time
import urllib.request
import warnings
from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import pystac
import pytest
import rasterio
from showcase.preparing import bootstrap_maps, bootstrap_mask

from stack_world import World, add_area
from undersky.landcover import BY_CODE, CLASSES
from undersky.refs import Kind
from undersky.services.ledger import Selection

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning"),
]

TILE = "33TUL"
LAND, WATER = "sentinel-2-landcover", "sentinel-2-vessels"


@pytest.fixture(scope="session")
def scenes(world: World) -> list[str]:
    """Three dates of one tile, masked and mapped."""
    bootstrap_mask(world.stack.site)
    bootstrap_maps(world.stack.site)
    add_area(world.ledger, "mapped", tile=TILE)
    made = [
        world.announce(sensor, tile=TILE, days_ago=days, seed=9)
        for sensor, days in (("S2A", 2), ("S2B", 1), ("S2C", 0))
    ]
    world.let_flow(*made, patience_s=600)
    for kind in (Kind.LANDCOVER, Kind.VESSELS):
        wait(lambda kind=kind: len(published(world, made, kind)) == len(made), f"maps of kind {kind}")
    return made


def wait(true: Callable[[], bool], what: str, patience_s: float = 400.0) -> None:
    deadline = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < deadline, f"never came true: {what}"
        time.sleep(1.0)


def published(world: World, scenes: list[str], kind: Kind) -> list[str]:
    """Addresses of the published Items of a kind."""
    found = world.ledger.products(Selection(scenes=tuple(scenes), kind=kind), limit=100)
    return [world.address(each.href) for each in found if each.state == "published" and each.href]


def read(address: str) -> pystac.Item:
    with urllib.request.urlopen(address) as reply:
        item = pystac.Item.from_dict(json.load(reply), href=address)
    return item.make_asset_hrefs_absolute()


def source(item: pystac.Item) -> pystac.Item:
    """The surface product that a map is made of."""
    (link,) = item.get_links("derived_from")
    return read(str(link.get_absolute_href()))


def test_a_map_lies_on_the_grid_of_its_reflectance_in_worldcovers_colours(
    world: World, scenes: list[str]
) -> None:
    item = read(published(world, scenes, Kind.LANDCOVER)[0])
    assert item.collection_id == LAND
    with (
        rasterio.open(f"/vsicurl/{item.assets['landcover'].href}") as cover,
        rasterio.open(f"/vsicurl/{item.assets['confidence'].href}") as confidence,
        rasterio.open(f"/vsicurl/{source(item).assets['B02'].href}") as blue,
    ):
        assert (cover.crs, cover.transform, cover.shape) == (blue.crs, blue.transform, blue.shape)
        codes, table = cover.read(1), cover.colormap(1)
        sure = confidence.read(1, masked=True)
    assert set(np.unique(codes)) <= {0, *BY_CODE}
    assert {each.code: table[each.code][:3] for each in CLASSES} == {
        each.code: each.colour for each in CLASSES
    }
    known = codes != 0
    assert known.mean() > 0.5
    assert not sure[known].mask.any()
    assert 0.2 < sure[known].mean() * 0.01 <= 1.0


def test_odc_stac_stacks_the_maps_of_all_dates(world: World, scenes: list[str]) -> None:
    import odc.stac

    items = [read(address) for address in published(world, scenes, Kind.LANDCOVER)]
    cube = odc.stac.load(items, bands=["landcover", "confidence"])
    assert cube.landcover.sizes["time"] == len(scenes)
    values = set(np.unique(cube.landcover.values))
    assert len(values - {0}) > 1
    assert values <= {0, *BY_CODE}


def test_geopandas_reads_the_objects_of_every_scene(world: World, scenes: list[str], tmp_path: Path) -> None:
    for address in published(world, scenes, Kind.VESSELS):
        item = read(address)
        assert item.collection_id == WATER
        for name in ("vessels", "geojson"):
            urllib.request.urlretrieve(item.assets[name].href, tmp_path / name)
        table = geopandas.read_parquet(tmp_path / "vessels")
        assert {"score", "length_m", "geometry"} <= set(table.columns)
        assert table.crs is not None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            drawn = geopandas.read_file(tmp_path / "geojson")
        assert len(drawn) == len(table)
        assert table.geometry.is_valid.all()


def test_the_rolling_map_of_three_dates_is_the_one_rebuilt_from_nothing_in_another_order(
    world: World, scenes: list[str], tmp_path: Path
) -> None:
    def built() -> bool:
        tiles = [each for each in world.ledger.tile_maps() if each.tile == TILE]
        return bool(tiles) and tiles[0].state == "built" and len(tiles[0].products) == len(scenes)

    wait(built, "the rolling map of three dates")
    (tile,) = (each for each in world.ledger.tile_maps() if each.tile == TILE)
    latest = read(world.address(str(tile.href)))
    store = world.store()
    folders = []
    for address in reversed(published(world, scenes, Kind.LANDCOVER)):
        item = read(address)
        folder = tmp_path / "maps" / item.id
        folder.mkdir(parents=True)
        for asset in item.assets.values():
            urllib.request.urlretrieve(asset.href, folder / Path(asset.href).name)
        made = next(
            each.made
            for each in world.ledger.products(Selection(kind=Kind.LANDCOVER), limit=100)
            if each.made is not None and each.made.id == item.id
        )
        (folder / f"{item.id}.json").write_bytes(store.get(made.item))
        folders.append(str(folder))
    done = subprocess.run(
        [sys.executable, "-m", "undersky", "roll", *folders, "--out", str(tmp_path / "again")],
        capture_output=True, text=True, check=False, env=dict(world.environment),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (again,) = (tmp_path / "again").iterdir()
    for name in ("landcover", "confidence", "last_clear", "observations", "change"):
        with urllib.request.urlopen(latest.assets[name].href) as reply:
            assert reply.read() == (again / Path(latest.assets[name].href).name).read_bytes(), name


def test_the_run_has_a_page_that_anybody_opens(world: World, scenes: list[str]) -> None:
    store, texts = world.store(), []
    for found in store.list("reports/runs/"):
        with urllib.request.urlopen(world.address(store.href(found.key))) as reply:
            texts.append(reply.read().decode())
    assert any(TILE in text and "Land cover" in text and "data:image/png" in text for text in texts)
