"""The light steps of the model flow: the order that is laid down, and the version that comes of it."""

import json

import pytest

from fixtures_registry import a_judgement, a_verdict
from fixtures_shelf import Shelf, a_package, a_version, put_candidate
from undersky.errors import ConfigError, DataError, Reason, UnderskyError
from undersky.flow.promote import promote
from undersky.flow.release import Asked, begin, read_evaluated, read_order, register
from undersky.judgement import GateOutcome
from undersky.refs import Begin, EvaluatedRef, PackageRef, ReleaseSet
from undersky.services.ledger import Actor

ADA = Actor("ada")
RUN = "model_release.7"
HREF = f"s3://undersky-tests/releases/{RUN}/order.json"


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
def ask(shelf, ledger, store):
    """The order of a run, laid down and read."""

    def ask(**wanted):
        asked = Asked(**({"run": RUN, "by": "ada"} | wanted))
        return read_order(store, begin(shelf, ledger, store, asked))

    return ask


def evaluated(store, candidate, *, mlflow_run="r-1", **judged):
    """What the heavy stages leave of that candidate."""
    known = {"package": candidate.digest, "label": candidate.version}
    judgement = a_judgement("correction", **(known | judged))
    folder = f"releases/{RUN}"
    store.put_json(f"{folder}/judgement.json", judgement)
    store.put(f"{folder}/report.html", b"<html>on the map</html>")
    href = store.href(f"candidates/correction/{candidate.digest}")
    found = EvaluatedRef(
        package=PackageRef(name="correction", label=candidate.version, digest=candidate.digest, href=href),
        judgement=f"{folder}/judgement.json", outcome=judgement.outcome, sentence=judgement.sentence,
        page=store.href(f"{folder}/report.html"), slices=f"{folder}/slices.csv", mlflow_run=mlflow_run,
        seconds=1.0,
    )  # fmt: skip
    store.put_json(f"{folder}/evaluate.json", found)
    return judgement


@pytest.fixture
def candidate(store, tmp_path):
    return put_candidate(store, tmp_path, "network-2")


@pytest.fixture
def add(shelf, store, ask, candidate):
    """Registers the candidate, evaluated so."""

    def add(**judged):
        ask(begin=Begin.EVALUATE, weights=candidate.digest)
        evaluated(store, candidate, **judged)
        return register(shelf, store, HREF)

    return add


def test_an_order_says_what_is_made_and_what_it_is_held_against(shelf, ledger, store, ask, tmp_path):
    champion = promote(shelf, ledger, store, a_version(shelf, tmp_path, "network-1"), by=ADA)
    order = ask(suites=("direct-6s",), scenes=40)
    assert (order.begin, order.by, order.recipe, order.weights) == (Begin.DATASET, "ada", "default", None)
    assert (order.suites, order.scenes, order.version) == (("direct-6s",), 40, None)
    assert (order.champion, order.release) == (champion.model, champion.release.digest)


def test_the_release_set_of_that_moment_lies_beside_the_order(shelf, ledger, store, ask, tmp_path):
    first = promote(shelf, ledger, store, a_version(shelf, tmp_path, "network-1"), by=ADA)
    ask()
    promote(shelf, ledger, store, a_version(shelf, tmp_path, "network-3"), by=ADA)
    ask()  # a task that is cleared and run again pins nothing else
    pinned = ReleaseSet.from_json(store.get(f"releases/{RUN}/release.json"))
    assert pinned == first.release


def test_an_order_before_any_release_has_none_beside_it(store, ask):
    assert ask().champion is None
    assert store.find(f"releases/{RUN}/release.json") is None


def test_before_anything_was_released_there_is_nothing_to_hold_against(ask):
    order = ask()
    assert (order.champion, order.release) == (None, None)


def test_the_champion_is_brought_where_the_evaluation_reads_it(shelf, ledger, store, ask, tmp_path):
    promote(shelf, ledger, store, a_version(shelf, tmp_path, "network-1"), by=ADA)
    for stored in list(store.list("models/")):
        store.delete(stored.key)
    order = ask()
    assert store.find(f"{store.key(order.champion.href)}/package.json") is not None


def test_an_order_stays_whoever_is_champion_later(shelf, ledger, store, ask, tmp_path):
    promote(shelf, ledger, store, a_version(shelf, tmp_path, "network-1"), by=ADA)
    first = ask()
    promote(shelf, ledger, store, a_version(shelf, tmp_path, "network-2"), by=ADA)
    assert ask(recipe="another", begin=Begin.TRAIN) == first


@pytest.mark.parametrize("digits", [8, 12, 64])
def test_a_candidate_is_found_by_the_beginning_of_its_digest(ask, candidate, store, digits):
    order = ask(begin=Begin.EVALUATE, weights=candidate.digest[:digits])
    assert (order.weights.digest, order.weights.label) == (candidate.digest, "network-2")
    assert order.weights.href == store.href(f"candidates/correction/{candidate.digest}")


def test_a_candidate_is_found_by_its_address(ask, candidate, store):
    href = store.href(f"candidates/correction/{candidate.digest}")
    assert ask(begin=Begin.EVALUATE, weights=f"{href}/").weights.digest == candidate.digest


def test_a_candidate_whose_package_is_not_there_yet_is_none(ask, candidate, store):
    store.delete(f"candidates/correction/{candidate.digest}/package.json")
    with pytest.raises(ConfigError, match="0 candidates of correction"):
        ask(begin=Begin.EVALUATE, weights=candidate.digest)


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ({"begin": Begin.EVALUATE}, "needs `weights`"),
        ({"begin": Begin.EVALUATE, "weights": "0123456"}, "too short for a digest"),
        ({"begin": Begin.EVALUATE, "weights": "01234567"}, "0 candidates of correction"),
        ({"begin": Begin.REVIEW}, "begins with review needs `version`"),
        ({"begin": Begin.PROMOTE}, "begins with promote needs `version`"),
        ({"begin": Begin.PROMOTE, "version": "99"}, "no version 99 of correction"),
    ],
)
def test_an_order_that_lacks_what_it_needs_is_not_laid_down(ask, candidate, store, wanted, sentence):
    with pytest.raises(ConfigError, match=sentence):
        ask(**wanted)
    assert store.find(f"releases/{RUN}/order.json") is None


def test_two_candidates_that_begin_alike_are_not_mixed_up(ask, candidate, store):
    other = candidate.digest[:10] + "0" * 54
    store.put(f"candidates/correction/{other}/package.json", b"{}")
    with pytest.raises(ConfigError, match="2 candidates of correction"):
        ask(begin=Begin.EVALUATE, weights=candidate.digest[:8])


@pytest.mark.parametrize(
    ("outcome", "aliases"),
    [
        (GateOutcome.PASS, {"candidate": "1"}),
        (GateOutcome.TOO_LITTLE_EVIDENCE, {"candidate": "1"}),
        (GateOutcome.FAIL, {}),
    ],
)
def test_only_what_the_gate_refuses_is_no_candidate(shelf, add, outcome, aliases):
    done = add(outcome=outcome)
    assert (done.version.gate, done.version.verdict) == (outcome.value, "")
    assert shelf.aliases("correction") == aliases


def test_what_was_evaluated_is_a_version_with_all_that_is_said_of_it(shelf, store, add, candidate):
    done = add()
    assert (done.version.number, done.version.digest) == ("1", candidate.digest)
    assert shelf.read_judgement(done.version) == done.judgement
    assert done.judgement.candidate == candidate.digest
    files = shelf.files["correction", "1"]
    assert files["report.html"] == b"<html>on the map</html>"
    assert files["README.md"].startswith(b"# correction: network-2")
    assert done.page == shelf.page(done.version)
    assert done.report == store.href(f"releases/{RUN}/report.html")


def test_registering_again_makes_no_second_version_and_no_candidate_of_an_answered_one(
    shelf, ledger, store, add, candidate
):
    version = add().version
    assert register(shelf, store, HREF).version.number == version.number
    shelf.write_verdict(version, a_verdict("correction", candidate.digest, "network-2"))
    promote(shelf, ledger, store, shelf.version("correction", "1"), by=ADA)
    register(shelf, store, HREF)
    assert shelf.aliases("correction") == {"champion": "1"}


def test_a_candidate_that_is_not_what_was_evaluated_is_refused(shelf, add):
    with pytest.raises(DataError, match="is not what was evaluated") as caught:
        add(package="ab" * 32)
    assert caught.value.reason is Reason.MODEL_REFUSED
    assert shelf.versions("correction") == ()


@pytest.mark.parametrize("name", ["package.json", "weights.safetensors"])
def test_a_candidate_that_was_changed_after_its_evaluation_is_refused(shelf, store, ask, candidate, name):
    ask(begin=Begin.EVALUATE, weights=candidate.digest)
    evaluated(store, candidate)
    key = f"candidates/correction/{candidate.digest}/{name}"
    store.put(key, store.get(key) + b" ")
    with pytest.raises(DataError, match="is not what was evaluated"):
        register(shelf, store, HREF)
    assert shelf.versions("correction") == ()


def test_weights_that_no_run_trained_are_registered(add):
    assert add(mlflow_run=None).version.number == "1"


def test_a_run_that_evaluated_nothing_registers_nothing(shelf, store, ask):
    ask()
    with pytest.raises(UnderskyError):
        register(shelf, store, HREF)
    with pytest.raises(UnderskyError):
        read_evaluated(store, HREF)
    assert shelf.versions("correction") == ()


def test_a_run_that_begins_with_the_review_finds_its_version(shelf, store, ask, tmp_path):
    version = a_version(shelf, tmp_path, "network-1", answer=None)
    ask(begin=Begin.REVIEW, version="1")
    done = register(shelf, store, HREF)
    assert (done.version.digest, done.report) == (version.digest, "")
    assert done.judgement.candidate == version.digest


def test_a_run_that_begins_with_the_promotion_needs_a_verdict(shelf, store, ask, tmp_path):
    a_version(shelf, tmp_path, "network-1", answer=None)
    ask(begin=Begin.PROMOTE, version="1")
    with pytest.raises(DataError, match="nobody has reviewed it"):
        register(shelf, store, HREF)


def test_the_card_tells_origin_and_figures(shelf, store, ask, tmp_path):
    package = a_package(
        tmp_path, "network-3", recipe={"name": "default"}, dataset_digest="cd" * 32, upstream={"dem": "1"}
    )
    for name in ("package.json", "weights.safetensors"):
        store.put_file(f"candidates/correction/{package.digest}/{name}", tmp_path / "network-3" / name)
    ask(begin=Begin.EVALUATE, weights=package.digest)
    evaluated(store, package)
    register(shelf, store, HREF)
    card = shelf.files["correction", "1"]["README.md"].decode()
    assert "recipe `default`" in card
    assert f"- dataset_digest: `{'cd' * 32}`" in card
    assert "- upstream models: dem `1`" in card
    assert "says **pass**:\nnowhere worse" in card
    assert "| direct-6s | rmse | 0.01 | 0.02 |" in card
    assert json.loads(shelf.files["correction", "1"]["package.json"])["version"] == "network-3"
