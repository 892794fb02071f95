"""The whole flow through Airflow on the running stack, and what anybody reads at its end.

The tests are one story, in the order in which they stand.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pystac
import pytest
import rasterio
from onemachine.processes import in_session, members

from stack_world import LANDSAT_TILE, World
from undersky.quality import Quality
from undersky.synth.truth import read_truth

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning"),
]

UNUSABLE = Quality.CLOUD | Quality.CLOUD_SHADOW | Quality.CIRRUS | Quality.NODATA


@pytest.fixture(scope="session")
def first(world: World) -> str:
    scene = world.announce("S2B", days_ago=1, seed=3, size_m=5400)
    world.let_flow(scene)
    return scene


def published(world: World, scene: str) -> tuple[str, dict[str, Any]]:
    """Public address and content of the current Item."""
    products = [product for product in world.story(scene).products if product.href and product.scene == scene]
    assert len(products) == 1
    address = world.address(str(products[0].href))
    with urllib.request.urlopen(address) as reply:
        return address, json.load(reply)


def items_of(world: World, acquisition: str) -> list[str]:
    """Keys of all published Items of an acquisition's scenes, as the bucket has them."""
    scenes = {delivery.scene for delivery in world.story(acquisition).deliveries}
    store = world.store()
    return [
        found.key
        for found in store.list("stac/")
        if found.key.count("/") == 5 and found.key.split("/")[4] in scenes and found.key.endswith(".json")
    ]


def test_the_published_reflectance_is_the_simulators_truth(world: World, first: str) -> None:
    address, document = published(world, first)
    item = pystac.Item.from_dict(document, href=address)
    item.make_asset_hrefs_absolute()
    truth = read_truth(world.announced[first].truth)
    clear = (truth.quality & UNUSABLE) == 0
    for name in ("B02", "B03", "B04", "B08"):
        with rasterio.open(f"/vsicurl/{item.assets[name].href}") as raster:
            samples = raster.read(1, masked=True)
            found = (samples * raster.scales[0] + raster.offsets[0]).filled(np.nan)
        true = truth.surface[name]
        assert found.shape == true.shape
        usable = clear & np.isfinite(found)
        assert usable.mean() > 0.5
        error = found[usable] - true[usable]
        assert np.median(np.abs(error)) < 0.02, name
        assert np.corrcoef(found[usable], true[usable])[0, 1] > 0.98, name


def test_the_catalog_leads_to_it_and_every_href_resolves(world: World, first: str) -> None:
    root = pystac.Catalog.from_file(world.address("s3://undersky/stac/catalog.json"))
    wanted = published(world, first)[1]["id"]
    found = [item for item in root.get_items(recursive=True) if item.id == wanted]
    assert len(found) == 1
    found[0].make_asset_hrefs_absolute()
    for name, asset in found[0].assets.items():
        request = urllib.request.Request(asset.href, method="HEAD")
        with urllib.request.urlopen(request) as reply:
            assert reply.status == 200, name


def test_the_stac_api_finds_it_and_the_pasted_snippet_runs_for_anybody(
    world: World, first: str, tmp_path: Path
) -> None:
    from showcase import telling
    from showcase.cast import Expected
    from showcase.following import follow

    deadline = time.monotonic() + 60
    while telling.findable(world.stack.site) < 1:
        assert time.monotonic() < deadline
        time.sleep(1)
    (standing,) = follow(world.ledger, [Expected(first, "published", "ok")])
    snippet = telling.snippet(world.stack.site, standing, published(world, first)[1])
    (tmp_path / "snippet.py").write_text(snippet)
    anybody = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "UNDERSKY_"))
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(tmp_path / "snippet.py")],
        capture_output=True, text=True, check=False, env={**anybody, "NO_PROXY": "127.0.0.1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "red" in done.stdout
    mean = float(done.stdout.rsplit(":", 1)[1])
    assert 0.0 < mean < 0.6


def test_what_is_not_published_is_not_for_anybody(world: World, first: str) -> None:
    files = world.story(first).acquisition.l1
    assert files
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(world.address(files[0].href))


def test_a_second_sensor_flows_without_touching_the_first(world: World, first: str) -> None:
    before = published(world, first)
    scene = world.announce("L9", days_ago=2, tile=LANDSAT_TILE, seed=3, size_m=7200)
    world.let_flow(scene)
    _, item = published(world, scene)
    assert item["collection"].startswith("landsat")
    assert published(world, first) == before


def test_a_late_granule_is_found_by_the_overlap_of_searches(world: World, first: str) -> None:
    """It was sensed before the one that was found long ago, and announced only now."""
    scene = world.announce("S2C", days_ago=2, seed=4)
    world.let_flow(scene)
    assert world.story(scene).acquisition.sensed < world.story(first).acquisition.sensed
    assert len(items_of(world, scene)) == 1


def test_a_rebaselined_granule_becomes_a_new_version_and_the_old_one_stays(world: World) -> None:
    old = world.announce("S2A", days_ago=1, seed=5, baseline="05.10")
    world.let_flow(old)
    old_address, old_item = published(world, old)
    new = world.announce("S2A", days_ago=1, seed=5, baseline="05.11")
    assert new != old
    world.let_flow(new)
    story = world.story(new)
    assert [delivery.scene for delivery in story.deliveries] == [old, new]
    assert story.deliveries[0].superseded_by == new
    assert len(items_of(world, new)) == 2
    new_address, new_item = published(world, new)
    assert new_address != old_address
    with urllib.request.urlopen(old_address) as reply:
        still = json.load(reply)
    assert still["assets"] == old_item["assets"]
    assert still["properties"]["deprecated"] is True
    links = {link["rel"]: link["href"] for link in still["links"]}
    assert urllib.parse.urljoin(old_address, links["successor-version"]) == new_address
    back = {link["rel"]: link["href"] for link in new_item["links"]}
    assert urllib.parse.urljoin(new_address, back["predecessor-version"]) == old_address


def test_a_scheduler_that_is_killed_in_the_middle_loses_nothing(world: World) -> None:
    scenes = [world.announce("S2B", days_ago=2, seed=6), world.announce("S2C", days_ago=1, seed=7)]
    world.api.trigger("ingest_acquisitions")
    wait_for_stage(world, "ingest", "validate-l1", "correct")
    for process in in_session(world.stack.supervisor.running["scheduler"].process.pid):
        if process.is_running():
            process.send_signal(signal.SIGKILL)
    world.stack.supervisor.restart("scheduler")
    world.let_flow(*scenes, patience_s=600)
    for scene in scenes:
        assert len(items_of(world, scene)) == 1


def test_a_stage_that_is_killed_is_done_again(world: World) -> None:
    scene = world.announce("S2A", days_ago=2, seed=8)
    world.api.trigger("ingest_acquisitions")
    killed = wait_for_stage(world, "correct")
    killed.send_signal(signal.SIGKILL)
    world.let_flow(scene, patience_s=600)
    assert len(items_of(world, scene)) == 1
    assert len([product for product in world.story(scene).products if product.href]) == 1


def test_nothing_lies_in_the_bucket_that_the_ledger_does_not_know(world: World) -> None:
    store = world.store()
    known = {store.key(str(product.href)) for product in world.ledger.published()}
    lying = {
        found.key
        for found in store.list("stac/")
        if found.key.count("/") == 5 and found.key.endswith(".json")
    } - {found.key for found in store.list("stac/") if found.key.endswith(("items.json", "catalog.json"))}
    assert lying == known


def test_status_is_content_and_why_tells_the_story(world: World, first: str) -> None:
    done = undersky(world, "status", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    json.loads(done.stdout)
    sensed = world.story(first).acquisition.sensed.date().isoformat()
    done = undersky(world, "why", "--tile", "32TQM", "--date", sensed)
    assert done.returncode == 0, done.stderr
    assert "published" in done.stdout


def undersky(world: World, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "undersky", *arguments],
        capture_output=True, text=True, check=False, env=dict(world.environment),
    )  # fmt: skip


def wait_for_stage(world: World, *stages: str, patience_s: float = 240.0) -> psutil.Process:
    """The process of a running stage."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        for process in members(world.stack.site.folder, mark=world.stack.site.secrets.stack):
            try:
                command = process.cmdline()
            except psutil.Error:
                continue
            if "batch" in command and set(stages) & set(command):
                return process
        time.sleep(0.2)
    pytest.fail(f"no stage {' or '.join(stages)} was seen in {patience_s:.0f} s")
