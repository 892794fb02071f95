"""A person's answer: the first one counts, a refusal needs a reason, so does an approval against the gate."""

import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from fixtures_shelf import Shelf, a_version
from undersky.errors import ConfigError
from undersky.flow.review import Answer, lacks, need_judgement, read_answer, record_answer
from undersky.judgement import GateOutcome

AT = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
YES = Answer(answer="approved", by="ada", why="sharper over towns", via="airflow", at=AT)
NO = Answer(answer="rejected", by="bob", why="halo along the coast", via="mlflow", at=AT)


@pytest.fixture
def shelf():
    return Shelf()


def test_an_answer_is_a_verdict_over_the_weights_and_the_judgement(shelf, ledger, tmp_path):
    version = a_version(shelf, tmp_path, "network-2", answer=None, downstream={"landcover": "ab" * 32})
    verdict = record_answer(shelf, ledger, version, YES)
    judgement = shelf.read_judgement(version)
    assert (verdict.package, verdict.judgement) == (version.digest, judgement.digest)
    assert (verdict.answer, verdict.by, verdict.why, verdict.via, verdict.at) == (
        "approved", "ada", "sharper over towns", "airflow", AT,
    )  # fmt: skip
    assert verdict.decision == "approved: sharper over towns"
    assert (verdict.gate, verdict.downstream) == (GateOutcome.PASS, {"landcover": "ab" * 32})
    assert (verdict.metrics, verdict.suites) == (judgement.metrics, judgement.suites)
    assert shelf.read_verdict(shelf.version("correction", "1")) == verdict


def test_the_first_answer_counts_wherever_it_was_given(shelf, ledger, tmp_path):
    version = a_version(shelf, tmp_path, "network-2", answer=None)
    first = record_answer(shelf, ledger, version, NO)
    assert record_answer(shelf, ledger, version, YES) == first
    assert shelf.version("correction", "1").answer == "rejected"


def test_an_answer_that_lacks_something_is_no_matter_once_there_is_one(shelf, ledger, tmp_path):
    version = a_version(shelf, tmp_path, "network-2", answer=None)
    first = record_answer(shelf, ledger, version, YES)
    assert record_answer(shelf, ledger, version, replace(NO, why="")) == first


def test_of_two_that_answer_in_the_same_moment_one_stands_and_both_hear_it(shelf, ledger, tmp_path):
    version = a_version(shelf, tmp_path, "network-2", answer=None)
    gate, heard = threading.Barrier(2), []

    def answer(said):
        gate.wait()
        heard.append(record_answer(shelf, ledger, version, said))

    threads = [threading.Thread(target=answer, args=(said,)) for said in (YES, NO)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard[0] == heard[1] == shelf.read_verdict(shelf.version("correction", "1"))


@pytest.mark.parametrize("why", ["", "   ", "no"])
def test_a_refusal_without_a_reason_is_not_accepted(shelf, ledger, tmp_path, why):
    version = a_version(shelf, tmp_path, "network-2", answer=None)
    with pytest.raises(ConfigError, match="a refusal needs a reason"):
        record_answer(shelf, ledger, version, replace(NO, why=why))
    assert shelf.version("correction", "1").verdict == ""


@pytest.mark.parametrize("outcome", [GateOutcome.FAIL, GateOutcome.TOO_LITTLE_EVIDENCE])
def test_an_approval_against_the_gate_needs_a_reason(shelf, ledger, tmp_path, outcome):
    version = a_version(shelf, tmp_path, "network-2", answer=None, outcome=outcome)
    said = outcome.replace("_", " ")
    with pytest.raises(ConfigError, match=f"the gate says {said}: an approval against it needs a reason"):
        record_answer(shelf, ledger, version, replace(YES, why=""))
    assert record_answer(shelf, ledger, version, YES).gate is outcome


def test_an_approval_that_the_gate_supports_needs_none(shelf, ledger, tmp_path):
    version = a_version(shelf, tmp_path, "network-2", answer=None)
    assert record_answer(shelf, ledger, version, replace(YES, why=" ")).decision == "approved"


def test_an_answer_needs_a_name(shelf, ledger, tmp_path):
    version = a_version(shelf, tmp_path, "network-2", answer=None)
    with pytest.raises(ConfigError, match="nobody's name stands on it"):
        record_answer(shelf, ledger, version, replace(YES, by=" "))
    assert lacks(YES, GateOutcome.PASS) is None


def test_what_was_never_evaluated_is_answered_by_nobody(shelf, ledger, tmp_path):
    version = a_version(shelf, tmp_path, "network-2", answer=None)
    shelf.tag(version, **{"undersky.judgement": ""})
    with pytest.raises(ConfigError, match="was not evaluated"):
        record_answer(shelf, ledger, shelf.version("correction", "1"), YES)


def test_a_judgement_of_another_package_is_none(shelf, tmp_path):
    version = a_version(shelf, tmp_path, "network-2", answer=None)
    assert need_judgement(shelf, version).candidate == version.digest
    with pytest.raises(ConfigError, match="was not evaluated"):
        need_judgement(shelf, replace(version, digest="ab" * 32))


@pytest.mark.parametrize(
    ("text", "answer", "by", "why"),
    [
        ("approve by ada: sharper over towns", "approved", "ada", "sharper over towns"),
        ("approved by ada", "approved", "ada", ""),
        (
            "Reject by Ada Lovelace: halo: along the coast",
            "rejected",
            "Ada Lovelace",
            "halo: along the coast",
        ),
        ("REJECTED BY bob :  worse\nover snow ", "rejected", "bob", "worse\nover snow"),
        ("  approve  by  ada  ", "approved", "ada", ""),
        ("approve by ada:", "approved", "ada", ""),
        ("approve", "approved", "", ""),
        ("approve: sharper", "approved", "", "sharper"),
        ("reject: halo along the coast", "rejected", "", "halo along the coast"),
        ("approve by ada@example.org: fine", "approved", "ada@example.org", "fine"),
    ],
)
def test_all_that_people_write_into_the_tag_is_understood(text, answer, by, why):
    found = read_answer(text, at=AT)
    assert (found.answer, found.by, found.why, found.via, found.at) == (answer, by, why, "mlflow", AT)


@pytest.mark.parametrize(
    "text",
    ["", "yes", "approve ada", "approve, sharper", "rejection by ada: x", "approve by: x", "do not approve"],
)
def test_what_says_neither_yes_nor_no_is_told_how_to_say_it(text):
    with pytest.raises(ConfigError, match="write `approve by NAME: WHY` or `reject by NAME: WHY`"):
        read_answer(text)
