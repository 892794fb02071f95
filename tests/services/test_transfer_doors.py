"""Nothing leads out of the profile's hosts, logins go where they belong."""

import hashlib
from pathlib import Path

import boto3
import pytest

from fixtures_transfer import BODY, KEY, ref, refused, told
from fixtures_upstream import Upstream, access_to
from undersky.errors import ConfigError, Reason
from undersky.refs import FileRef
from undersky.services.access import (
    Access,
    Authentication,
    Credential,
    Rules,
    SignIn,
    UpstreamS3,
)
from undersky.services.store import Store
from undersky.services.transfer import Transfers


@pytest.mark.faults
class TestNothingLeadsElsewhere:
    @pytest.mark.parametrize(
        "href",
        [
            "file:///etc/passwd",
            "http://169.254.169.254/latest/meta-data/",
            "http://127.0.0.1:1/B02.jp2",
            "http://[::1]/B02.jp2",
            "http://2130706433/B02.jp2",
            "http://example.org/B02.jp2",
            "ftp://127.0.0.1/B02.jp2",
            "s3://other-bucket/B02.jp2",
            "gopher://x/",
            "",
        ],
    )
    def test_hrefs_outside_of_the_profile_are_refused_unasked(self, transfers: Transfers, href: str) -> None:
        refused(transfers, FileRef(name="B02.jp2", href=href), Reason.SOURCE_REFUSED)

    @pytest.mark.parametrize(
        "target",
        ["http://127.0.0.1:1/x", "file:///etc/passwd", "http://169.254.169.254/x", "//evil.example/x"],
    )
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_redirects_out_of_the_profile_are_refused(
        self, transfers: Transfers, upstream: Upstream, status: int, target: str
    ) -> None:
        upstream.serve("B02.jp2", BODY, statuses=[(status, {"Location": target})])
        refused(transfers, ref(upstream), Reason.SOURCE_REFUSED)

    def test_redirects_within_the_profile_are_followed(
        self, transfers: Transfers, upstream: Upstream
    ) -> None:
        upstream.serve("B02.jp2", b"", statuses=[(302, {"Location": "/mirror/B02.jp2"})])
        upstream.serve("mirror/B02.jp2", BODY)
        transfers.fetch(ref(upstream, **told()), KEY)
        assert transfers.store.get(KEY) == BODY

    def test_redirects_in_a_circle_end(self, transfers: Transfers, upstream: Upstream) -> None:
        here = (302, {"Location": "/B02.jp2"})
        upstream.serve("B02.jp2", BODY, statuses=[here] * 50)
        assert "redirects more than" in refused(transfers, ref(upstream), Reason.SOURCE_REFUSED)

    def test_a_name_that_resolves_into_a_private_network_is_refused_unasked(
        self, store: Store, upstream: Upstream, tmp_path: Path
    ) -> None:
        port = upstream.host.partition(":")[2]
        served = upstream.serve("B02.jp2", BODY)
        wanted = FileRef(name="B02.jp2", href=f"http://localhost:{port}/B02.jp2")
        with Transfers(store, access_to(f"localhost:{port}"), tmp_path) as transfers:
            assert "private network" in refused(transfers, wanted, Reason.SOURCE_REFUSED)
        assert served.asked == []
        with Transfers(store, access_to(f"localhost:{port}", private=True), tmp_path) as transfers:
            assert transfers.fetch(wanted, KEY).moved == len(BODY)

    def test_a_name_that_resolves_differently_when_connected_is_refused_before_a_byte_is_kept(
        self, store: Store, upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        port = upstream.host.partition(":")[2]
        upstream.serve("B02.jp2", BODY)
        wanted = FileRef(name="B02.jp2", href=f"http://localhost:{port}/B02.jp2")
        with Transfers(store, access_to(f"localhost:{port}"), tmp_path) as transfers:
            monkeypatch.setattr(transfers._sources, "_check_addresses", lambda _: None)
            assert "127.0.0.1" in refused(transfers, wanted, Reason.SOURCE_REFUSED)

    def test_a_signature_in_the_address_is_in_no_message(
        self, transfers: Transfers, upstream: Upstream
    ) -> None:
        wanted = ref(upstream, "B02.jp2?X-Amz-Signature=s3cret")
        assert "s3cret" not in refused(transfers, wanted, Reason.SOURCE_GONE)


class TestALogin:
    def signing(self, upstream: Upstream) -> Access:
        return Access(
            profile="test",
            rules=Rules(schemes=("http",), hosts=(upstream.host,)),
            authentication=Authentication(
                kind=SignIn.USGS_ERS, credentials="usgs", url="https://login.example.org/login"
            ),
            s3=UpstreamS3(),
            credential=Credential("somebody", "s3cret"),
            transfers=2,
            optional=(),
        )

    def test_page_that_comes_back_by_redirect_is_the_operators_to_cure(
        self, store: Store, upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("undersky.services.doors.ErsLogin._sign_in", lambda _: None)
        away = (302, {"Location": "https://login.example.org/login?next=x"})
        upstream.serve("B02.jp2", BODY, statuses=[away, away])
        with (
            Transfers(store, self.signing(upstream), tmp_path) as transfers,
            pytest.raises(ConfigError, match='check entry "usgs" of UNDERSKY_CREDENTIALS') as caught,
        ):
            transfers.fetch(ref(upstream), KEY)
        assert "s3cret" not in str(caught.value)


class TestFromS3:
    @pytest.fixture
    def archive(self, store: Store) -> Access:  # noqa: ARG002  the bucket is made in its cloud
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="archive")
        client.put_object(Bucket="archive", Key="tiles/B02.jp2", Body=BODY)
        return Access(
            profile="s3",
            rules=Rules(schemes=("s3",), buckets=("archive",)),
            authentication=Authentication(kind=SignIn.S3_KEYS),
            s3=UpstreamS3(region="us-east-1", requester_pays=True),
            credential=Credential("key", "secret"),
            transfers=2,
            optional=(),
        )

    def wanted(self, key: str = "tiles/B02.jp2", **known: object) -> FileRef:
        return FileRef(name="B02.jp2", href=f"s3://archive/{key}", **known)  # type: ignore[arg-type]

    def test_a_file_arrives_and_every_request_says_who_pays(
        self, store: Store, archive: Access, tmp_path: Path
    ) -> None:
        asked: list[str | None] = []
        with Transfers(store, archive, tmp_path) as transfers:
            bucket = transfers._sources._bucket
            assert bucket is not None
            bucket.client.meta.events.register(
                "before-send.s3.*", lambda request, **_: asked.append(request.headers["x-amz-request-payer"])
            )
            transfers.fetch(self.wanted(**told()), KEY)
        assert store.get(KEY) == BODY
        assert {str(payer.decode() if isinstance(payer, bytes) else payer) for payer in asked} <= {
            "requester"
        }

    def test_it_goes_on_where_it_was_cut_and_begins_anew_when_changed(
        self, store: Store, archive: Access, tmp_path: Path
    ) -> None:
        etag = f'"{hashlib.md5(BODY).hexdigest()}"'
        for validator, moved in ((etag, 1_000_000), ('"another"', len(BODY))):
            store.delete(KEY)
            with Transfers(store, archive, tmp_path, tries=2, pause_s=0.001) as transfers:
                from undersky.services.transfer.partial import partial

                with partial(tmp_path, KEY, href=self.wanted().href, checksum=None) as begun:
                    begun.begins(validator=validator, size=len(BODY))
                    begun.write(BODY[:2_000_000])
                got = transfers.fetch(self.wanted(), KEY)
            assert store.get(KEY) == BODY
            assert got.moved >= moved

    def test_what_is_not_there_is_gone_and_another_bucket_is_refused(
        self, store: Store, archive: Access, tmp_path: Path
    ) -> None:
        with Transfers(store, archive, tmp_path) as transfers:
            refused(transfers, self.wanted("tiles/none"), Reason.SOURCE_GONE)
            elsewhere = FileRef(name="B02.jp2", href="s3://undersky-tests/x")
            refused(transfers, elsewhere, Reason.SOURCE_REFUSED)
