import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from undersky.datasets.suites import load_suite
from undersky.errors import ConfigError, DataError
from undersky.models.package import load_package, shipped
from undersky.services.registry import CHAMPION, Version
from undersky.stages.bootstrap import DECISION, BootstrapOptions, bootstrap, judge

OPTIONS = BootstrapOptions(by="test", limit=2, clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
PACKAGE = load_package(shipped("learned"))


class Shelf:
    """Stands for the registry: versions in a list, aliases in a dict."""

    def __init__(self):
        self.kept, self.aliases, self.lock, self.registered = [], {}, threading.Lock(), 0

    def champion(self, _name):
        number = self.aliases.get(CHAMPION)
        return next((v for v in self.kept if v.number == number), None)

    def register(self, _folder, verdict, *, report=""):
        with self.lock:
            self.registered += 1
            self.report = report
            for version in self.kept:
                if version.digest == verdict.package:
                    return version
            version = Version(
                name=verdict.name, number=str(len(self.kept) + 1), label=verdict.label,
                digest=verdict.package, verdict=verdict.digest, source="models:/m-1",
            )  # fmt: skip
            self.kept.append(version)
            return version

    def set_alias(self, version, alias):
        self.aliases[alias] = version.number

    def page(self, version):
        return f"http://registry/{version.number}"


def test_the_shipped_model_becomes_champion_where_there_is_none():
    shelf = Shelf()
    done = bootstrap(shelf, OPTIONS)
    assert (done.changed, done.champion.digest, done.page) == (True, PACKAGE.digest, "http://registry/1")
    assert shelf.champion("correction").label == PACKAGE.version
    assert PACKAGE.version in shelf.report


def test_the_verdict_says_who_when_what_and_on_which_evidence():
    done = bootstrap(Shelf(), OPTIONS)
    said = done.verdict
    assert (said.by, said.decision, said.at.year) == ("test", DECISION, 2026)
    assert (said.package, said.scenes) == (PACKAGE.digest, {"direct-6s": 2})
    assert len(said.suites["direct-6s"]) == 64
    figures = said.metrics["direct-6s"]
    assert 0 < figures["in_spec_percent"] <= 100
    assert 0 < figures["rmse"] < 0.1


def test_a_second_bootstrap_says_so_and_changes_nothing():
    shelf = Shelf()
    bootstrap(shelf, OPTIONS)
    again = bootstrap(shelf, replace(OPTIONS, suite="no such suite: nothing is evaluated"))
    assert not again.changed
    assert "nothing was changed" in again.sentence
    assert shelf.registered == 1


def test_a_champion_of_somebody_else_stays():
    shelf = Shelf()
    other = Version("correction", "7", "network-1", "ab" * 32, "cd" * 32, "models:/m-7")
    shelf.kept.append(other)
    shelf.set_alias(other, CHAMPION)
    assert bootstrap(shelf, OPTIONS).champion == other
    assert shelf.champion("correction") == other


def test_a_champion_chosen_while_we_evaluated_stays():
    shelf = Shelf()
    other = Version("correction", "7", "network-1", "ab" * 32, "cd" * 32, "models:/m-7")

    def meanwhile(done, what):
        shelf.kept[:] = [other]
        shelf.set_alias(other, CHAMPION)

    done = bootstrap(shelf, replace(OPTIONS, progress=meanwhile))
    assert (done.changed, done.champion) == (False, other)


def test_one_that_died_between_version_and_alias_is_finished_by_the_next():
    shelf = Shelf()
    bootstrap(shelf, OPTIONS)
    shelf.aliases.clear()
    assert bootstrap(shelf, OPTIONS).changed
    assert len(shelf.kept) == 1


def test_fewer_scenes_are_spread_over_the_suite_and_stated():
    seen = []
    verdict, _ = judge(replace(OPTIONS, limit=3, progress=lambda done, what: seen.append((done, what))))
    assert verdict.scenes == {"direct-6s": 3}
    assert [what for _, what in seen] == ["direct-6s"] * 3
    assert seen[-1][0] == pytest.approx(1.0)


def test_a_limit_beyond_the_suite_is_the_whole_suite():
    from undersky.stages.bootstrap import _limited

    suite = load_suite("direct-6s")
    assert _limited(suite, 10_000) is suite
    spread = _limited(suite, 11).scenes
    assert len({scene.design.id for scene in spread}) == 11
    assert spread[-1] in suite.scenes[-len(suite.scenes) // 10 :]


@pytest.mark.parametrize("limit", [0, -3])
def test_a_limit_that_leaves_nothing_is_refused(limit):
    with pytest.raises(ConfigError, match="--limit"):
        bootstrap(Shelf(), replace(OPTIONS, limit=limit))


def test_an_unknown_suite_and_a_folder_that_is_no_package_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="no suite"):
        bootstrap(Shelf(), replace(OPTIONS, suite="unknown"))
    with pytest.raises(DataError, match="refused"):
        bootstrap(Shelf(), replace(OPTIONS, model=tmp_path))


def test_equal_runs_give_an_equal_verdict():
    assert judge(OPTIONS) == judge(OPTIONS)


def test_the_real_registry_has_one_champion_after_two_bootstraps_at_once(registry):
    registry.forget("correction")
    release, found = registry(), []
    threads = [threading.Thread(target=lambda: found.append(bootstrap(release, OPTIONS))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (version,) = release.versions("correction")
    assert version.aliases == (CHAMPION,)
    assert {done.champion.number for done in found} == {version.number}
    assert not bootstrap(release, OPTIONS).changed
