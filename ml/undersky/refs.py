"""What crosses process borders: ids, addresses, checksums, outcomes. Never arrays.

    <store>/batches/<run>/<batch>/batch.json              what is to be done          Batch
                                 /<stage>/<scene>.json    how one scene ended         Outcome
                                 /<stage>.json            how every scene ended       Manifest

    <store>/releases/<run>/order.json                     which model is to be made      ReleaseOrder
                          /<stage>.json                   what came of a stage           DatasetRef, ...

Keys are deterministic, so nothing has to be read from a finished process but its exit code.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict


class Reference(BaseModel):
    """Frozen, closed, and JSON on the wire."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_json(self) -> str:
        """One JSON object, without what is absent."""
        return self.model_dump_json(indent=1, exclude_none=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The value that `to_json` wrote.

        Raises:
            pydantic.ValidationError: The text is something else.
        """
        return cls.model_validate_json(text)


class Lane(StrEnum):
    """Who waits for whom: fresh scenes never wait for historical ones."""

    FRESH = "fresh"
    HISTORICAL = "historical"


class Stage(StrEnum):
    """The heavy verbs a batch goes through."""

    INGEST = "ingest"
    VALIDATE_L1 = "validate-l1"
    CORRECT = "correct"
    VALIDATE_SURFACE = "validate-surface"
    MAP = "map"
    VALIDATE_MAP = "validate-map"
    DETECT = "detect"
    VALIDATE_OBJECTS = "validate-objects"


class Kind(StrEnum):
    """What a product is: each kind of an acquisition has a row, a lease and a state of its own."""

    SURFACE = "surface"
    """Surface reflectance with its quality mask, made of level-1 files."""
    LANDCOVER = "landcover"
    """What the ground is, made of a published surface product."""
    VESSELS = "vessels"
    """Which ships are on it, made of a published surface product."""

    @property
    def is_map(self) -> bool:
        """Whether it is made of a published surface product."""
        return self is not Kind.SURFACE


STAGES: Mapping[Kind, tuple[Stage, Stage]] = {
    Kind.SURFACE: (Stage.CORRECT, Stage.VALIDATE_SURFACE),
    Kind.LANDCOVER: (Stage.MAP, Stage.VALIDATE_MAP),
    Kind.VESSELS: (Stage.DETECT, Stage.VALIDATE_OBJECTS),
}
"""The stage that makes a product of that kind, and the one that judges it."""

MODELS: Mapping[Kind, tuple[str, ...]] = {
    Kind.SURFACE: ("correction", "quality"),
    Kind.LANDCOVER: ("landcover",),
    Kind.VESSELS: ("vessels",),
}
"""Names of the models that make a product of that kind, the principal one first; those that made the surface
product under a map are its models too."""


class ReleaseStage(StrEnum):
    """The heavy verbs a model goes through on its way to a release."""

    DATASET = "dataset"
    TRAIN = "train"
    EVALUATE = "evaluate"


class Begin(StrEnum):
    """Where a release starts: whatever comes before is there already."""

    DATASET = "dataset"
    TRAIN = "train"
    EVALUATE = "evaluate"
    REVIEW = "review"
    PROMOTE = "promote"


class Ending(StrEnum):
    """How a scene left a stage."""

    DONE = "done"
    SKIPPED = "skipped"
    """An expected non-product: too cloudy, sun too low."""
    QUARANTINED = "quarantined"
    """The delivered data cannot be used as it is."""
    HELD = "held"
    """A product failed its expectations: a person decides."""
    RETRY = "retry"
    """A service failed; the same work may succeed later."""
    FAILED = "failed"
    """A fault of ours, or the scene killed its process twice."""


class FileRef(Reference):
    """One file of a product."""

    name: str
    """Relative path inside the product."""
    href: str
    """Where it lies: https or s3 upstream, or s3 in the own store."""
    size: int | None = None
    """Bytes; None when upstream does not say."""
    checksum: str | None = None
    """`<algorithm>:<hex>` (sha256, md5, sha3-256, blake3 ...); None when upstream does not say."""


class ModelRef(Reference):
    """One model version of a release set."""

    name: str
    """`correction`, `quality`, `landcover` or `vessels`."""
    version: str
    """The registry's version."""
    label: str
    """The package's own version, `physics-1`."""
    digest: str
    """sha256 of the package."""
    href: str
    """Folder of the package in the own store, `s3://bucket/models/correction/<digest>`."""
    page: str | None = None
    """Where people look at it: the registry's page."""


class Made(Reference):
    """A product whose assets lie in the own store: what is published, once it was judged."""

    id: str
    """Item id."""
    digest: str
    """Of sources, models, parameters and format version."""
    prefix: str
    """`products/<collection>/<yyyy>/<mm>/<scene>/<digest>`, a key prefix in the store."""
    collection: str
    """Collection of the product, `sentinel-2-l2-undersky` or as `sensor.collection` says."""
    item: str
    """Key of the Item that waits to be published, `<prefix>/<id>.json`."""
    bytes: int
    seconds: float
    cpu_seconds: float
    cloud_percent: float | None = None
    aot_550: float | None = None
    """Mean over the scene."""
    model: ModelRef | None = None
    """The principal model: `correction` of a surface product, `landcover` or `vessels` of a map."""
    kind: Kind = Kind.SURFACE
    quality: ModelRef | None = None
    """The mask's model, of a surface product."""
    source: str | None = None
    """Digest of the surface product that a map is made of."""
    summary: dict[str, float] | None = None
    """What a map says in figures: class shares, number of objects."""

    @property
    def models(self) -> tuple[ModelRef, ...]:
        """Those that made it, the principal one first; not those that made the product it is made of."""
        return tuple(model for model in (self.model, self.quality) if model is not None)


class SceneRef(Reference):
    """One scene of a batch, with the lease under which it is worked on."""

    acquisition: str
    """Key of the acquisition in the ledger, `S2B_20250619T095753_32TQM`."""
    scene: str
    """Id of the delivered product, `S2B_MSIL1C_20250619T095753_N0511_R066_T32TQM_20250619T132734`."""
    collection: str
    """Level-1 collection as the store names it: `sentinel-2-l1c`, `landsat-c2-l1`."""
    tile: str
    """MGRS tile or Landsat path and row."""
    sensed: datetime
    """Start of sensing (aware)."""
    lane: Lane = Lane.FRESH
    profile: str | None = None
    """The provider's profile, for ingest."""
    product: int | None = None
    """Row of the product in the ledger, once one is wanted."""
    token: int = 0
    """Fencing token of the lease."""
    cloud_percent: float | None = None
    """As the provider states it."""
    files: tuple[FileRef, ...] = ()
    """Upstream files before ingest, files in the own store after."""
    kind: Kind = Kind.SURFACE
    """What is to be made of it."""
    surface: Made | None = None
    """The published surface product that a map is to be made of; None where no map is wanted."""


class ReleaseSet(Reference):
    """The model versions that one run works with: pinned once, so that a run never mixes."""

    digest: str
    """sha256 over names and package digests."""
    models: tuple[ModelRef, ...]

    def model(self, name: str) -> ModelRef:
        """The version of the model of that name.

        Raises:
            KeyError: The set has none.
        """
        return {model.name: model for model in self.models}[name]


class Batch(Reference):
    """Scenes that flow together through the stages of one mapped task group, all for one kind of product."""

    run: str
    """Id of the run that claimed them."""
    name: str
    """`000`, `001`, ... inside the run."""
    lane: Lane
    scenes: tuple[SceneRef, ...]
    release: ReleaseSet | None = None
    """The pinned models; None where none are needed."""

    @property
    def kind(self) -> Kind:
        """What is to be made of its scenes."""
        return self.scenes[0].kind if self.scenes else Kind.SURFACE


class Ingested(Reference):
    """L1 files that lie in the own store."""

    files: tuple[FileRef, ...]
    """All of them, with size and sha256."""
    bytes: int
    fetched: int
    """Bytes that this run moved; less than `bytes` where a part was there."""


class Judged(Reference):
    """What the expectations said."""

    expectations: int
    failed: tuple[str, ...] = ()
    """A sentence for each expectation that did not hold, worst first."""
    docs: str | None = None
    """Address of the Data Docs page."""
    facts: str | None = None
    """Address of the table of facts that was judged."""


class Outcome(Reference):
    """How one scene left one stage."""

    acquisition: str
    scene: str
    stage: Stage
    ending: Ending
    reason: str = "ok"
    """Stable code."""
    sentence: str = ""
    """For a person: what was found, what was expected, the cure."""
    seconds: float = 0.0
    tries: int = 1
    """How often the stage began this scene."""
    ingested: Ingested | None = None
    judged: Judged | None = None
    made: Made | None = None


class Manifest(Reference):
    """How every scene of a batch left one stage."""

    run: str
    batch: str
    stage: Stage
    outcomes: tuple[Outcome, ...]

    def by_acquisition(self) -> dict[str, Outcome]:
        """Outcome of each acquisition."""
        return {outcome.acquisition: outcome for outcome in self.outcomes}


class PackageRef(Reference):
    """A model package in the own store that nobody has judged yet."""

    name: str
    """`correction`."""
    label: str
    """The package's own version, `learned-default`."""
    digest: str
    """sha256 of the package."""
    href: str
    """Its folder, `s3://bucket/candidates/correction/<digest>`."""


class ReleaseOrder(Reference):
    """One run of the model flow: what is to be made, and what it is held against."""

    run: str
    """Id of the run, as it stands in keys."""
    model: str
    """`correction`."""
    recipe: str
    """Name of a shipped recipe, or the address of a YAML file in the own store."""
    begin: Begin
    """Where it starts."""
    by: str
    """Who wants it."""
    weights: PackageRef | None = None
    """The candidate, where it exists already; None where it is to be trained."""
    champion: ModelRef | None = None
    """What it is held against, pinned when the run began; None where there is none."""
    release: str | None = None
    """Digest of the release set of that moment."""
    suites: tuple[str, ...] = ()
    """Suites that are evaluated; the gate's when empty."""
    scenes: int | None = None
    """Scenes of each suite, evenly spread; all when None."""
    version: str | None = None
    """The registry's version, where the run begins with the review or the promotion."""


class DatasetRef(Reference):
    """What a recipe trains on, in the own store."""

    digest: str
    """Of its manifest, as the task states it."""
    made: bool
    """Whether this run made it; False where it was there, unchanged."""
    seconds: float
    href: str | None = None
    """Its folder; None where the task keeps none."""


class TrainedRef(Reference):
    """A model that a run trained."""

    package: PackageRef
    steps: int
    seconds: float
    figures: dict[str, float]
    """On the validation split."""
    mlflow_run: str | None = None
    """Id of the registry's run; None where there is no registry."""


class EvaluatedRef(Reference):
    """What a run found out about candidate and champion."""

    package: PackageRef
    """The candidate."""
    judgement: str
    """Key of the gate's judgement."""
    outcome: str
    """What the gate says: `pass`, `fail`, `too_little_evidence`."""
    sentence: str
    """Why, for a person."""
    page: str
    """Address of the report."""
    slices: str
    """Key of the table of slices, CSV."""
    seconds: float
    mlflow_run: str | None = None
    """Id of the registry's run; None where there is no registry."""
