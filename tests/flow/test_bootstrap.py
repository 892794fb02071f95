"""`model bootstrap`: the shipped model is released where none ever was; a second one changes nothing."""

import threading

import pytest

from fixtures_registry import a_verdict
from fixtures_shelf import Shelf, a_package, a_version
from undersky.errors import ServiceError
from undersky.flow.bootstrap import FirstJudged, bootstrap
from undersky.services.ledger import Actor

ADA = Actor("ada")


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
def first(tmp_path):
    """Judges a package, and counts how often."""
    package = a_package(tmp_path, "shipped-1")
    judged = []

    def judge():
        judged.append(package.digest)
        said = a_verdict("correction", package.digest, "shipped-1", decision="bootstrap: no champion existed")
        return FirstJudged(tmp_path / "shipped-1", said, "| it did well |")

    judge.judged = judged
    return judge


@pytest.fixture
def boot(shelf, ledger, store, first):
    return lambda: bootstrap(shelf, ledger, store, "correction", judge=first, by=ADA)


def test_the_shipped_model_is_released_where_none_ever_was(shelf, ledger, boot):
    done = boot()
    assert done.changed
    assert done.sentence == "shipped-1 is champion of correction now, version 1"
    assert done.verdict.by == "test"
    record = ledger.release()
    assert (record.kind, record.why) == ("bootstrap", "bootstrap: no champion existed")
    assert record.release.model("correction") == done.champion
    assert shelf.aliases("correction") == {"champion": "1"}
    assert shelf.files["correction", "1"]["report.md"] == b"| it did well |"


def test_a_second_one_says_so_and_judges_nothing(ledger, boot, first):
    boot()
    again = boot()
    assert (again.changed, again.verdict) == (False, None)
    assert again.sentence == "shipped-1 is champion of correction, version 1: nothing was changed"
    assert len(first.judged) == 1
    assert len(ledger.releases()) == 1


def test_a_champion_of_the_registry_is_released_instead(shelf, ledger, boot, first, tmp_path):
    version = a_version(shelf, tmp_path, "network-7")
    shelf.set_alias(version, "champion")
    done = boot()
    assert (done.champion.digest, done.changed, done.verdict) == (version.digest, True, None)
    assert first.judged == []


@pytest.mark.parametrize("broken", ["set_alias", "read_verdict", "download"])
def test_one_that_died_in_the_middle_is_finished_by_the_next(shelf, ledger, boot, monkeypatch, broken):
    def away(*_):
        raise ServiceError("the registry is away")

    with monkeypatch.context() as cut:
        cut.setattr(shelf, broken, away)
        with pytest.raises(ServiceError):
            boot()
    done = boot()
    assert len(shelf.versions("correction")) == len(ledger.releases()) == 1
    assert done.champion.version == "1"


def test_two_at_once_end_with_one_release(shelf, ledger, boot):
    gate, done = threading.Barrier(2), []

    def begin():
        gate.wait()
        done.append(boot())

    threads = [threading.Thread(target=begin) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {each.champion.digest for each in done} == {shelf.version("correction", "1").digest}
    assert len(shelf.versions("correction")) == len(ledger.releases()) == 1
