"""The upstream archive of docker/archive on a free loopback port, over a folder of small products.

`archive` serves `archive.folder`; `archive.profiles` are the played providers, read from the templates.
"""

import json
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "docker" / "archive"))


from undersky.services.profiles import Profile, load_profiles

SAFE = "S2B_MSIL1C_20250619T095753_N0511_R066_T32TQM_20250619T132734"
LANDSAT = "LC09_L1TP_192029_20250613_20250620_02_T1"


@dataclass
class Archive:
    """A running archive."""

    folder: Path
    url: str
    profiles: Mapping[str, Profile]

    def faults(self, *faults: Mapping[str, object]) -> None:
        self.call("POST", "/faults", list(faults))

    def asked(self) -> dict[str, int]:
        return self.call("GET", "/requests")

    def forget(self) -> None:
        self.call("DELETE", "/requests")

    def call(self, method: str, path: str, body: object = None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read())

    def profile(self, name: str, **changes: object) -> Profile:
        return replace(self.profiles[name], **changes)


def small_safe(folder: Path, scene: str = SAFE, *, cloud: float = 10.0, sensed: str | None = None) -> Path:
    """A SAFE folder by name: nobody can open it, everybody can announce and fetch it."""
    datatake, tile = scene.split("_")[2], scene.split("_")[5]
    when = sensed or f"{datatake[:4]}-{datatake[4:6]}-{datatake[6:8]}T{datatake[9:11]}:{datatake[11:13]}:30Z"
    hidden = folder / f".{scene}"
    granule = hidden / "GRANULE" / f"L1C_{tile}_A000001_{datatake}"
    for name in ("IMG_DATA", "QI_DATA", "AUX_DATA"):
        (granule / name).mkdir(parents=True)
    (granule / "MTD_TL.xml").write_text(
        f"<x><SENSING_TIME>{when}</SENSING_TIME>"
        f"<CLOUDY_PIXEL_PERCENTAGE>{cloud}</CLOUDY_PIXEL_PERCENTAGE></x>"
    )
    (hidden / "MTD_MSIL1C.xml").write_text("<product/>")
    for band in ("01", "02", "03", "04", "05", "06", "07", "08", "8A", "09", "10", "11", "12"):
        (granule / "IMG_DATA" / f"{tile}_{datatake}_B{band}.jp2").write_bytes(f"band {band} ".encode() * 5000)
    (granule / "QI_DATA" / "MSK_CLASSI_B00.jp2").write_bytes(b"mask")
    (granule / "AUX_DATA" / "AUX_ECMWFT").write_bytes(b"forecast")
    return hidden.rename(folder / f"{scene}.SAFE")


def small_landsat(folder: Path, scene: str = LANDSAT, *, cloud: float = 10.0, without: str = "") -> Path:
    """A Landsat folder by name."""
    hidden = folder / f".{scene}"
    hidden.mkdir()
    suffixes = [*(f"B{n}.TIF" for n in range(1, 12)), "QA_PIXEL.TIF", "QA_RADSAT.TIF", "SZA.TIF"]
    for suffix in suffixes:
        if suffix != without:
            (hidden / f"{scene}_{suffix}").write_bytes(suffix.encode() * 1000)
    (hidden / f"{scene}_MTL.txt").write_text(
        f'CLOUD_COVER = {cloud}\nSUN_ELEVATION = 55.0\nSCENE_CENTER_TIME = "09:52:14.1Z"\n'
    )
    return hidden.rename(folder / scene)


def serve(folder: Path, cache: Path, **options: object) -> Iterator[Archive]:
    """An archive over a folder; ends when the generator is closed."""
    import uvicorn  # every session of tests loads this file: what is heavy waits for its first use
    from server import write_profiles
    from upstream.application import make_application

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    cache.mkdir(exist_ok=True)
    (cache / "zips").mkdir(exist_ok=True)
    application = make_application((folder,), cache=cache / "zips", **options)
    config = uvicorn.Config(
        application, port=port, log_level="error", lifespan="off", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    write_profiles(cache / "profiles", port=port)
    yield Archive(folder, f"http://127.0.0.1:{port}", load_profiles(cache / "profiles"))
    server.should_exit = server.force_exit = True
    thread.join()


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    """An archive over an empty folder."""
    folder = tmp_path / "upstream"
    folder.mkdir()
    yield from serve(folder, tmp_path / "served")
