"""A person's answer in the real registry: written once, whole, and asked for in MLflow's own pages."""

import threading

import pytest

from fixtures_registry import a_judgement, a_verdict
from undersky.errors import ConfigError, ServiceError
from undersky.models.package import shipped

FOLDER = shipped("physics")


@pytest.fixture
def candidate(registry):
    return registry().register(FOLDER, judgement=a_judgement(registry.name))


def test_an_answer_stands_in_the_file_and_in_the_tags(registry, candidate, tmp_path):
    release = registry()
    said = a_verdict(registry.name, answer="rejected", why="worse over snow", via="airflow", by="ann")
    version = release.write_verdict(candidate, said)
    assert (version.verdict, version.answer) == (said.digest, "rejected")
    assert {name: value for name, value in version.tags.items() if name not in candidate.tags} == {
        "undersky.verdict": said.digest, "undersky.answer": "rejected", "undersky.answered_by": "ann",
        "undersky.answered_at": "2026-01-01T00:00:00+00:00", "undersky.why": "worse over snow",
        "undersky.via": "airflow", "undersky.suites": said.dataset,
    }  # fmt: skip
    reader = registry(registry.server.reader)
    assert reader.read_verdict(reader.version(registry.name, version.number)) == said
    reader.download(version, tmp_path)
    assert (tmp_path / "verdict.json").read_text() == said.to_json()


def test_the_first_answer_stands(registry, candidate):
    release = registry()
    first = a_verdict(registry.name, why="sharper", by="ann")
    release.write_verdict(candidate, first)
    later = release.write_verdict(candidate, a_verdict(registry.name, answer="rejected", why="no", by="bob"))
    assert (later.answer, later.verdict) == ("approved", first.digest)
    assert release.read_verdict(later) == first


@pytest.mark.faults
def test_of_two_that_answer_at_once_one_stands_whole(registry, candidate):
    release = registry()
    said = [
        a_verdict(registry.name, answer=answer, why=by, by=by)
        for answer, by in (("approved", "ann"), ("rejected", "bob"), ("approved", "eve"))
    ]
    threads = [threading.Thread(target=release.write_verdict, args=(candidate, verdict)) for verdict in said]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    version = release.version(registry.name, candidate.number)
    stands = release.read_verdict(version)
    assert stands in said
    tags = [version.tags[f"undersky.{name}"] for name in ("answer", "answered_by", "why")]
    assert tags == [stands.answer, stands.by, stands.why]


@pytest.mark.faults
def test_a_tag_that_another_writes_in_the_same_moment_is_written_again(registry, candidate, monkeypatch):
    from mlflow.exceptions import RestException

    release, said = registry(), a_verdict(registry.name, why="sharper")
    write, told = release.client.set_model_version_tag, []

    def collide(name, number, tag, value):
        told.append(tag)
        if told.count(tag) > 1:
            return write(name, number, tag, value)
        write(name, number, tag, "another's")
        raise RestException({"error_code": "BAD_REQUEST", "message": "UNIQUE constraint failed"})

    monkeypatch.setattr(release.client, "set_model_version_tag", collide)
    version = release.write_verdict(candidate, said)
    assert (version.verdict, version.answer, version.tags["undersky.why"]) == (
        said.digest,
        said.answer,
        said.why,
    )


@pytest.mark.faults
def test_a_tag_that_the_server_refuses_is_an_error(registry, candidate, monkeypatch):
    from mlflow.exceptions import RestException

    def refuse(*_):
        raise RestException({"error_code": "BAD_REQUEST", "message": "disk full"})

    release = registry()
    monkeypatch.setattr(release.client, "set_model_version_tag", refuse)
    with pytest.raises(ServiceError, match="disk full"):
        release.write_verdict(candidate, a_verdict(registry.name))


def test_an_answer_that_was_cut_off_before_its_tag_is_given_again(registry, candidate):
    release = registry()
    release._files(candidate).write("verdict.json", b"{")
    said = a_verdict(registry.name)
    assert release.write_verdict(candidate, said).verdict == said.digest


def test_a_version_that_was_taken_back_says_why_and_keeps_its_answer(registry, candidate):
    release = registry()
    version = release.write_verdict(candidate, a_verdict(registry.name))
    release.withdraw(version, "stripes over water")
    now = release.version(registry.name, version.number)
    assert (now.withdrawn, now.answer, now.verdict) == ("stripes over water", "approved", version.verdict)
    assert (version.withdrawn, version.said) == ("", f"version 1 of {registry.name}")


def test_an_answer_to_another_package_is_refused(registry, candidate):
    with pytest.raises(ConfigError, match="answer the version that was looked at"):
        registry().write_verdict(candidate, a_verdict(registry.name, package="ff" * 32))


def test_a_wish_that_cannot_be_met_is_answered_where_it_was_said(registry, candidate):
    release = registry()
    assert release.requested_answer(candidate) is None
    release.client.set_model_version_tag(registry.name, candidate.number, "review", "approve: sharper")
    version = release.version(registry.name, candidate.number)
    assert release.requested_answer(version) == "approve: sharper"
    release.complain(version, "the gate failed: give a reason")
    version = release.version(registry.name, candidate.number)
    assert release.requested_answer(version) is None
    assert version.tags["review.problem"] == "the gate failed: give a reason"
