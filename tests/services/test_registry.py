import threading
from dataclasses import replace

import pytest

from fixtures_registry import a_verdict
from undersky.errors import ConfigError, ServiceError
from undersky.models.package import shipped
from undersky.services.accounts import Account, ensure_account
from undersky.services.registry import CHAMPION, PACKAGE_FILES, VERDICT_FILE, Registry, Verdict, ping

FOLDER = shipped("physics")


def test_a_registered_package_comes_back_byte_for_byte(registry, tmp_path):
    release = registry()
    said = a_verdict(registry.name)
    version = release.register(FOLDER, said, report="# how it did")
    assert (version.number, version.label, version.digest) == ("1", "physics-1", said.package)
    assert (version.verdict, version.tags["undersky.suites"]) == (said.digest, said.dataset)
    assert (version.answer, version.tags["undersky.answered_by"]) == ("approved", "test")
    registry(registry.server.reader).download(version, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*PACKAGE_FILES, VERDICT_FILE}
    for name in PACKAGE_FILES:
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes()
    assert Verdict.from_json((tmp_path / VERDICT_FILE).read_bytes()) == said


def test_nobody_is_champion_until_somebody_is_chosen(registry):
    release = registry()
    assert release.champion(registry.name) is None
    version = release.register(FOLDER, a_verdict(registry.name))
    assert release.champion(registry.name) is None
    release.set_alias(version, CHAMPION)
    assert release.champion(registry.name).number == version.number
    assert release.champion(registry.name).aliases == (CHAMPION,)
    assert release.aliased(registry.name, "candidate") is None


def test_aliases_move_and_go(registry):
    release = registry()
    first = release.register(FOLDER, a_verdict(registry.name))
    second = release.register(FOLDER, a_verdict(registry.name, package="ef" * 32))
    release.set_alias(first, CHAMPION)
    release.set_alias(second, "candidate")
    assert release.aliases(registry.name) == {CHAMPION: "1", "candidate": "2"}
    assert [version.aliases for version in release.versions(registry.name)] == [(CHAMPION,), ("candidate",)]
    release.set_alias(second, CHAMPION)
    release.remove_alias(registry.name, "candidate")
    release.remove_alias(registry.name, "never-set")
    assert release.aliases(registry.name) == {CHAMPION: "2"}


def test_registering_an_equal_package_again_makes_no_second_version(registry):
    release = registry()
    first = release.register(FOLDER, a_verdict(registry.name))
    assert release.register(FOLDER, a_verdict(registry.name)) == first
    other = release.register(FOLDER, a_verdict(registry.name, package="ef" * 32, label="network-1"))
    assert [v.number for v in release.versions(registry.name)] == [first.number, other.number]


def test_two_that_register_at_once_end_with_one_version(registry):
    release, found = registry(), []
    release.register(FOLDER, a_verdict(registry.name, package="00" * 32))
    threads = [
        threading.Thread(target=lambda: found.append(release.register(FOLDER, a_verdict(registry.name))))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (left,) = [v for v in release.versions(registry.name) if v.digest == "ab" * 32]
    assert {version.number for version in found} == {left.number}


def test_the_reader_reads_and_may_change_nothing(registry):
    release = registry()
    version = release.register(FOLDER, a_verdict(registry.name))
    reader = registry(registry.server.reader)
    assert reader.version(registry.name, "1").digest == version.digest
    with pytest.raises(ConfigError, match="MLFLOW_TRACKING_USERNAME"):
        reader.set_alias(version, CHAMPION)
    with pytest.raises(ConfigError, match="PERMISSION_DENIED"):
        reader.register(FOLDER, a_verdict(registry.name, package="12" * 32))
    assert reader.champion(registry.name) is None


def test_the_reader_hears_of_a_model_that_is_not_there_that_it_is_not_there(registry):
    reader = registry(registry.server.reader)
    assert reader.champion("nobody-made-it") is None
    assert reader.versions("nobody-made-it") == ()
    assert reader.aliases("nobody-made-it") == {}


def test_a_wrong_password_is_the_operators_to_cure(registry):
    wrong = registry(Account("reader", "not-the-password"))
    with pytest.raises(ConfigError, match="UNAUTHENTICATED"):
        wrong.champion(registry.name)


def test_a_version_of_foreign_origin_is_not_downloaded(registry, tmp_path):
    release = registry()
    version = release.register(FOLDER, a_verdict(registry.name))
    with pytest.raises(ConfigError, match="model bootstrap"):
        release.download(replace(version, source="s3://elsewhere/model"), tmp_path)


def test_a_version_that_is_not_there_is_said_so(registry):
    release = registry()
    release.register(FOLDER, a_verdict(registry.name))
    with pytest.raises(ConfigError, match="version 99"):
        release.version(registry.name, "99")


def test_a_registry_that_is_away_is_a_service_error_at_once():
    with pytest.raises(ServiceError, match="is MLflow up"):
        Registry.open("http://127.0.0.1:9")
    with pytest.raises(ConfigError, match="no http address"):
        ping("sqlite:///mlflow.db")


@pytest.mark.parametrize("name", ["a' or name like '%", "", "a b"])
def test_a_name_that_is_none_reaches_no_query(registry, name):
    with pytest.raises(ConfigError, match="no name of a model"):
        registry().champion(name)


def test_accounts_are_made_once_and_take_a_new_password(registry):
    server = registry.server
    for password in ("the-first-password", "the-second-password"):
        ensure_account(server.uri, Account("changing", password), admin=server.admin)
    assert registry(Account("changing", "the-second-password")).champion(registry.name) is None
    with pytest.raises(ConfigError, match="UNAUTHENTICATED"):
        registry(Account("changing", "the-first-password")).champion(registry.name)


def test_who_opens_last_is_who_acts(registry):
    registry().register(FOLDER, a_verdict(registry.name))
    version = registry(registry.server.reader).version(registry.name, "1")
    with pytest.raises(ConfigError, match="PERMISSION_DENIED"):
        Registry.open(registry.server.uri).set_alias(version, CHAMPION)
    Registry.open(registry.server.uri, registry.server.release).set_alias(version, CHAMPION)
    assert Registry.open(registry.server.uri).champion(registry.name) is not None


def test_only_the_administrator_makes_accounts(registry):
    server = registry.server
    for nobody in (server.reader, Account("admin", "not-the-password")):
        with pytest.raises(ConfigError, match="may not make accounts"):
            ensure_account(server.uri, Account("intruder", "a-long-password"), admin=nobody)
    with pytest.raises(ServiceError, match="does not answer"):
        ensure_account("http://127.0.0.1:9", Account("x", "a-long-password"), admin=server.admin)


def test_a_password_that_is_refused_is_said_without_repeating_it(registry):
    with pytest.raises(ConfigError, match="does not take the account") as caught:
        ensure_account(registry.server.uri, Account("short", "tiny"), admin=registry.server.admin)
    assert "tiny" not in str(caught.value)
    assert "tiny" not in repr(Account("short", "tiny"))


def test_people_find_the_page_of_a_version(registry):
    release = registry()
    version = release.register(FOLDER, a_verdict(registry.name))
    assert release.page(version) == f"{registry.server.uri}/#/models/{registry.name}/versions/1"
