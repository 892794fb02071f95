"""Who may do what in the bucket: the rights of each role, and the IAM policy documents that grant them.

    RIGHTS[role] --policy_of--> document for AWS, MinIO, SeaweedFS       one role, one account, one document

Every stage has an account of its own: a corrector that is taken over changes no Level-1 file and publishes
nothing, for the Item is the commit, and the flow alone puts it. No stage deletes anything but a training its
checkpoints, nobody deletes an Item, and no role may change the bucket or remove a version of an object.

Source: AWS IAM User Guide, "IAM JSON policy elements"; Amazon S3 User Guide, "Policy actions for Amazon S3".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from undersky.bands import SENSORS
from undersky.errors import ConfigError
from undersky.refs import ReleaseStage, Stage
from undersky.tile_refs import LATEST, TileStage

Json = dict[str, Any]

PLACEHOLDER = "${BUCKET}"
"""Stands for the bucket in the templates of the chart."""
PUBLISHED = ("products/", "stac/", "reports/")
"""What anybody may read."""
_STATEMENT = "UnderskyPublished"
_VERSION = "2012-10-17"


@dataclass(frozen=True, slots=True)
class Rights:
    """What one role does in the bucket: patterns of keys, `*` for anything."""

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    """Put, and read: whoever puts a file looks first whether it is there."""
    deletes: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    """Below `writes`, and refused all the same."""


def _products(end: str) -> tuple[str, ...]:
    """Products of one kind, of every sensor: `products/sentinel-2-landcover/*`."""
    names = sorted({sensor.collection.removesuffix("-sr") for sensor in SENSORS.values()})
    return tuple(f"products/{name}{end}/*" for name in names)


SURFACE, COVER, ROLLED, VESSELS = map(_products, ("-sr", "-landcover", f"-landcover{LATEST}", "-vessels"))


def _stage(
    stage: Stage, *, after: Stage | None = None, reads: Sequence[str] = (), writes: Sequence[str] = ()
) -> Rights:
    """A stage of a batch: also its batch, how scenes left the stage before, and its own word on them."""
    before = () if after is None else (f"batches/*/{after}.json", f"batches/*/{after}/*")
    return Rights(
        reads=("batches/*/batch.json", *before, *reads),
        writes=(f"batches/*/{stage}.json", f"batches/*/{stage}/*", *writes),
    )


def _docs(level: str) -> tuple[str, ...]:
    """Data Docs of that level, and the styles that all of them share."""
    return f"reports/data-docs/{level}/*", "reports/data-docs/static/*"


RIGHTS: Mapping[str, Rights] = {
    Stage.INGEST: _stage(Stage.INGEST, writes=["l1/*"]),
    Stage.VALIDATE_L1: _stage(Stage.VALIDATE_L1, after=Stage.INGEST, reads=["l1/*"], writes=_docs("level-1")),
    Stage.CORRECT: _stage(
        Stage.CORRECT, reads=["l1/*", "models/correction/*", "models/quality/*"], writes=SURFACE
    ),
    Stage.VALIDATE_SURFACE: _stage(
        Stage.VALIDATE_SURFACE, after=Stage.CORRECT, reads=SURFACE, writes=_docs("surface")
    ),
    Stage.MAP: _stage(Stage.MAP, reads=["models/landcover/*", *SURFACE], writes=COVER),
    Stage.VALIDATE_MAP: _stage(
        Stage.VALIDATE_MAP, after=Stage.MAP, reads=[*SURFACE, *COVER], writes=_docs("map")
    ),
    Stage.DETECT: _stage(Stage.DETECT, reads=["models/vessels/*", *SURFACE], writes=VESSELS),
    Stage.VALIDATE_OBJECTS: _stage(
        Stage.VALIDATE_OBJECTS, after=Stage.DETECT, reads=[*SURFACE, *VESSELS], writes=_docs("objects")
    ),
    TileStage.ROLL: Rights(reads=("rolls/*/order.json", *COVER), writes=("rolls/*/rolled.json", *ROLLED)),
    ReleaseStage.DATASET: Rights(
        reads=("releases/*/order.json", "recipes/*"),
        writes=("releases/*/dataset.json", "datasets/*"),
        never=("datasets/labels/*",),  # the work of people
    ),
    ReleaseStage.TRAIN: Rights(
        reads=("releases/*/order.json", "recipes/*", "datasets/*"),
        writes=("releases/*/train.json", "candidates/*", "checkpoints/*"),
        deletes=("checkpoints/*",),
    ),
    ReleaseStage.EVALUATE: Rights(
        reads=(
            *(f"releases/*/{name}.json" for name in ("order", "release", "train")),
            *("candidates/*", "models/*"),
        ),
        writes=(
            *(f"releases/*/{name}" for name in ("evaluate.json", "judgement.json")),
            *("releases/*/evidence.parquet", "releases/*/slices.csv", "reports/releases/*"),
        ),
    ),
    # Airflow's own tasks: what is claimed, settled, published, indexed, pinned, registered, promoted.
    "flow": Rights(
        reads=("batches/*", "candidates/*", "products/*", "releases/*", "reports/*", "rolls/*"),
        writes=(
            *("batches/*/batch.json", "batches/*/release.json", "rolls/*/order.json"),
            *("releases/*/order.json", "releases/*/release.json", "models/*", "stac/*"),
            *("reports/runs/*", "doctor/*"),
            "airflow/logs/*",  # where Airflow keeps the logs of tasks in the bucket (remote logging)
        ),
        # of the index alone, never an Item; and what `undersky doctor` tried
        deletes=(
            *(
                f"stac/*/{name}"
                for name in ("catalog.json", "items.json", "items.parquet", "collection.json")
            ),
            "doctor/*",
        ),
    ),
    # Who serves the catalog to readers.
    "catalog": Rights(reads=("stac/*",)),
    # A person: weights from elsewhere, recipes, labels.
    "curator": Rights(
        reads=("datasets/*", "products/*", "releases/*", "reports/*", "stac/*"),
        writes=("candidates/*", "datasets/labels/*", "recipes/*"),
    ),
    # MLflow's server with `--artifacts-destination s3://BUCKET/mlflow`: whoever wants a file asks the server.
    "mlflow": Rights(writes=("mlflow/*",), deletes=("mlflow/*",)),
}
"""Role to its rights: the twelve stages by their names, and who is no stage."""


def policy_of(role: str, bucket: str = PLACEHOLDER) -> Json:
    """The policy document of a role, to be attached to its account.

    Raises:
        ConfigError: There is no such role.
    """
    if role not in RIGHTS:
        raise ConfigError(f"there is no role {role!r}; there are {', '.join(RIGHTS)}")
    rights = RIGHTS[role]
    granted = (
        # AWS says that an object is absent only to who may list: else 403, no answer to `is it there?`
        _statement("Names", ["s3:ListBucket", "s3:ListBucketMultipartUploads"], [_arn(bucket)]),
        _statement("Reads", ["s3:GetObject"], _arns(bucket, _widest((*rights.reads, *rights.writes)))),
        _statement("Writes", ["s3:PutObject", "s3:AbortMultipartUpload"], _arns(bucket, rights.writes)),
        _statement("Deletes", ["s3:DeleteObject"], _arns(bucket, rights.deletes)),
        _statement("Never", ["s3:PutObject"], _arns(bucket, rights.never), effect="Deny"),
    )
    return {"Version": _VERSION, "Statement": [each for each in granted if each["Resource"]]}


def public_policy(bucket: str = PLACEHOLDER, prefixes: Sequence[str] = PUBLISHED) -> Json:
    """The policy of the bucket: anybody may read what lies under the prefixes, by its address."""
    return {"Version": _VERSION, "Statement": [_public(bucket, prefixes)]}


def with_public(policy: Mapping[str, Any], bucket: str, prefixes: Sequence[str] = PUBLISHED) -> Json:
    """A bucket's policy with our statement in it, once; those of others stay."""
    others = [each for each in policy["Statement"] if each.get("Sid") != _STATEMENT]
    return {**policy, "Statement": [*others, _public(bucket, prefixes)]}


def templates(bucket: str = PLACEHOLDER) -> dict[str, Json]:
    """Every document by its name: the roles, and `public` for the bucket itself."""
    return {**{str(role): policy_of(role, bucket) for role in RIGHTS}, "public": public_policy(bucket)}


def _public(bucket: str, prefixes: Sequence[str]) -> Json:
    everybody = {"Sid": _STATEMENT, "Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject"]}
    return {**everybody, "Resource": [_arn(bucket, f"{prefix}*") for prefix in prefixes]}


def _statement(name: str, actions: list[str], resources: list[str], *, effect: str = "Allow") -> Json:
    return {"Sid": name, "Effect": effect, "Action": actions, "Resource": resources}


def _widest(patterns: Sequence[str]) -> list[str]:
    """The patterns without those that another one holds already."""
    ends = {pattern.removesuffix("*") for pattern in patterns if pattern.endswith("*")}
    return [each for each in patterns if not any(each.startswith(end) and each != f"{end}*" for end in ends)]


def _arns(bucket: str, patterns: Sequence[str]) -> list[str]:
    return [_arn(bucket, pattern) for pattern in patterns]


def _arn(bucket: str, pattern: str = "") -> str:
    return f"arn:aws:s3:::{bucket}/{pattern}" if pattern else f"arn:aws:s3:::{bucket}"
