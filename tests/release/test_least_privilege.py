"""Each stage of the model flow runs with the keys of an account that may do its own work alone."""

from pathlib import Path

import pytest
from orders import as_champion, put_shipped

from fixtures_store import S3Server
from miniature import MINIATURE
from policy_accounts import Hall, Office
from undersky.errors import ConfigError
from undersky.models.package import shipped
from undersky.refs import Begin, ReleaseOrder, ReleaseSet
from undersky.services.store import Store

pytestmark = pytest.mark.slow


@pytest.fixture
def hall(
    weed: Store,
    weed_server: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Hall:
    """An empty bucket; the keys of the environment are nobody's."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "of-nobody")
    monkeypatch.setenv("UNDERSKY_SCRATCH", str(tmp_path))
    monkeypatch.setenv("UNDERSKY_LOG_LEVEL", "error")
    return Hall(Office.of(weed, weed_server), capsys)


def ordered(hall: Hall) -> str:
    """A person brings a recipe, the flow lays down the order and what it is held against."""
    curator, flow = hall.office.store("curator"), hall.office.store("flow")
    curator.put("recipes/miniature.yaml", MINIATURE.encode())
    champion = as_champion(put_shipped(flow, "physics", "models"))
    flow.put_json("releases/one/release.json", ReleaseSet(digest="d" * 64, models=(champion,)))
    order = ReleaseOrder(
        run="one",
        model="correction",
        recipe=curator.href("recipes/miniature.yaml"),
        begin=Begin.DATASET,
        by="ada",
        champion=champion,
        suites=("direct-6s",),
        scenes=1,
    )
    flow.put_json("releases/one/order.json", order)
    return flow.href("releases/one/order.json")


def test_a_recipe_becomes_a_judged_candidate(hall: Hall) -> None:
    order = ordered(hall)
    for stage in ("dataset", "train", "evaluate"):
        hall.says(stage, "model", "stage", stage, order)
    lies = {key.split("/")[0] for key in (stored.key for stored in hall.office.owner.list(""))}
    assert lies == {"candidates", "datasets", "models", "recipes", "releases", "reports"}
    with pytest.raises(ConfigError, match="do not allow"):
        hall.office.store("train").put("models/correction/mine/package.json", b"{}")
    with pytest.raises(ConfigError, match="do not allow"):
        hall.office.store("train").put("products/sentinel-2-sr/2025/06/x/d/B04.tif", b"")


def test_a_person_brings_weights_from_elsewhere(hall: Hall) -> None:
    said = hall.says("curator", "model", "submit", str(shipped("learned")), *told(shipped("learned")))
    assert said["href"] == hall.office.owner.href(f"candidates/correction/{said['digest']}")


def told(folder: Path) -> tuple[str, ...]:
    """What the package says of its origin."""
    from undersky.models.package import load_package

    origin = load_package(folder).provenance
    return "--recipe", str(origin["recipe_digest"]), "--dataset", str(origin["dataset_digest"])
