"""The archive announces what lies in its folders, serves it, and fails on purpose."""

import hashlib
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures_archive import LANDSAT, SAFE, Archive, serve, small_landsat, small_safe

ROOT = Path(__file__).parents[2]


def search(archive: Archive, dialect: str, **body: object) -> list[dict]:
    return archive.call("POST", f"/{dialect}/search", body)["features"]


def fetch(url: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read(), dict(error.headers)


class TestAnnouncing:
    def test_a_safe_folder_is_announced_by_both_sentinel_providers_and_not_by_landsats(
        self, archive: Archive
    ) -> None:
        small_safe(archive.folder)
        assert [item["id"] for item in search(archive, "cdse")] == [SAFE]
        assert [item["id"] for item in search(archive, "earth-search")] == ["S2B_32TQM_20250619_0_L1C"]
        assert search(archive, "landsatlook") == []

    def test_the_zip_has_the_size_and_checksum_that_its_item_states(self, archive: Archive) -> None:
        small_safe(archive.folder)
        asset = search(archive, "cdse")[0]["assets"]["Product"]
        status, body, _ = fetch(asset["href"])
        assert (status, len(body)) == (200, asset["file:size"])
        assert asset["file:checksum"] == "d50110" + hashlib.md5(body).hexdigest()

    def test_the_zip_holds_the_folder(self, archive: Archive, tmp_path: Path) -> None:
        root = small_safe(archive.folder)
        asset = search(archive, "cdse")[0]["assets"]["Product"]
        path = tmp_path / "product.zip"
        path.write_bytes(fetch(asset["href"])[1])
        with zipfile.ZipFile(path) as packed:
            names = set(packed.namelist())
        files = {p.relative_to(root.parent).as_posix() for p in root.rglob("*") if p.is_file()}
        assert names == files

    def test_every_landsat_file_has_its_size_and_checksum(self, archive: Archive) -> None:
        root = small_landsat(archive.folder)
        assets = search(archive, "landsatlook")[0]["assets"]
        body = fetch(assets["red"]["href"])[1]
        assert body == (root / f"{LANDSAT}_B4.TIF").read_bytes()
        assert assets["red"]["file:checksum"] == "1340" + hashlib.sha512(body).hexdigest()
        assert assets["red"]["alternate"]["s3"]["href"].startswith("s3://usgs-landsat/collection02/")

    def test_the_bucket_of_aws_has_masks_without_their_prefix_and_the_products_metadata(
        self, archive: Archive
    ) -> None:
        small_safe(archive.folder)
        base = search(archive, "earth-search")[0]["assets"]["granule_metadata"]["href"].rpartition("/")[0]
        assert fetch(f"{base}/qi/CLASSI_B00.jp2")[1] == b"mask"
        assert fetch(f"{base}/auxiliary/AUX_ECMWFT")[1] == b"forecast"
        product = f"{archive.url}/earth-search/files/products/2025/6/19/{SAFE}/metadata.xml"
        assert fetch(product)[1] == b"<product/>"

    def test_a_product_nobody_can_open_is_announced_over_its_whole_tile(self, archive: Archive) -> None:
        small_safe(archive.folder)
        item = search(archive, "cdse")[0]
        west, south, east, north = item["bbox"]
        assert 1.2 < east - west < 1.6
        assert 0.9 < north - south < 1.1
        assert item["properties"]["eo:cloud_cover"] == 10.0

    def test_products_dropped_into_the_folder_appear_and_taken_ones_vanish(self, archive: Archive) -> None:
        assert search(archive, "cdse") == []
        root = small_safe(archive.folder)
        time.sleep(0.6)
        assert len(search(archive, "cdse")) == 1
        shutil.rmtree(root)
        time.sleep(0.6)
        assert search(archive, "cdse") == []

    def test_a_second_delivery_gets_the_next_sequence_number(self, archive: Archive) -> None:
        small_safe(archive.folder)
        small_safe(archive.folder, SAFE.replace("N0511", "N0512").replace("132734", "232734"))
        ids = {item["id"] for item in search(archive, "earth-search")}
        assert ids == {"S2B_32TQM_20250619_0_L1C", "S2B_32TQM_20250619_1_L1C"}

    def test_hidden_folders_and_truths_are_no_products(self, archive: Archive) -> None:
        (archive.folder / f"{SAFE}.truth").mkdir()
        (archive.folder / f".{SAFE}.SAFE").mkdir()
        assert search(archive, "cdse") == []

    @pytest.mark.oracle
    def test_real_products_are_announced_where_they_lie(self, samples: Path, tmp_path: Path) -> None:
        with_archive = serve(samples, tmp_path / "served")
        running = next(with_archive)
        try:
            found = {item["id"]: item for item in search(running, "cdse", limit=100)}
            item = found["S2A_MSIL1C_20171207T002051_N0206_R116_T55JEJ_20171207T032513"]
            assert item["properties"]["datetime"].startswith("2017-12-07T00:2")
            landsat = {item["id"] for item in search(running, "landsatlook", limit=100)}
            assert "LC09_L1TP_063046_20230714_20230714_02_T1" in landsat
        finally:
            with_archive.close()


class TestSearching:
    @pytest.fixture(autouse=True)
    def days(self, archive: Archive) -> None:
        for day in range(10, 22):
            small_landsat(archive.folder, f"LC09_L1TP_192029_202506{day}_20250630_02_T1")

    def test_pages_hold_every_item_once_newest_first(self, archive: Archive) -> None:
        body: dict[str, object] | None = {"limit": 5}
        seen: list[str] = []
        while body:
            page = archive.call("POST", "/landsatlook/search", body)
            seen += [item["id"] for item in page["features"]]
            body = page["links"][0]["body"] if page["links"] else None
        assert len(seen) == len(set(seen)) == 12
        assert seen == sorted(seen, reverse=True)

    def test_a_get_search_pages_as_well(self, archive: Archive) -> None:
        page = archive.call("GET", "/landsatlook/search?limit=8&collections=landsat-c2l1")
        rest = json.loads(fetch(page["links"][0]["href"])[1])
        assert (len(page["features"]), len(rest["features"])) == (8, 4)

    @pytest.mark.parametrize(
        ("body", "count"),
        [
            ({"datetime": "2025-06-12T00:00:00Z/2025-06-13T23:59:59Z"}, 2),
            ({"datetime": "../2025-06-11T00:00:00Z"}, 1),
            ({"bbox": [9.0, 44.0, 12.0, 46.0]}, 12),
            ({"bbox": [50.0, 44.0, 52.0, 46.0]}, 0),
            ({"intersects": {"type": "Point", "coordinates": [10.5, 44.6]}}, 12),
            ({"collections": ["sentinel-2-l1c"]}, 0),
            ({"ids": ["LC09_L1TP_192029_20250612_20250630_02_T1"]}, 1),
        ],
    )
    def test_a_search_finds_what_it_asks_for(self, archive: Archive, body: dict, count: int) -> None:
        assert len(search(archive, "landsatlook", limit=100, **body)) == count

    def test_a_search_that_cannot_be_understood_is_refused(self, archive: Archive) -> None:
        for body in ({"datetime": "yesterday"}, {"bbox": ["a"]}, {"limit": "many"}):
            with pytest.raises(urllib.error.HTTPError, match="400"):
                search(archive, "landsatlook", **body)


class TestFiles:
    @pytest.fixture
    def href(self, archive: Archive) -> str:
        small_landsat(archive.folder)
        return search(archive, "landsatlook")[0]["assets"]["red"]["href"]

    @pytest.mark.parametrize(
        ("asked", "begin", "end"),
        [("bytes=0-9", 0, 10), ("bytes=100-", 100, 6000), ("bytes=-50", 5950, 6000)],
    )
    def test_a_range_is_that_part_of_the_file(self, href: str, asked: str, begin: int, end: int) -> None:
        whole = fetch(href)[1]
        status, body, headers = fetch(href, Range=asked)
        assert (status, body) == (206, whole[begin:end])
        assert headers["content-range"] == f"bytes {begin}-{end - 1}/6000"

    def test_a_range_of_a_file_that_has_changed_is_the_whole_file(self, href: str) -> None:
        status, body, _ = fetch(href, Range="bytes=10-", **{"If-Range": '"another"'})
        assert (status, len(body)) == (200, 6000)

    def test_a_range_beyond_the_end_is_refused(self, href: str) -> None:
        assert fetch(href, Range="bytes=9000-")[0] == 416

    def test_what_is_not_there_is_not_found(self, archive: Archive, href: str) -> None:
        assert fetch(href + "x")[0] == 404
        assert fetch(f"{archive.url}/landsatlook/data/../../../etc/passwd")[0] == 404

    def test_a_login_guards_the_downloads_of_copernicus(self, tmp_path: Path) -> None:
        folder = tmp_path / "upstream"
        folder.mkdir()
        small_safe(folder)
        running: Iterator[Archive] = serve(folder, tmp_path / "served", login=("me", "secret"))
        archive = next(running)
        try:
            href = search(archive, "cdse")[0]["assets"]["Product"]["href"]
            assert fetch(href)[0] == 401
            form = b"grant_type=password&client_id=cdse-public&username=me&password=secret"
            with urllib.request.urlopen(f"{archive.url}/cdse/token", form) as answer:
                token = json.loads(answer.read())["access_token"]
            assert fetch(href, Authorization=f"Bearer {token}")[0] == 200
        finally:
            running.close()


@pytest.mark.faults
class TestFaults:
    @pytest.fixture
    def href(self, archive: Archive) -> str:
        small_landsat(archive.folder)
        return search(archive, "landsatlook")[0]["assets"]["red"]["href"]

    def test_throttling_ends_after_its_times(self, archive: Archive, href: str) -> None:
        archive.faults({"kind": "throttle", "match": "B4", "times": 2, "seconds": 3})
        answers = [fetch(href) for _ in range(3)]
        assert [status for status, _, _ in answers] == [429, 429, 200]
        assert answers[0][2]["retry-after"] == "3"

    def test_a_cut_body_ends_after_its_bytes(self, archive: Archive, href: str) -> None:
        archive.faults({"kind": "cut", "times": 1, "bytes": 1000})
        with pytest.raises((ConnectionError, OSError, Exception)) as caught:
            fetch(href)
        assert len(getattr(caught.value, "partial", b"")) <= 1000
        assert len(fetch(href, Range="bytes=1000-")[1]) == 5000

    def test_a_corrupt_body_differs_in_one_byte(self, archive: Archive, href: str) -> None:
        archive.faults({"kind": "corrupt", "times": 1})
        spoilt, whole = fetch(href)[1], fetch(href)[1]
        assert sum(a != b for a, b in zip(spoilt, whole, strict=True)) == 1

    def test_items_state_wrong_sizes_and_checksums(self, archive: Archive) -> None:
        small_landsat(archive.folder)
        good = search(archive, "landsatlook")[0]["assets"]["red"]
        archive.faults({"kind": "wrong_size"}, {"kind": "wrong_checksum"})
        bad = search(archive, "landsatlook")[0]["assets"]["red"]
        assert bad["file:size"] == good["file:size"] + 7
        assert bad["file:checksum"] != good["file:checksum"]
        archive.faults()
        assert search(archive, "landsatlook")[0]["assets"]["red"] == good

    def test_redirects_and_server_errors_come_before_the_file(self, archive: Archive, href: str) -> None:
        archive.faults({"kind": "error", "match": "B4", "status": 503, "times": 1})
        assert fetch(href)[0] == 503
        archive.faults({"kind": "redirect", "match": "B4", "to": f"{archive.url}/elsewhere"})
        assert fetch(href)[0] == 404

    def test_lost_announcements_are_found_by_later_searches(self, archive: Archive) -> None:
        for day in range(10, 30):
            small_landsat(archive.folder, f"LC08_L1TP_192029_202506{day}_20250630_02_T1")
        time.sleep(0.6)
        archive.faults({"kind": "lost", "percent": 20})
        found = [{item["id"] for item in search(archive, "landsatlook", limit=100)} for _ in range(6)]
        assert any(len(ids) < 20 for ids in found)
        assert len(set().union(*found)) == 20

    def test_a_fault_that_is_none_is_refused_and_the_old_ones_stay(self, archive: Archive) -> None:
        archive.faults({"kind": "slow", "seconds": 0})
        for bad in (
            [{"kind": "earthquake"}],
            [{"kind": "cut", "match": "("}],
            ["cut"],
            [{"kind": "cut", "x": 1}],
        ):
            with pytest.raises(urllib.error.HTTPError, match="400"):
                archive.faults(*bad)
        assert [fault["kind"] for fault in archive.call("GET", "/faults")] == ["slow"]

    def test_requests_are_counted_by_path(self, archive: Archive, href: str) -> None:
        archive.forget()
        fetch(href)
        fetch(href)
        assert archive.asked() == {f"GET {href.removeprefix(archive.url)}": 2}

    def test_a_file_of_faults_is_read_again_when_it_changes(self, tmp_path: Path) -> None:
        folder, control = tmp_path / "upstream", tmp_path / "faults.json"
        folder.mkdir()
        control.write_text('[{"kind": "error"}]')
        running = serve(folder, tmp_path / "served", faults=control)
        archive = next(running)
        try:
            with pytest.raises(urllib.error.HTTPError, match="500"):
                search(archive, "cdse")
            time.sleep(0.01)
            control.write_text("[]")
            assert search(archive, "cdse") == []
        finally:
            running.close()


class TestCommand:
    def test_it_serves_from_the_command_line_and_lays_out_the_profiles(self, tmp_path: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        (tmp_path / "products").mkdir()
        small_landsat(tmp_path / "products")
        command = [
            sys.executable,
            "docker/archive/server.py",
            str(tmp_path / "products"),
            "--port",
            str(port),
        ]
        server = subprocess.Popen(
            [*command, "--write-profiles", str(tmp_path / "profiles")], cwd=ROOT, stderr=subprocess.PIPE
        )
        try:
            url = f"http://127.0.0.1:{port}/landsatlook/search"
            for _ in range(200):
                try:
                    page = json.loads(fetch(url)[1])
                    break
                except OSError:
                    time.sleep(0.1)
            assert [item["id"] for item in page["features"]] == [LANDSAT]
            text = (tmp_path / "profiles" / "usgs-landsatlook.yaml").read_text()
            assert f"127.0.0.1:{port}" in text
            again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
            assert again.returncode == 2
            assert f"port {port} of 127.0.0.1 is taken" in again.stderr
        finally:
            server.terminate()
            server.wait(10)
            server.stderr.close()
