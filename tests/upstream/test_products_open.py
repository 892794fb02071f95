"""What a profile makes of a provider's Items is a product that the sensors open, the same by every way."""

import shutil
import time
import urllib.error
import urllib.request
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from upstream.catalog import Catalog, Query

from fixtures_archive import Archive
from undersky.refs import Lane
from undersky.scene import Scene
from undersky.sensors import open_scene
from undersky.services.granules import Wish, read_item
from undersky.services.ledger import Announcement, Area
from undersky.services.profiles import load_profiles
from undersky.services.search import Question, search
from undersky.stages.simulate import Order, request_for, simulate
from undersky.synth.malformed import MALFORMED, malform
from upstream.items import DIALECTS

WORLD = {"type": "Polygon", "coordinates": [[[-180, -85], [180, -85], [180, 85], [-180, 85], [-180, -85]]]}
BEGIN, END = datetime(2013, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
WAYS = {
    "copernicus-dataspace": "sentinel-2-l1c",
    "earth-search": "sentinel-2-l1c",
    "usgs-landsatlook": "landsat-c2-l1",
}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Sentinel-2 product of a new baseline, one of an old, and a Landsat."""
    folder = tmp_path_factory.mktemp("simulated")
    for sensor, day, baseline in (
        ("S2B", date(2025, 6, 19), "05.11"),
        ("S2A", date(2019, 6, 18), "02.07"),
        ("L9", date(2025, 6, 13), "05.11"),
    ):
        request = request_for(sensor, day=day, size_m=3600)
        simulate(folder, order=Order(request, baseline=baseline))
    return folder


def get(href: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(href) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, b""


def fetched(archive: Archive, profile_name: str, into: Path) -> dict[str, Path]:
    """Every scene of a provider in a folder of its own, as ingest lays it."""
    profile, collection = archive.profiles[profile_name], WAYS[profile_name]
    area = Area("world", WORLD, (collection,), since=date(2013, 1, 1))
    wish = Wish(area, collection, Lane.HISTORICAL, datetime.now(UTC))
    access, products = profile.access({}), {}
    for page in search(profile, Question(collection, WORLD, BEGIN, END)):
        for item in page.items:
            announced = read_item(item, profile, wish)
            assert isinstance(announced, Announcement), announced
            folder = into / announced.scene
            for file in announced.files:
                access.check(file.href)
                path = folder / file.name
                path.parent.mkdir(parents=True, exist_ok=True)
                status, body = get(file.href)
                if status == 200:
                    path.write_bytes(body)
                else:
                    assert (status, access.may_be_absent(file.name)) == (404, True), file.name
            zips = list(folder.glob("*.zip"))
            products[announced.key] = zips[0] if zips else folder
    return products


def described(scene: Scene) -> dict[str, object]:
    return {
        "id": scene.id,
        "bands": sorted(scene.bands),
        "baseline": scene.baseline,
        "tile": scene.tile,
        "sensed": scene.acquired,
        "grid": scene.grid,
        "cloud": scene.declared_cloud_percent,
        "masked": scene.agency_mask is not None,
        "prior": scene.prior is not None,
        "notes": sorted(note.finding for note in scene.notes),
    }


@pytest.mark.parametrize("way", WAYS)
def test_every_way_leads_to_the_product_that_was_announced(
    archive: Archive, simulated: Path, tmp_path: Path, way: str
) -> None:
    originals = {}
    for path in simulated.iterdir():
        is_landsat = path.name.startswith("L")
        if path.name.endswith(".truth") or is_landsat != (way == "usgs-landsatlook"):
            continue
        shutil.copytree(path, archive.folder / path.name)
        originals[open_scene(path).id] = described(open_scene(path))
    time.sleep(0.6)
    products = fetched(archive, way, tmp_path / "fetched")
    opened = {scene.id: described(scene) for scene in map(open_scene, products.values())}
    assert set(opened) == set(originals)
    for scene, original in originals.items():
        different = {
            key: (value, original[key]) for key, value in opened[scene].items() if value != original[key]
        }
        assert not different


@pytest.mark.faults
@pytest.mark.parametrize("kind", MALFORMED)
def test_damaged_products_are_announced_by_their_names(simulated: Path, tmp_path: Path, kind: str) -> None:
    is_landsat = MALFORMED[kind].family == "landsat"
    pattern = "LC09_*_T1" if is_landsat else "S2B_*.SAFE"
    (good,) = simulated.glob(pattern)
    malform(good, kind, out=tmp_path / "upstream")
    (tmp_path / "cache").mkdir()
    catalog = Catalog((tmp_path / "upstream",), tmp_path / "cache")
    dialect, name = ("landsatlook", "usgs-landsatlook") if is_landsat else ("cdse", "copernicus-dataspace")
    items, _ = catalog.search(DIALECTS[dialect], "https://download.dataspace.copernicus.eu", Query(limit=10))
    assert [item["id"] for item in items] == [good.name.removesuffix(".SAFE")]
    collection = WAYS[name]
    area = Area("world", WORLD, (collection,), since=date(2013, 1, 1))
    wish = Wish(area, collection, Lane.HISTORICAL, datetime.now(UTC))
    announced = read_item(items[0], load_profiles()[name], wish)
    assert isinstance(announced, Announcement), announced
    assert announced.tile == ("192029" if is_landsat else "32TQM")
