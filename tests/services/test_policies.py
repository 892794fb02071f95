"""What each account may do, asked of a real server that weighs the very documents that are shipped."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from fixtures_store import S3Server
from policy_accounts import Office
from undersky.cli import main
from undersky.errors import ConfigError
from undersky.refs import ReleaseStage, Stage
from undersky.services.store import Store, files
from undersky.services.store.policies import PUBLISHED, RIGHTS, policy_of, public_policy, templates
from undersky.stac.maps import map_collections
from undersky.tile_refs import TileStage
from undersky.training.task import TASKS

TEMPLATES = Path(__file__).parents[2] / "helm" / "undersky" / "policies"
MANAGED_POLICY = 6144
"""Characters of a managed policy on AWS, white space not counted."""
STAGES = (*Stage, *TileStage, *ReleaseStage)
EVERY = tuple(RIGHTS)

BATCH = "batches/run-1/000"
SCENE = "2025/06/S2B_MSIL1C_X/digest"
PLACES = {
    "level-1": "l1/sentinel-2-l1c/S2B_MSIL1C_X/MTD_MSIL1C.xml",
    "batch": f"{BATCH}/batch.json",
    "pinned": "batches/run-1/release.json",
    "reflectance": f"products/sentinel-2-sr/{SCENE}/B04.tif",
    "landsat reflectance": f"products/landsat-8-9-sr/{SCENE}/B4.tif",
    "land cover": f"products/sentinel-2-landcover/{SCENE}/landcover.tif",
    "rolling map": "products/sentinel-2-landcover-latest/2025/06/32TQM/digest/landcover.tif",
    "vessels": f"products/sentinel-2-vessels/{SCENE}/vessels.parquet",
    "Item": f"stac/sentinel-2-sr/{SCENE}.json",
    "index": "stac/index.json",
    "month": "stac/sentinel-2-sr/2025/06/catalog.json",
    "model": "models/correction/digest/package.json",
    "map model": "models/landcover/digest/package.json",
    "candidate": "candidates/correction/digest/package.json",
    "checkpoint": "checkpoints/recipe-dataset/step-1.json",
    "dataset": "datasets/correction/key/shard.npz",
    "labels": "datasets/labels/key/manifest.json",
    "recipe": "recipes/mine.yaml",
    "order": "releases/run-1/order.json",
    "trained": "releases/run-1/train.json",
    "judgement": "releases/run-1/judgement.json",
    "tile's order": "rolls/run-1/32TQM-7/order.json",
    "rolled": "rolls/run-1/32TQM-7/rolled.json",
    "Data Docs of Level-1": "reports/data-docs/level-1/run-1/000/S2B/index.html",
    "Data Docs of reflectance": "reports/data-docs/surface/run-1/000/S2B/index.html",
    "page of a run": "reports/runs/run-1/index.html",
    "page of a review": "reports/releases/run-1/index.html",
    "artifact of the registry": "mlflow/1/run/artifacts/report.html",
    **{f"outcome of {stage}": f"{BATCH}/{stage}/S2B.json" for stage in Stage},
    **{f"manifest of {stage}": f"{BATCH}/{stage}.json" for stage in Stage},
}
"""A key of every kind that lies in the bucket."""

MAY_WRITE: dict[str, set[str]] = {
    "level-1": {"ingest"},
    "batch": {"flow"},
    "pinned": {"flow"},
    "reflectance": {"correct"},
    "landsat reflectance": {"correct"},
    "land cover": {"map"},
    "rolling map": {"roll"},
    "vessels": {"detect"},
    "Item": {"flow"},
    "index": {"flow"},
    "month": {"flow"},
    "model": {"flow"},
    "map model": {"flow"},
    "candidate": {"train", "curator"},
    "checkpoint": {"train"},
    "dataset": {"dataset"},
    "labels": {"curator"},
    "recipe": {"curator"},
    "order": {"flow"},
    "trained": {"train"},
    "judgement": {"evaluate"},
    "tile's order": {"flow"},
    "rolled": {"roll"},
    "Data Docs of Level-1": {"validate-l1"},
    "Data Docs of reflectance": {"validate-surface"},
    "page of a run": {"flow"},
    "page of a review": {"evaluate"},
    "artifact of the registry": {"mlflow"},
    **{f"outcome of {stage}": {str(stage)} for stage in Stage},
    **{f"manifest of {stage}": {str(stage)} for stage in Stage},
}
"""Who may put what: written by hand, so that a policy that grows must be meant."""

MAY_DELETE = {
    "month": {"flow"},
    "checkpoint": {"train"},
    "artifact of the registry": {"mlflow"},
}

SECRET = {
    "level-1": {"ingest", "validate-l1", "correct"},
    "model": {"correct", "evaluate", "flow"},
    "candidate": {"train", "evaluate", "flow", "curator"},
    "dataset": {"dataset", "train", "curator"},
    "checkpoint": {"train"},
    "artifact of the registry": {"mlflow"},
}
"""Who may read what nobody else may."""


@pytest.fixture(scope="module")
def office(weed_server: S3Server) -> Office:
    """A bucket with an object of every kind, open to readers; accounts are made on demand."""
    with pytest.MonkeyPatch.context() as patched:
        for name, value in weed_server.environment.items():
            patched.setenv(name, value)
        owner = Store.open("s3://policies", endpoint=weed_server.endpoint)
        owner.make_bucket()
        for key in PLACES.values():
            owner.put(key, key.encode())
        owner.publish_prefixes()
        return Office.of(owner, weed_server)


def allowed(work: Callable[[], object]) -> bool:
    """Whether the server lets it happen."""
    try:
        work()
    except ConfigError as error:
        if "do not allow" not in str(error):
            raise
        return False
    return True


def where_allowed(work: Callable[[str], object], names: Iterable[str] = tuple(PLACES)) -> set[str]:
    """The kinds of objects with whose key the server lets it happen."""
    with ThreadPoolExecutor(8) as pool:
        done = pool.map(lambda name: (name, allowed(lambda: work(PLACES[name]))), names)
        return {name for name, may in done if may}


def of(role: str, rights: Mapping[str, set[str]]) -> set[str]:
    """The kinds of objects that the table gives to that role."""
    return {name for name, roles in rights.items() if role in roles}


@pytest.mark.parametrize("role", EVERY)
class TestAnAccount:
    def test_writes_what_is_its_own_and_nothing_else(self, office: Office, role: str) -> None:
        store = office.store(role)
        assert where_allowed(lambda key: store.put(key, b"new")) == of(role, MAY_WRITE)

    def test_deletes_next_to_nothing(self, office: Office, role: str) -> None:
        found = where_allowed(office.store(role).delete)
        for name in found:
            office.owner.put(PLACES[name], b"again")
        assert found == of(role, MAY_DELETE)

    def test_deletes_nothing_in_bulk_either(self, office: Office, role: str) -> None:
        store = office.store(role)
        kept = [key for name, key in PLACES.items() if role not in MAY_DELETE.get(name, set())]
        store.client.delete_objects(Bucket=store.bucket, Delete={"Objects": [{"Key": key} for key in kept]})
        assert {stored.key for stored in office.owner.list("")} >= set(kept)

    def test_reads_only_what_it_needs(self, office: Office, role: str) -> None:
        assert where_allowed(office.store(role).get, SECRET) == of(role, SECRET)

    def test_copies_nothing_that_it_may_not_read(self, office: Office, role: str) -> None:
        store = office.store(role)
        for mine in sorted(of(role, MAY_WRITE))[:1]:
            for name in SECRET.keys() - of(role, SECRET):
                source = {"Bucket": store.bucket, "Key": PLACES[name]}
                with pytest.raises(ClientError, match="AccessDenied"):
                    store.client.copy_object(Bucket=store.bucket, Key=PLACES[mine], CopySource=source)

    def test_changes_nothing_of_the_bucket(self, office: Office, role: str) -> None:
        client, bucket = office.store(role).client, office.owner.bucket
        for work in (
            lambda: client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(public_policy(bucket))),
            lambda: client.delete_bucket_policy(Bucket=bucket),
            lambda: client.put_bucket_versioning(
                Bucket=bucket, VersioningConfiguration={"Status": "Suspended"}
            ),
            lambda: client.put_object_acl(Bucket=bucket, Key=PLACES["level-1"], ACL="public-read"),
            lambda: client.delete_bucket(Bucket=bucket),
            lambda: client.create_bucket(Bucket=f"{bucket}-of-{role}"),
        ):
            with pytest.raises(ClientError, match="AccessDenied"):
                work()


@pytest.mark.parametrize(
    "parties", [("ingest", "level-1", "reflectance"), ("correct", "reflectance", "level-1")]
)
def test_files_of_many_parts_go_where_others_go(
    office: Office, parties: tuple[str, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    role, mine, other = parties
    monkeypatch.setattr(files, "PART", 5 << 20)
    big = tmp_path / "big"
    big.write_bytes(role.encode() * (1 << 20))
    store = office.store(role)
    assert store.put_file(PLACES[mine], big).size == big.stat().st_size > files.PART
    assert not allowed(lambda: store.put_file(PLACES[other], big))


def test_what_is_not_there_is_not_there_and_no_error(office: Office) -> None:
    store = office.store("correct")
    assert store.head(f"products/sentinel-2-sr/{SCENE}/absent.tif") is None
    assert store.find("batches/run-2/000/correct.json") is None


class TestAnybody:
    @staticmethod
    def status(store: Store, key: str, method: str = "GET") -> int:
        address = f"{store.client.meta.endpoint_url}/{store.bucket}/{key}"
        request = urllib.request.Request(address, b"x" if method == "PUT" else None, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    def test_reads_what_is_published_and_nothing_else(self, office: Office) -> None:
        found = {name for name, key in PLACES.items() if self.status(office.owner, key) == 200}
        assert found == {name for name, key in PLACES.items() if key.startswith(PUBLISHED)}
        assert "level-1" not in found

    @pytest.mark.parametrize(
        "query", ["", "?list-type=2", "?list-type=2&prefix=stac/", "?uploads", "?policy"]
    )
    def test_lists_nothing(self, office: Office, query: str) -> None:
        assert self.status(office.owner, query) == 403

    @pytest.mark.parametrize("method", ["PUT", "DELETE"])
    def test_changes_nothing(self, office: Office, method: str) -> None:
        assert {self.status(office.owner, key, method) for key in PLACES.values()} == {403}


class TestTheDocuments:
    def test_there_is_one_for_every_stage_and_for_whoever_is_no_stage(self) -> None:
        assert len(STAGES) == 12
        assert set(RIGHTS) == {*map(str, STAGES), "flow", "catalog", "curator", "mlflow"}

    def test_the_templates_of_the_chart_are_what_the_code_says(self) -> None:
        found = {path.stem: json.loads(path.read_text()) for path in TEMPLATES.iterdir()}
        assert found == templates(), "undersky policies --bucket '${BUCKET}' --out helm/undersky/policies"

    def test_each_fits_into_a_managed_policy_of_aws(self) -> None:
        longest = {
            role: len(json.dumps(each, separators=(",", ":"))) for role, each in templates("b" * 63).items()
        }
        assert {role: length for role, length in longest.items() if length > MANAGED_POLICY} == {}

    def test_none_allows_a_whole_service_or_another_bucket(self) -> None:
        for role, document in templates("undersky").items():
            for statement in document["Statement"]:
                assert not any("*" in action for action in statement["Action"]), role
                for resource in statement["Resource"]:
                    assert resource == "arn:aws:s3:::undersky" or resource.startswith(
                        "arn:aws:s3:::undersky/"
                    )
                    assert resource != "arn:aws:s3:::undersky/*", role

    def test_whoever_reads_a_pattern_twice_is_told_once(self) -> None:
        for role in RIGHTS:
            for statement in policy_of(role)["Statement"]:
                wide = [each for each in statement["Resource"] if each.endswith("*")]
                narrow = {
                    each
                    for each in statement["Resource"]
                    if any(each != other and fnmatchcase(each, other) for other in wide)
                }
                assert not narrow or statement["Sid"] != "Reads", f"{role}: {narrow}"

    def test_every_collection_of_products_has_somebody_who_makes_it(self) -> None:
        made = {pattern for rights in RIGHTS.values() for pattern in rights.writes}
        assert {f"products/{name}/*" for name in map_collections()} <= made

    def test_no_task_keeps_its_dataset_where_labels_lie(self) -> None:
        assert "labels" not in TASKS

    def test_a_role_that_is_none_is_refused_with_those_that_are(self) -> None:
        with pytest.raises(ConfigError, match="there are ingest, validate-l1, correct"):
            policy_of("corrector")


class TestTheVerb:
    def test_prints_one_document_for_the_bucket_of_the_settings(self, monkeypatch, capsys) -> None:
        monkeypatch.setenv("UNDERSKY_STORE", "s3://mine")
        assert main(["policies", "correct"]) == 0
        assert json.loads(capsys.readouterr().out) == policy_of("correct", "mine")

    def test_prints_all_by_role(self, capsys) -> None:
        assert main(["policies", "--bucket", "mine"]) == 0
        assert json.loads(capsys.readouterr().out) == templates("mine")

    def test_writes_a_file_a_role(self, tmp_path: Path, capsys) -> None:
        assert main(["policies", "--bucket", "mine", "--out", str(tmp_path / "new")]) == 0
        assert capsys.readouterr().out.startswith("17 policies in ")
        written = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "new").iterdir()}
        assert written == templates("mine")

    def test_names_the_roles_that_there_are(self, capsys) -> None:
        assert main(["policies", "corrector", "--bucket", "mine"]) == 2
        assert "there are ingest," in capsys.readouterr().err

    def test_wants_a_bucket(self, monkeypatch, capsys) -> None:
        monkeypatch.delenv("UNDERSKY_STORE", raising=False)
        assert main(["policies"]) == 2
        assert "--bucket" in capsys.readouterr().err
