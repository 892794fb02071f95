"""The way of a model through the real registry: bootstrap, candidate, answer, promotion, rollback."""

from datetime import UTC, datetime

import pytest

from fixtures_registry import a_judgement, a_verdict
from undersky.errors import DataError
from undersky.flow.bootstrap import FirstJudged, bootstrap
from undersky.flow.pin import pin
from undersky.flow.promote import promote
from undersky.flow.release import Asked, begin, register
from undersky.flow.review import Answer, read_answer, record_answer
from undersky.flow.rollback import rollback
from undersky.judgement import GateOutcome
from undersky.models.package import load_package, shipped
from undersky.refs import Begin, EvaluatedRef, PackageRef
from undersky.services.ledger import Actor

ADA = Actor("ada")
PHYSICS, LEARNED = (load_package(shipped(name)) for name in ("physics", "learned"))
RUN = "model_release.7"


@pytest.fixture
def release(registry):
    """The registry as the account that releases; no model is registered."""
    registry.forget("correction")
    return registry()


def first():
    said = a_verdict("correction", PHYSICS.digest, PHYSICS.version)
    return FirstJudged(shipped("physics"), said, "| it did well |")


def submit(store):
    """The learned model among the candidates."""
    for name in ("weights.safetensors", "package.json"):
        store.put_file(f"candidates/correction/{LEARNED.digest}/{name}", shipped("learned") / name)


def evaluate(store, run_id, outcome):
    """What the heavy stages leave of it."""
    champion = {"champion": PHYSICS.digest, "champion_label": PHYSICS.version}
    judgement = a_judgement("correction", LEARNED.digest, LEARNED.version, outcome=outcome, **champion)
    folder = f"releases/{RUN}"
    store.put_json(f"{folder}/judgement.json", judgement)
    store.put(f"{folder}/report.html", b"<html>on the map</html>")
    href = store.href(f"candidates/correction/{LEARNED.digest}")
    package = PackageRef(name="correction", label=LEARNED.version, digest=LEARNED.digest, href=href)
    found = EvaluatedRef(
        package=package, judgement=f"{folder}/judgement.json", outcome=outcome, sentence="", seconds=1.0,
        page=store.href(f"{folder}/report.html"), slices=f"{folder}/slices.csv", mlflow_run=run_id,
    )  # fmt: skip
    store.put_json(f"{folder}/evaluate.json", found)
    return judgement


def a_run(release):
    experiment = release.client.create_experiment(f"trainings-{datetime.now(UTC):%H%M%S%f}")
    return release.client.create_run(experiment).info.run_id


def test_a_model_goes_from_bootstrap_to_promotion_and_back(release, registry, ledger, store):
    booted = bootstrap(release, ledger, store, "correction", judge=first, by=ADA)
    assert (booted.changed, booted.champion.version) == (True, "1")
    reader = registry(registry.server.reader)
    assert reader.champion("correction").digest == PHYSICS.digest
    release = registry()

    submit(store)
    asked = Asked(RUN, "ada", begin=Begin.EVALUATE, weights=LEARNED.digest[:12])
    order = begin(release, ledger, store, asked)
    run_id = a_run(release)
    judgement = evaluate(store, run_id, GateOutcome.TOO_LITTLE_EVIDENCE)
    version = register(release, store, order).version
    assert register(release, store, order).version.number == version.number == "2"
    assert release.aliases("correction") == {"champion": "1", "candidate": "2"}
    assert release.read_judgement(version) == judgement

    with pytest.raises(DataError, match="nobody has reviewed it"):
        promote(release, ledger, store, version, by=ADA)
    release.client.set_model_version_tag("correction", "2", "review", "approve by bob: sharper over towns")
    version = release.version("correction", "2")
    said = read_answer(release.requested_answer(version))
    verdict = record_answer(release, ledger, version, said)
    late = Answer("rejected", "eve", "halo along the coast", "command line", datetime.now(UTC))
    assert record_answer(release, ledger, version, late) == verdict
    assert (verdict.by, verdict.via, verdict.judgement) == ("bob", "mlflow", judgement.digest)

    before = pin(ledger, store, run="run-1", open_registry=lambda: release)
    done = promote(release, ledger, store, release.version("correction", "2"), by=ADA)
    assert (done.changed, done.before.digest) == (True, PHYSICS.digest)
    assert release.aliases("correction") == {"champion": "2", "previous": "1"}
    assert not promote(release, ledger, store, release.version("correction", "2"), by=ADA).changed
    assert pin(ledger, store, run="run-1", open_registry=lambda: release) == before
    after = pin(ledger, store, run="run-2", open_registry=lambda: release)
    assert after.model("correction").digest == LEARNED.digest

    back = rollback(release, ledger, store, "correction", by=ADA, why="halo along the coast")
    assert (back.champion.digest, back.withdrawn.digest) == (PHYSICS.digest, LEARNED.digest)
    assert release.aliases("correction") == {"champion": "1"}
    assert release.version("correction", "2").withdrawn == "halo along the coast"
    assert pin(ledger, store, run="run-3", open_registry=lambda: release).digest == before.digest

    promote(release, ledger, store, release.version("correction", "2"), by=ADA, why="it was the tide")
    assert release.version("correction", "2").withdrawn == ""
    assert release.aliases("correction") == {"champion": "2", "previous": "1"}
