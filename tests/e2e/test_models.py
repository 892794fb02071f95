"""The model flow on the running stack: a release from MLflow's side, a refusal, a rollback, a campaign.

The tests are one story, in the order in which they stand. The physics baseline is the first champion.
"""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from showcase.releasing import Releasing

from stack_world import World, add_area
from undersky.models.package import load_package, shipped
from undersky.release.candidates import put_candidate
from undersky.services.registry import Registry
from undersky.services.store import Store

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

TILE, OTHER_TILE = "31TCJ", "36RUU"
FEW = 8
"""Scenes of the suite: enough to fail, too few to pass."""
LEARNED, PHYSICS = load_package(shipped("learned")), load_package(shipped("physics"))


@pytest.fixture(scope="module")
def releasing(world: World) -> Releasing:
    return Releasing(world.stack, world.api, print, attended=False)


@pytest.fixture
def registry(world: World, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """As the release account."""
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "release")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", world.stack.site.secrets.mlflow_release)
    return Registry.open(world.environment["UNDERSKY_REGISTRY"])


@pytest.fixture
def store(world: World) -> Store:
    return world.store()


def undersky(world: World, *arguments: str, code: int = 0) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "undersky", *arguments, "--json"],
        capture_output=True, text=True, check=False, env=dict(world.environment),
    )  # fmt: skip
    assert done.returncode == code, done.stderr[-2000:]
    return dict(json.loads(done.stdout))


def wait_for(what: str, holds: Callable[[], object], *, patience_s: float = 600.0) -> None:
    deadline = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(1.0)


def items(world: World, scene: str) -> list[dict[str, Any]]:
    """Every published Item of a scene, oldest first."""
    found = []
    for product in world.story(scene).products:
        if product.href:
            with urllib.request.urlopen(world.address(product.href)) as reply:
                found.append(json.load(reply))
    return found


def release_of(item: dict[str, Any]) -> str:
    return str(item["properties"]["undersky:release"])


def model_of(item: dict[str, Any]) -> str:
    return str(item["properties"]["undersky:model"]["digest"])


@pytest.fixture(scope="module")
def scenes(world: World) -> list[str]:
    """Three scenes made by the physics baseline."""
    add_area(world.ledger, "towns", tile=TILE)
    passes = (("S2A", 2), ("S2B", 1), ("S2C", 1))
    made = [world.announce(sensor, days_ago=days, tile=TILE, seed=21) for sensor, days in passes]
    world.let_flow(*made, patience_s=600)
    return made


def test_the_first_champion_is_the_baseline_and_every_item_names_its_release_set(
    world: World, scenes: list[str]
) -> None:
    record = world.ledger.release()
    assert record is not None
    assert [model.digest for model in record.release.models] == [PHYSICS.digest]
    for scene in scenes:
        (item,) = items(world, scene)
        assert (release_of(item), model_of(item)) == (record.digest, PHYSICS.digest)


@pytest.fixture(scope="module")
def asked(world: World, scenes: list[str], releasing: Releasing) -> str:
    """A run of `model_release` that waits for a person."""
    del scenes
    digest = releasing.submit("learned")
    run = releasing.trigger({"begin": "evaluate", "weights": digest, "recipe": "default"}, FEW)
    wait_for("nobody was asked", lambda: releasing.task(run, "review_there") == "deferred")
    wait_for("nobody was asked here", lambda: releasing.task(run, "review_here") == "awaiting_input")
    return run


def test_few_scenes_are_too_little_evidence_and_a_person_is_asked(
    releasing: Releasing, asked: str, registry: Registry
) -> None:
    assert releasing.result(asked, "gate")["outcome"] == "too_little_evidence"
    (version,) = (each for each in registry.versions("correction") if each.digest == LEARNED.digest)
    assert version.aliases == ("candidate",)
    assert version.verdict == ""


def test_the_review_page_opens_for_anybody_and_shows_ten_scenes(releasing: Releasing, asked: str) -> None:
    page = httpx.get(releasing.report(asked), trust_env=False).text
    assert page.count('type="range"') >= 10
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_a_version_without_a_verdict_is_not_promoted(world: World, asked: str, registry: Registry) -> None:
    del asked
    (version,) = (each for each in registry.versions("correction") if each.digest == LEARNED.digest)
    said = undersky(world, "model", "promote", version.number, code=3)
    assert said["error"]["reason"] == "model_refused"
    assert champion(world) == PHYSICS.digest


def champion(world: World) -> str:
    record = world.ledger.release()
    assert record is not None
    return record.release.model("correction").digest


def test_an_answer_in_mlflow_that_lacks_a_reason_comes_back(
    releasing: Releasing, asked: str, registry: Registry
) -> None:
    version = _version(registry, LEARNED.digest)
    registry.client.set_model_version_tag("correction", version, "review", "approve by Ada")
    wait_for(
        "nobody complained",
        lambda: "review.problem" in registry.version("correction", version).tags,
        patience_s=180,
    )
    problem = registry.version("correction", version).tags["review.problem"]
    assert "reason" in problem
    assert releasing.task(asked, "review_here") == "awaiting_input"


def _version(registry: Registry, digest: str) -> str:
    (found,) = (each for each in registry.versions("correction") if each.digest == digest)
    return found.number


def test_a_champion_that_changes_while_a_batch_is_under_way_never_mixes(
    world: World, releasing: Releasing, asked: str, registry: Registry
) -> None:
    """The batch is pinned to the baseline; the promotion comes from MLflow while it is corrected."""
    before = world.ledger.release()
    assert before is not None
    late = [world.announce(sensor, days_ago=days, tile=TILE) for sensor, days in (("S2A", 1), ("S2B", 2))]
    world.api.trigger("ingest_acquisitions")
    wait_for("no run was pinned", lambda: _pinned(world, late, before.digest))
    version = _version(registry, LEARNED.digest)
    registry.client.set_model_version_tag(
        "correction", version, "review", "approve by Ada: sharper over towns"
    )
    wait_for("it was not promoted", lambda: champion(world) == LEARNED.digest, patience_s=240)
    world.let_flow(*late, patience_s=600)
    for scene in late:
        (item,) = items(world, scene)
        assert (release_of(item), model_of(item)) == (before.digest, PHYSICS.digest)
    after = world.announce("S2C", days_ago=2, tile=TILE)
    world.let_flow(after, patience_s=600)
    (item,) = items(world, after)
    assert (release_of(item), model_of(item)) == (_release(world), LEARNED.digest)
    wait_for("the run did not end", lambda: releasing.ended(asked), patience_s=300)
    states = {task: releasing.task(asked, task) for task in ("review_here", "review_there", "conclude")}
    assert states == dict.fromkeys(states, "success"), "the first answer closes the other question"


def _release(world: World) -> str:
    record = world.ledger.release()
    assert record is not None
    return record.digest


def _pinned(world: World, scenes: list[str], release: str) -> bool:
    """Whether the scenes are leased to a run that works with that release set."""
    known = [
        product for scene in scenes if (story := world.ledger.story(scene)) for product in story.products
    ]
    return len(known) == len(scenes) and all(
        product.lease is not None and product.release == release for product in known
    )


def test_the_verdict_stands_on_the_version_and_aliases_follow(registry: Registry) -> None:
    version = registry.version("correction", _version(registry, LEARNED.digest))
    verdict = registry.read_verdict(version)
    assert verdict is not None
    assert (verdict.answer, verdict.by, verdict.via) == ("approved", "Ada", "mlflow")
    assert verdict.package == LEARNED.digest
    aliases = registry.aliases("correction")
    assert aliases["champion"] == version.number
    assert aliases["previous"] == _version(registry, PHYSICS.digest)
    assert "candidate" not in aliases


def test_the_gate_refuses_what_is_worse_and_nobody_is_asked(
    world: World, releasing: Releasing, registry: Registry, store: Store, tmp_path: Path
) -> None:
    worse = _other_package(tmp_path)
    package = put_candidate(store, worse, model="correction")
    run = releasing.trigger({"begin": "evaluate", "weights": package.digest, "recipe": "default"}, FEW)
    wait_for("the run did not end", lambda: releasing.ended(run))
    gate = releasing.result(run, "gate")
    assert gate["outcome"] == "fail", gate["sentence"]
    assert releasing.task(run, "register") == "success"
    assert {releasing.task(run, task) for task in ("review_here", "review_there", "promote")} == {"skipped"}
    assert champion(world) == LEARNED.digest
    version = registry.version("correction", _version(registry, package.digest))
    assert (version.gate, version.verdict, version.aliases) == ("fail", "", ())


def _other_package(folder: Path) -> Path:
    """The baseline under another name: another package, and worse than the champion."""
    text = (shipped("physics") / "package.json").read_text(encoding="utf-8")
    (folder / "package.json").write_text(text.replace("physics-1", "physics-again"), encoding="utf-8")
    (folder / "weights.safetensors").write_bytes((shipped("physics") / "weights.safetensors").read_bytes())
    return folder


def test_a_campaign_aborted_at_half_and_resumed_makes_exactly_the_rest(
    world: World, scenes: list[str]
) -> None:
    name, why = "with-learned", "the learned weights are champion"
    chosen = [part for scene in scenes for part in ("--scene", scene)]
    done = undersky(world, "campaign", "propose", name, "--why", why, "--at-once", "1", *chosen)
    assert done["estimate"]["scenes"] == len(scenes)
    undersky(world, "campaign", "start", name, "--why", why)
    world.api.trigger("historical_scenes")
    wait_for("no scene was made again", lambda: _made_by(world, scenes, LEARNED.digest) >= 1)
    undersky(world, "campaign", "abort", name, "--why", "half is enough for now")
    world.flow.settle_down(patience_s=240)
    half = _made_by(world, scenes, LEARNED.digest)
    assert 1 <= half < len(scenes)
    undersky(world, "campaign", "start", name, "--why", "the other half")
    world.api.trigger("historical_scenes")
    wait_for("it was not finished", lambda: _made_by(world, scenes, LEARNED.digest) == len(scenes))
    world.flow.settle_down(patience_s=240)
    world.api.trigger("historical_scenes")
    wait_for("it is not done", lambda: str(world.ledger.campaign(name).state) == "done", patience_s=240)
    for scene in scenes:
        old, new = items(world, scene)
        assert (model_of(old), model_of(new)) == (PHYSICS.digest, LEARNED.digest)
        assert old["properties"]["deprecated"]
        assert not new["properties"]["deprecated"]


def _made_by(world: World, scenes: list[str], digest: str) -> int:
    return sum(any(model_of(item) == digest for item in items(world, scene)) for scene in scenes)


def test_a_rollback_restores_the_set_and_its_products_say_why(world: World, scenes: list[str]) -> None:
    before = [record.digest for record in world.ledger.releases()]
    said = undersky(world, "model", "rollback", "--why", "halo along the coast")
    assert said["champion"] == PHYSICS.version
    assert said["deprecated"] >= len(scenes)
    assert said["remake"]["scenes"] >= len(scenes)
    assert champion(world) == PHYSICS.digest
    assert _release(world) == before[1], "the very set that held before"
    for scene in scenes:
        *_, newest = items(world, scene)
        assert model_of(newest) == LEARNED.digest
        assert newest["properties"]["deprecated"]
        assert "halo along the coast" in newest["properties"]["undersky:withdrawn"]
    again = undersky(world, "model", "rollback", "--why", "halo along the coast")
    assert again["deprecated"] == 0, "said twice is done once"


def test_a_scene_after_the_rollback_is_made_by_the_version_before(world: World) -> None:
    add_area(world.ledger, "desert", tile=OTHER_TILE)
    scene = world.announce("S2A", days_ago=1, tile=OTHER_TILE)
    world.let_flow(scene, patience_s=600)
    (item,) = items(world, scene)
    assert (release_of(item), model_of(item)) == (_release(world), PHYSICS.digest)
