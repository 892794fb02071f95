"""Transfers from the scripted archive, for the tests of what arrives and of what is refused."""

import hashlib
import random
from pathlib import Path

import pytest

from fixtures_upstream import Upstream, access_to
from undersky.errors import DataError, Reason
from undersky.refs import FileRef
from undersky.services.store import Store
from undersky.services.transfer import Transfers

BODY = random.Random(1).randbytes(3_000_000)
SHA256 = hashlib.sha256(BODY).hexdigest()
MIB = 1 << 20
KEY = "l1/sentinel-2-l1c/S2B/B02.jp2"


def ref(upstream: Upstream, path: str = "B02.jp2", **known: object) -> FileRef:
    return FileRef(name="B02.jp2", href=upstream.href(path), **known)  # type: ignore[arg-type]


def told(**known: object) -> dict[str, object]:
    return {"size": len(BODY), "checksum": f"sha256:{SHA256}", **known}


@pytest.fixture
def transfers(store: Store, upstream: Upstream, tmp_path: Path):
    with Transfers(store, access_to(upstream.host), tmp_path / "partials", tries=3, pause_s=0.001) as made:
        yield made


def left(transfers: Transfers) -> list[str]:
    return [path.name for path in transfers._partials.glob("*") if path.is_file()]


def refused(transfers: Transfers, wanted: FileRef, reason: Reason) -> str:
    """The sentence of the DataError; nothing lies under the key."""
    with pytest.raises(DataError) as caught:
        transfers.fetch(wanted, KEY)
    assert caught.value.reason is reason
    assert transfers.store.head(KEY) is None
    return str(caught.value)
