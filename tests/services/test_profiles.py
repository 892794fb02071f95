"""Profiles are read strictly, and the shipped ones say what the providers' documents say."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from undersky.errors import ConfigError
from undersky.services.access import Credential, SignIn
from undersky.services.profiles import FileRule, Profile, load_profiles, read_profile

SHIPPED = load_profiles()
TEXT = """
name: mine
title: Mine
stac: https://stac.example/v1
collections:
  sentinel-2-l1c:
    collection: s2-l1c
    megabytes: 500
    files:
      - {name: "{scene}.zip", asset: Product}
rules: {schemes: [https], hosts: [files.example]}
"""

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str = TEXT, name: str = "mine") -> Path:
        path = tmp_path / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


class TestReading:
    def test_a_small_profile_has_sensible_defaults(self, write: Write) -> None:
        profile = read_profile(write())
        assert profile.product("sentinel-2-l1c").collection == "s2-l1c"
        assert profile.authentication.kind is SignIn.NONE
        assert profile.page_items > 0
        assert profile.access({}).transfers == profile.transfers

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("title: Mine", "titel: Mine", "titel"),
            ("title: Mine", "title: Mine\nname: mine", "name twice"),
            ("megabytes: 500", "megabyte: 500", "megabyte"),
            ("asset: Product", "asset: Product, href: x", "needs an asset"),
            ("asset: Product", "path: x", "needs an asset"),
            ('"{scene}.zip"', '"{nonsense}.zip"', "nonsense"),
            ('"{scene}.zip"', '"{each}.zip"', "each"),
            ("sentinel-2-l1c:", "sentinel-1:", "sentinel-1"),
            ("https://stac.example/v1", "ftp://stac.example", "no address of a STAC API"),
            ("hosts: [files.example]", "hosts: []", "hosts is empty"),
            ("schemes: [https]", "schemes: [gopher]", "gopher"),
            ("title: Mine", "title: Mine\npage_items: 0", "page_items must be positive"),
            ("title: Mine", "title: Mine\nmethod: PUT", "POST or GET"),
            ("title: Mine", "title: Mine\nauthentication: {kind: magic}", "authentication.kind"),
            ("title: Mine", "title: Mine\nauthentication: {kind: usgs_ers}", "needs credentials"),
            ("title: Mine", "title: Mine\nquota: {scenes_a_day: 3}", "scenes_a_day"),
            ("name: mine", "name: Mine!", "lower case"),
        ],
    )
    def test_what_is_wrong_is_named_with_its_place(self, write: Write, old: str, new: str, said: str) -> None:
        path = write(TEXT.replace(old, new))
        with pytest.raises(ConfigError) as caught:
            read_profile(path)
        assert str(path) in str(caught.value)
        assert said in str(caught.value)

    @pytest.mark.parametrize("text", ["", "[]", "a: b: c", "!!python/object/apply:os.system ['true']"])
    def test_what_is_no_profile_is_refused(self, write: Write, text: str) -> None:
        with pytest.raises(ConfigError):
            read_profile(write(text))

    def test_a_profile_under_another_name_is_refused(self, write: Write) -> None:
        with pytest.raises(ConfigError, match=r"call the file mine\.yaml"):
            read_profile(write(name="yours"))

    def test_a_folder_adds_and_replaces_profiles(self, write: Write, tmp_path: Path) -> None:
        write()
        write(TEXT.replace("name: mine", "name: earth-search"), "earth-search")
        found = load_profiles(tmp_path)
        assert set(found) == {*SHIPPED, "mine"}
        assert found["earth-search"].stac == "https://stac.example/v1"

    def test_a_folder_that_is_not_there_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="UNDERSKY_PROFILES"):
            load_profiles(tmp_path / "nowhere")

    def test_an_unknown_collection_names_those_there_are(self, write: Write) -> None:
        with pytest.raises(ConfigError, match="it has sentinel-2-l1c"):
            read_profile(write()).product("landsat-c2-l1")


class TestShipped:
    def test_there_are_the_three_providers(self) -> None:
        assert set(SHIPPED) == {"copernicus-dataspace", "earth-search", "usgs-landsatlook"}

    @pytest.mark.parametrize("profile", SHIPPED.values(), ids=lambda profile: profile.name)
    def test_nothing_is_fetched_without_encryption(self, profile: Profile) -> None:
        assert set(profile.rules.schemes) <= {"https", "s3"}
        assert profile.stac.startswith("https://")
        assert not profile.rules.private

    def test_copernicus_needs_a_login_until_it_has_one(self) -> None:
        profile = SHIPPED["copernicus-dataspace"]
        assert profile.needs_login({}) == "cdse"
        assert profile.needs_login({"cdse": Credential("me", "hush")}) is None
        assert profile.access({"cdse": Credential("me", "hush")}).credential == Credential("me", "hush")

    @pytest.mark.parametrize("name", ["earth-search", "usgs-landsatlook"])
    def test_buckets_of_aws_are_paid_by_us_and_need_no_login_of_ours(self, name: str) -> None:
        profile = SHIPPED[name]
        assert profile.s3.requester_pays
        assert profile.s3.region
        assert profile.needs_login({}) is None

    def test_the_overlap_lies_within_the_fresh_days(self) -> None:
        for profile in SHIPPED.values():
            assert profile.overlap_hours < 24 * profile.fresh_days

    def test_the_files_of_a_tile_are_what_the_reader_of_tile_folders_asks_for(self) -> None:
        rules = SHIPPED["earth-search"].product("sentinel-2-l1c").files
        names = {rule.name for rule in rules}
        assert {"metadata.xml", "MTD_MSIL1C.xml", "tileInfo.json", "B8A.jp2", "B10.jp2"} <= names
        assert "qi/MSK_CLASSI_B00.jp2" in names

    def test_the_played_profiles_are_the_same_but_for_place_and_pace(self) -> None:
        folder = Path(__file__).parents[2] / "docker" / "archive" / "profiles"
        for name, profile in SHIPPED.items():
            raw = yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8"))
            assert raw["name"] == name
            for ours, product in profile.collections.items():
                played = raw["collections"][ours]
                assert played["collection"] == product.collection
                assert [rule["name"] for rule in played["files"]] == [rule.name for rule in product.files]


class TestFileRules:
    def test_baselines_decide_which_masks_there_are(self) -> None:
        late = FileRule("a", asset="x", from_baseline="04.00")
        early = FileRule("a", asset="x", before_baseline="04.00")
        assert [late.is_of(baseline) for baseline in ("02.09", "04.00", "05.11", None)] == [
            False,
            True,
            True,
            True,
        ]
        assert [early.is_of(baseline) for baseline in ("02.09", "04.00", None)] == [True, False, True]
