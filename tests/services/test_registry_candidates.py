"""A candidate in the real registry: what its version holds, and what is refused when it is fetched."""

import hashlib
import json

import pytest
import yaml

from fixtures_registry import a_judgement, a_verdict
from undersky.errors import ConfigError, DataError, Reason
from undersky.models.package import shipped
from undersky.services.registry import open_run

FOLDER = shipped("learned")
DIGEST = hashlib.sha256((FOLDER / "package.json").read_bytes()).hexdigest()
MADE = json.loads((FOLDER / "package.json").read_bytes())["provenance"]


def listed(registry, version):
    return dict(registry._files(version).names)


def put(registry, version, tmp_path, name, content=b"x"):
    """Somebody writes into the LoggedModel behind our back."""
    folder, _, file = name.rpartition("/")
    (tmp_path / file).write_bytes(content)
    model = version.source.removeprefix("models:/")
    registry.client.log_model_artifact(model, str(tmp_path / file), folder or None)


def test_a_candidate_holds_the_package_and_all_that_is_said_of_it(registry):
    release = registry()
    said = a_judgement(registry.name, DIGEST)
    version = release.register(
        FOLDER,
        judgement=said,
        report="# slices",
        files={"report.html": b"<p>"},
        card="# card",
        tags={"a": "b"},
    )
    assert set(listed(release, version)) == {
        "package/package.json", "package/weights.safetensors", "judgement.json", "MLmodel", "README.md",
        "report.md", "report.html",
    }  # fmt: skip
    assert version.tags == {
        "undersky.digest": DIGEST, "undersky.label": "network-2", "undersky.code_version": "0",
        "undersky.dataset": MADE["dataset_digest"], "undersky.recipe": MADE["recipe"]["name"],
        "undersky.gate": "pass", "undersky.gate_digest": said.gate, "undersky.judgement": said.digest,
        "a": "b",
    }  # fmt: skip
    assert (version.verdict, version.answer, version.gate) == ("", "", "pass")
    assert release.read_judgement(version) == said
    assert release.read_verdict(version) is None


def test_its_logged_model_compares_by_the_gates_figures(registry):
    release = registry()
    version = release.register(FOLDER, judgement=a_judgement(registry.name, DIGEST))
    model = release.client.get_logged_model(version.source.removeprefix("models:/"))
    assert model.status == "READY"
    assert model.params == {"recipe": MADE["recipe"]["name"], "code_version": "0"}
    assert {m.key: m.value for m in model.metrics} == {
        "direct-6s/rmse": 0.01,
        "direct-6s/in_spec_percent": 88.5,
    }
    page = yaml.safe_load(release._files(version).read("MLmodel"))
    assert (page["flavors"], page["model_id"]) == ({}, model.model_id)
    assert page["metadata"]["dataset_digest"] == MADE["dataset_digest"]


def test_it_is_linked_to_the_training_that_made_it(registry):
    trainer = registry(registry.server.trainer)
    with open_run(trainer, registry.name, name="t", params={}, tags={}, dataset=("d", "ab", "s3://d")) as run:
        run.finish({"loss": 0.1})
    release = registry()
    version = release.register(FOLDER, judgement=a_judgement(registry.name, DIGEST), run_id=run.id)
    assert release.client.get_model_version(registry.name, version.number).run_id == run.id
    assert release.client.get_logged_model(version.source.removeprefix("models:/")).source_run_id == run.id


def test_judged_twice_it_is_one_version(registry):
    release = registry()
    first = release.register(FOLDER, judgement=a_judgement(registry.name, DIGEST))
    again = release.register(FOLDER, judgement=a_judgement(registry.name, DIGEST, sentence="another day"))
    assert again == first
    assert len(release.versions(registry.name)) == 1


def test_a_candidate_that_becomes_the_first_champion_gets_its_verdict(registry):
    release = registry()
    release.register(FOLDER, judgement=a_judgement(registry.name, DIGEST))
    said = a_verdict(registry.name, DIGEST)
    version = release.register(FOLDER, said)
    assert (version.number, version.verdict, version.answer) == ("1", said.digest, "approved")
    assert release.read_verdict(version) == said


def test_a_package_of_which_nothing_is_said_is_not_registered(registry):
    with pytest.raises(ConfigError, match="nothing is said"):
        registry().register(FOLDER)
    both = {"verdict": a_verdict(registry.name), "judgement": a_judgement(registry.name)}  # labels differ
    with pytest.raises(ConfigError, match="not of one package"):
        registry().register(FOLDER, **both)
    with pytest.raises(ConfigError, match="another name"):
        registry().register(FOLDER, a_verdict(registry.name), files={"verdict.json": b""})
    assert registry().versions(registry.name) == ()


def test_an_unanswered_candidate_is_not_downloaded(registry, tmp_path):
    release = registry()
    version = release.register(FOLDER, judgement=a_judgement(registry.name, DIGEST))
    with pytest.raises(DataError, match="has no verdict") as caught:
        release.download(version, tmp_path)
    assert caught.value.reason is Reason.MODEL_REFUSED
    assert not list(tmp_path.iterdir())


@pytest.mark.faults
@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("package/model.py", b"import os", "package/model.py is no part"),
        ("extra/data.pkl", b"cos", "executes code"),
        ("MLmodel", b"flavors: {python_function: {loader_module: os}}", "loader_module"),
        ("nested/MLmodel", b"flavors: {pytorch: {}}", "has flavors"),
        ("package/package.json", b" " * ((1 << 20) + 1), "1048577 bytes"),
    ],
)
def test_what_was_laid_beside_a_package_is_refused_before_it_is_fetched(
    registry, tmp_path, name, content, complaint
):
    release = registry()
    version = release.register(FOLDER, a_verdict(registry.name, DIGEST))
    put(release, version, tmp_path, name, content)
    there = tmp_path / "there"
    with pytest.raises(DataError, match=complaint):
        release.download(version, there)
    assert not there.exists()


@pytest.mark.faults
def test_a_judgement_or_verdict_that_was_changed_is_not_believed(registry, tmp_path):
    release = registry()
    judged = a_judgement(registry.name, DIGEST, label="physics-1")
    version = release.register(FOLDER, a_verdict(registry.name, DIGEST), judgement=judged)
    assert release.read_judgement(version) == judged
    for name in ("judgement.json", "verdict.json"):
        put(release, version, tmp_path, name, release._files(version).read(name) + b"\n")
    with pytest.raises(DataError, match=r"judgement\.json is not the one"):
        release.read_judgement(version)
    with pytest.raises(DataError, match=r"verdict\.json is not the one"):
        release.read_verdict(version)


def test_names_of_models_are_listed_in_order(registry):
    release = registry()
    names = [f"{registry.name}-b", f"{registry.name}-a"]
    release.ensure_models(names)
    assert [name for name in release.models() if name.startswith(registry.name)] == sorted(names)
    assert release.versions(names[0]) == ()
    assert release.champion(names[0]) is None
