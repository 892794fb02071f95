"""A running stack as an end-to-end test sees it: announce something, let it flow, look at what came of it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from onemachine.airflow import api
from onemachine.component import Component, Site
from onemachine.folder import Folder
from onemachine.rest import AirflowApi
from onemachine.stack import Stack, running
from showcase.flow import RUNNING, Flow
from showcase.preparing import bootstrap

from undersky.services.ledger import Actor, Area, Ledger, Story
from undersky.services.store import Store
from undersky.stages.simulate import Order, Simulated, request_for, simulate
from undersky.tiles import footprint, geojson

S2_TILE, LANDSAT_TILE = "32TQM", "192029"
TODAY = datetime.now(UTC).date()


def model(site: Site) -> Sequence[Component]:
    return [
        Component(
            "model",
            (),
            {},
            waits_for=lambda: None,
            needs=("mlflow", "ledger-and-bucket"),
            prepare=lambda: bootstrap(site, scenes=6),
        )
    ]


@dataclass
class World:
    """The stack as a test sees it: announce something, let it flow, look at what came of it."""

    stack: Stack
    ledger: Ledger
    flow: Flow
    announced: dict[str, Simulated] = field(default_factory=dict)

    @property
    def api(self) -> AirflowApi:
        return self.flow.api

    @property
    def environment(self) -> Mapping[str, str]:
        return self.stack.environment

    def announce(
        self,
        sensor: str,
        *,
        days_ago: int,
        tile: str | None = None,
        seed: int = 1,
        baseline: str = "05.11",
        cloud_percent: float = 5.0,
        size_m: int = 3600,
    ) -> str:
        """Scene id of a new product upstream; searches look back three days, so not older than two."""
        request = request_for(
            sensor,
            tile=tile,
            day=TODAY - timedelta(days=days_ago),
            seed=seed,
            theme="fields",
            cloud_percent=cloud_percent,
            size_m=size_m,
        )
        made = simulate(
            self.stack.site.folder.path / "upstream" / "products", order=Order(request, baseline=baseline)
        )
        scene = made.product.name.removesuffix(".SAFE")
        self.announced[scene] = made
        return scene

    def let_flow(self, *scenes: str, patience_s: float = 400.0) -> None:
        """Discovery begins now; returns when each scene is published and no run is left."""
        from showcase.cast import Expected

        self.api.trigger("ingest_acquisitions")
        expected = [Expected(scene, "published", "ok") for scene in scenes]
        standings = self.flow.follow_to_the_end(expected, patience_s=patience_s, show=lambda _: None)
        assert [
            (each.expected.scene, each.state, each.sentence) for each in standings if not each.is_right
        ] == []
        assert self.flow.settle_down(patience_s=240.0), f"still in progress: {self.flow.runs(RUNNING)}"

    def story(self, scene: str) -> Story:
        story = self.ledger.story(scene)
        assert story is not None, f"the ledger knows no {scene}"
        return story

    def store(self) -> Store:
        """The bucket, as the stack's own account."""
        return Store.open(
            self.environment["UNDERSKY_STORE"], endpoint=self.environment["UNDERSKY_S3_ENDPOINT"]
        )

    def address(self, href: str) -> str:
        """Where anybody reads it."""
        return href.replace("s3://undersky", f"{self.stack.site.url('s3')}/undersky")


@contextmanager
def running_world(folder: Folder, *, purpose: str) -> Iterator[World]:
    """A stack in that folder, its areas wanted, its DAGs un-paused; none lives afterwards."""
    with running(folder, purpose=purpose, say=print, more=model) as stack:
        stack.supervisor.wait_for([component.name for component in stack.supervisor.components])
        with closing(Ledger.open(stack.environment["UNDERSKY_LEDGER"])) as ledger:
            add_areas(ledger)
            world = World(stack, ledger, Flow(stack, api(stack.site), ledger))
            world.flow.unpause()
            yield world


def add_areas(ledger: Ledger) -> None:
    add_area(ledger, "fields", tile=S2_TILE)
    add_area(ledger, "landsat", tile=LANDSAT_TILE, collection="landsat-c2-l1", profile="usgs-landsatlook")


def add_area(
    ledger: Ledger,
    name: str,
    *,
    tile: str,
    collection: str = "sentinel-2-l1c",
    profile: str = "copernicus-dataspace",
) -> None:
    """The ground of a tile is wanted, from nine days ago on."""
    rings = [_box(ring) for ring in footprint(tile)]
    area = Area(name, geojson(rings), (collection,), TODAY - timedelta(days=9), profiles=(profile,))
    ledger.add_area(area, Actor("e2e", "areas"))


def _box(ring: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    (west, east), (south, north) = ((min(values), max(values)) for values in zip(*ring, strict=True))
    return [(west, south), (east, south), (east, north), (west, north), (west, south)]
