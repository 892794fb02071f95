"""Stage ingest: a product folder is whole, or has no manifest."""

import hashlib
import json
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fixtures_upstream import Upstream, access_to
from undersky.batch.driver import Running, exit_code, run_batch
from undersky.batch.ingest import Delivered, Ingest, ingest_scene, ingest_work
from undersky.errors import ConfigError, DataError, Reason, ServiceError
from undersky.refs import Batch, Ending, FileRef, Lane, SceneRef, Stage
from undersky.services.access import Access
from undersky.services.store import Store
from undersky.services.transfer import Transfers
from undersky.settings import Settings

SCENE = "S2B_MSIL1C_20250619T095753_N0511_R066_T32TQM_20250619T132734"
FOLDER = f"l1/sentinel-2-l1c/{SCENE}"
BODIES = {"MTD_MSIL1C.xml": b"<xml/>", "B02.jp2": b"blue" * 1000, "qi/MSK_CLASSI_B00.jp2": b"mask"}


def announced(upstream: Upstream, bodies: dict[str, bytes] | None = None) -> tuple[FileRef, ...]:
    """Serves the files and refers to them."""
    files = BODIES if bodies is None else bodies
    for name, body in files.items():
        upstream.serve(name, body)
    return tuple(
        FileRef(
            name=name,
            href=upstream.href(name),
            size=len(body),
            checksum=f"md5:{hashlib.md5(body).hexdigest()}",
        )
        for name, body in files.items()
    )


def scene(files: tuple[FileRef, ...], **change: object) -> SceneRef:
    return SceneRef(
        acquisition="S2B_20250619T095753_32TQM",
        scene=SCENE,
        collection="sentinel-2-l1c",
        tile="32TQM",
        sensed=datetime(2025, 6, 19, 9, 57, 53, tzinfo=UTC),
        profile="test",
        files=files,
    ).model_copy(update=change)


def opened(store: Store, access: Access, folder: Path) -> Transfers:
    return Transfers(store, access, folder, tries=2, pause_s=0.001)


@pytest.fixture
def transfers(store: Store, upstream: Upstream, tmp_path: Path):
    access = access_to(upstream.host, optional=("qi/*",))
    with opened(store, access, tmp_path / "partials") as made:
        yield made


def refused(transfers: Transfers, ref: SceneRef, reason: Reason) -> str:
    with pytest.raises(DataError) as caught:
        ingest_scene(transfers, ref)
    assert caught.value.reason is reason
    return str(caught.value)


class TestAScene:
    def test_arrives_whole_with_a_manifest(
        self, transfers: Transfers, upstream: Upstream, store: Store
    ) -> None:
        delivered, ingested = ingest_scene(transfers, scene(announced(upstream)))
        assert {each.key: each.size for each in store.list(FOLDER)} == {
            **{f"{FOLDER}/{name}": len(body) for name, body in BODIES.items()},
            f"{FOLDER}/manifest.json": len(store.get(f"{FOLDER}/manifest.json")),
        }
        assert Delivered.from_json(store.get(f"{FOLDER}/manifest.json")) == delivered
        assert ingested.bytes == ingested.fetched == sum(map(len, BODIES.values()))
        assert [file.checksum for file in ingested.files] == [
            f"sha256:{hashlib.sha256(BODIES[name]).hexdigest()}" for name in sorted(BODIES)
        ]
        assert [store.key(file.href) for file in ingested.files] == [
            f"{FOLDER}/{name}" for name in sorted(BODIES)
        ]

    def test_that_is_whole_is_not_asked_for_again(self, transfers: Transfers, upstream: Upstream) -> None:
        ref = scene(announced(upstream))
        first, _ = ingest_scene(transfers, ref)
        asked = {path: len(served.asked) for path, served in upstream.files.items()}
        second, ingested = ingest_scene(transfers, ref)
        assert second == first
        assert ingested.fetched == 0
        assert {path: len(served.asked) for path, served in upstream.files.items()} == asked

    def test_of_which_a_file_is_missing_has_no_manifest_and_is_completed_later(
        self, transfers: Transfers, upstream: Upstream, store: Store
    ) -> None:
        ref = scene(announced(upstream))
        upstream.files["/MTD_MSIL1C.xml"].statuses = [(503, {})] * 9
        with pytest.raises(ServiceError):
            ingest_scene(transfers, ref)
        assert store.head(f"{FOLDER}/manifest.json") is None
        upstream.files["/MTD_MSIL1C.xml"].statuses = []
        _, ingested = ingest_scene(transfers, ref)
        assert ingested.bytes == sum(map(len, BODIES.values()))
        assert store.head(f"{FOLDER}/manifest.json") is not None

    def test_whose_optional_file_is_not_upstream_is_whole_without_it(
        self, transfers: Transfers, upstream: Upstream
    ) -> None:
        ref = scene(announced(upstream))
        del upstream.files["/qi/MSK_CLASSI_B00.jp2"]
        for _ in range(2):
            delivered, _ = ingest_scene(transfers, ref)
            assert [file.name for file in delivered.files] == ["B02.jp2", "MTD_MSIL1C.xml"]

    def test_whose_needed_file_is_not_upstream_is_gone(
        self, transfers: Transfers, upstream: Upstream
    ) -> None:
        ref = scene(announced(upstream))
        del upstream.files["/B02.jp2"]
        assert "B02.jp2" in refused(transfers, ref, Reason.SOURCE_GONE)

    def test_that_upstream_changed_under_its_name_is_told_not_replaced(
        self, transfers: Transfers, upstream: Upstream, store: Store
    ) -> None:
        ingest_scene(transfers, scene(announced(upstream)))
        for body in (b"blue" * 999, b"BLUE" * 1000):
            changed = scene(announced(upstream, {**BODIES, "B02.jp2": body}))
            assert "B02.jp2 has" in refused(transfers, changed, Reason.SOURCE_CHANGED)
        more = scene(announced(upstream, {**BODIES, "B03.jp2": b"green"}))
        assert "B03.jp2 was not there then" in refused(transfers, more, Reason.SOURCE_CHANGED)
        assert store.get(f"{FOLDER}/B02.jp2") == BODIES["B02.jp2"]

    def test_that_another_provider_announces_is_compared_by_what_both_know(
        self, transfers: Transfers, upstream: Upstream
    ) -> None:
        ref = scene(announced(upstream))
        ingest_scene(transfers, ref)
        bare = tuple(file.model_copy(update={"checksum": None, "size": None}) for file in ref.files)
        assert ingest_scene(transfers, scene(bare))[1].fetched == 0
        sha256 = f"sha256:{hashlib.sha256(BODIES['B02.jp2']).hexdigest()}"
        other = tuple(
            file.model_copy(update={"checksum": sha256}) for file in ref.files if file.name == "B02.jp2"
        )
        assert ingest_scene(transfers, scene(other))[1].fetched == 0

    def test_without_checksums_says_what_was_not_verified(
        self, transfers: Transfers, upstream: Upstream
    ) -> None:
        ref = scene(announced(upstream))
        bare = tuple(file.model_copy(update={"checksum": None}) for file in ref.files)
        delivered, _ = ingest_scene(transfers, scene(bare))
        assert len(delivered.unverified) == 3

    def test_with_a_manifest_nobody_can_read_is_the_operators(
        self, transfers: Transfers, upstream: Upstream, store: Store
    ) -> None:
        store.put(f"{FOLDER}/manifest.json", b"{")
        with pytest.raises(ConfigError, match="delete it"):
            ingest_scene(transfers, scene(announced(upstream)))


class TestHostileNames:
    @pytest.mark.parametrize(
        "name", ["../B02.jp2", "/etc/passwd", "a/../../b", "", "manifest.json", "a\\b", "a\nb", ".hidden"]
    )
    def test_of_files_are_refused_before_anything_is_fetched(
        self, transfers: Transfers, upstream: Upstream, store: Store, name: str
    ) -> None:
        served = upstream.serve("B02.jp2", b"x")
        file = FileRef(name=name, href=upstream.href("B02.jp2"))
        refused(transfers, scene((file,)), Reason.SOURCE_REFUSED)
        assert served.asked == []
        assert list(store.list("")) == []

    @pytest.mark.parametrize("change", [{"scene": "../x"}, {"scene": "a/b"}, {"collection": ".."}])
    def test_of_scenes_are_refused(
        self, transfers: Transfers, upstream: Upstream, change: dict[str, str]
    ) -> None:
        refused(transfers, scene(announced(upstream), **change), Reason.SOURCE_REFUSED)

    def test_twice_the_same_are_refused(self, transfers: Transfers, upstream: Upstream) -> None:
        files = announced(upstream, {"B02.jp2": b"x", "b02.JP2": b"y"})
        refused(transfers, scene(files), Reason.SOURCE_REFUSED)

    def test_no_files_at_all_are_no_product(self, transfers: Transfers) -> None:
        refused(transfers, scene(()), Reason.METADATA_MISSING)


class TestFilesInParallel:
    def test_keep_to_the_profiles_limit(self, store: Store, upstream: Upstream, tmp_path: Path) -> None:
        files = announced(upstream, {f"B{number:02d}.jp2": b"x" for number in range(12)})
        for served in upstream.files.values():
            served.delay_s = 0.05
        with opened(store, access_to(upstream.host, transfers=3), tmp_path) as transfers:
            ingest_scene(transfers, scene(files))
        assert 1 < upstream.most <= 3

    def test_end_soon_after_one_cannot_be_had(self, store: Store, upstream: Upstream, tmp_path: Path) -> None:
        files = announced(upstream, {f"B{number:02d}.jp2": b"x" for number in range(8)})
        for served in list(upstream.files.values())[1:]:
            served.statuses = [(503, {"Retry-After": "500"})] * 3
        del upstream.files["/B00.jp2"]
        begin = time.monotonic()
        with opened(store, access_to(upstream.host, transfers=8), tmp_path) as transfers:
            refused(transfers, scene(files), Reason.SOURCE_GONE)
        assert time.monotonic() - begin < 10

    def test_an_operators_fault_comes_before_one_of_the_data(
        self, transfers: Transfers, upstream: Upstream
    ) -> None:
        ref = scene(announced(upstream))
        for served in upstream.files.values():
            served.delay_s = 0.1
        upstream.files["/MTD_MSIL1C.xml"].statuses = [(401, {}), (401, {})]
        upstream.files["/B02.jp2"].statuses = [(404, {})]
        with pytest.raises((ConfigError, DataError)):
            ingest_scene(transfers, ref)


class TestTheStage:
    def batch(self, store: Store, *scenes: SceneRef) -> str:
        store.put_json("batches/r/000/batch.json", Batch(run="r", name="000", lane=Lane.FRESH, scenes=scenes))
        return store.href("batches/r/000/batch.json")

    def work(self, upstream: Upstream, folder: Path) -> Ingest:
        return Ingest(lambda _: access_to(upstream.host), folder)

    def test_ends_each_scene_by_itself(self, store: Store, upstream: Upstream, tmp_path: Path) -> None:
        good = scene(announced(upstream))
        gone = scene((FileRef(name="a", href=upstream.href("none")),), acquisition="gone", scene="GONE")
        evil = scene((FileRef(name="a", href="file:///etc/passwd"),), acquisition="evil", scene="EVIL")
        href = self.batch(store, evil, gone, good)
        manifest = run_batch(
            store, href, Stage.INGEST, self.work(upstream, tmp_path / "p"), running=Running(tmp_path)
        )
        assert [(each.ending, each.reason) for each in manifest.outcomes] == [
            (Ending.QUARANTINED, "source_refused"),
            (Ending.QUARANTINED, "source_gone"),
            (Ending.DONE, "ok"),
        ]
        ingested = manifest.outcomes[2].ingested
        assert ingested is not None
        assert len(ingested.files) == 3
        assert exit_code(manifest) == 0

    def test_leaves_a_failing_archive_to_the_next_run(
        self, store: Store, upstream: Upstream, tmp_path: Path
    ) -> None:
        href = self.batch(store, scene(announced(upstream)))
        upstream.files["/B02.jp2"].statuses = [(403, {}), (403, {})]
        work = self.work(upstream, tmp_path / "p")
        with pytest.raises(ConfigError, match="403"):
            run_batch(store, href, Stage.INGEST, work, running=Running(tmp_path))
        upstream.files["/B02.jp2"].statuses = []
        manifest = run_batch(store, href, Stage.INGEST, work, running=Running(tmp_path))
        assert [each.ending for each in manifest.outcomes] == [Ending.DONE]

    def test_keeps_one_login_for_the_whole_batch(
        self, store: Store, upstream: Upstream, tmp_path: Path
    ) -> None:
        files = announced(upstream)
        scenes = [scene(files, acquisition=f"a{n}", scene=f"S{n}") for n in range(3)]
        asked: list[str] = []

        def access(name: str) -> Access:
            asked.append(name)
            return access_to(upstream.host)

        href = self.batch(store, *scenes)
        run_batch(store, href, Stage.INGEST, Ingest(access, tmp_path / "p"), running=Running(tmp_path))
        assert asked == ["test"]

    def test_from_settings_knows_the_shipped_profiles_and_no_others(
        self, store: Store, upstream: Upstream, tmp_path: Path
    ) -> None:
        work = ingest_work(Settings(scratch=tmp_path))
        href = self.batch(store, scene(announced(upstream), profile="nobody"))
        with pytest.raises(ConfigError, match=r"no profile nobody; there are .*earth-search"):
            run_batch(store, href, Stage.INGEST, work, running=Running(tmp_path))

    def test_of_a_scene_claimed_for_something_else_is_told(
        self, store: Store, upstream: Upstream, tmp_path: Path
    ) -> None:
        href = self.batch(store, scene(announced(upstream), profile=None))
        with pytest.raises(ConfigError, match="names no profile"):
            run_batch(
                store, href, Stage.INGEST, self.work(upstream, tmp_path / "p"), running=Running(tmp_path)
            )


def test_four_runs_of_one_scene_at_once_end_with_one_whole_folder(
    weed: Store, upstream: Upstream, tmp_path: Path
) -> None:
    """A lease that expired too early: all holders go on, on four machines."""
    ref = scene(announced(upstream))
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            with opened(weed, access_to(upstream.host), tmp_path / str(number)) as transfers:
                ingest_scene(transfers, ref)
        except BaseException as error:  # noqa: BLE001  told by the assertion
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    manifest = json.loads(weed.get(f"{FOLDER}/manifest.json"))
    for file in manifest["files"]:
        body = weed.get(weed.key(file["href"]))
        assert file["checksum"] == f"sha256:{hashlib.sha256(body).hexdigest()}"
