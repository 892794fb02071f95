"""Who may do what at the real registry: three accounts, every act that matters, allowed or refused."""

import hashlib

import pytest

from fixtures_registry import a_judgement, a_verdict
from undersky.errors import ConfigError
from undersky.models.package import shipped
from undersky.services.registry import CHAMPION, open_run

FOLDER = shipped("physics")
DIGEST = hashlib.sha256((FOLDER / "package.json").read_bytes()).hexdigest()
DATASET = ("worlds", "d" * 64, "s3://undersky/worlds")


def train(registry, version, _folder):
    open_run(registry, version.name, name="t", params={}, tags={}, dataset=DATASET).finish({"loss": 1.0})


def write_to_the_experiment_of_release(registry, version, _folder):
    from undersky.services.registry.server import experiment, typed

    with typed("a run"):
        registry.client.create_run(experiment(registry.client, version.name))


def write_a_file_of_the_version(registry, version, _folder):
    registry._files(version).write("README.md", b"mine")


def read_the_version(registry, version, _folder):
    assert registry.version(version.name, version.number).digest == DIGEST
    assert registry.aliased(version.name, "candidate").number == version.number


def download_the_package(registry, version, folder):
    registry.download(version, folder)


def read_what_is_said(registry, version, _folder):
    assert registry.read_verdict(version) is not None


def create_a_version(registry, version, _folder):
    registry.register(FOLDER, judgement=a_judgement(version.name, "99" * 32))


def create_a_version_from_own_files(registry, version, _folder):
    """The files lie in an experiment of one's own; only the version is of the model of `release`."""
    from undersky.services.registry.server import experiment, typed

    with typed("a version"):
        own = registry.client.create_logged_model(experiment(registry.client, f"{version.name}-training"))
        registry.client.create_model_version(version.name, f"models:/{own.model_id}", model_id=own.model_id)


def answer(registry, version, _folder):
    registry._tag(version, {"undersky.answer": "approved"})


def set_the_champion(registry, version, _folder):
    registry.set_alias(version, CHAMPION)


def remove_the_alias(registry, version, _folder):
    registry.remove_alias(version.name, "candidate")


def delete_the_version(registry, version, _folder):
    from undersky.services.registry.server import typed

    with typed("the version"):
        registry.client.delete_model_version(version.name, version.number)


def delete_the_model(registry, version, _folder):
    from undersky.services.registry.server import typed

    with typed("the model"):
        registry.client.delete_registered_model(version.name)


def take_over_the_model(registry, version, _folder):
    """Whoever makes a name owns it: this one is made already."""
    registry.ensure_models([version.name])


RIGHTS = [
    # act                                 reader  trainer  release
    (train,                               False,  True,    False),
    (write_to_the_experiment_of_release,  False,  False,   True),
    (write_a_file_of_the_version,         False,  False,   True),
    (read_the_version,                    True,   True,    True),
    (download_the_package,                True,   True,    True),
    (read_what_is_said,                   True,   True,    True),
    (create_a_version,                    False,  False,   True),
    (create_a_version_from_own_files,     False,  False,   False),
    (answer,                              False,  False,   True),
    (set_the_champion,                    False,  False,   True),
    (take_over_the_model,                 False,  False,   True),
    (remove_the_alias,                    False,  False,   True),
    (delete_the_version,                  False,  False,   True),
    (delete_the_model,                    False,  False,   True),
]  # fmt: skip
"""In this order, what ends the version last. `release` does not train: the experiment is the trainer's."""


@pytest.mark.parametrize("who", ["reader", "trainer", "release"])
def test_rights_matrix(registry, who, tmp_path):
    release = registry()
    release.ensure_models([registry.name])
    version = release.register(FOLDER, a_verdict(registry.name, DIGEST))
    release.set_alias(version, "candidate")
    train(registry(registry.server.trainer), version, tmp_path)
    acting = registry(getattr(registry.server, who))
    column = 1 + ["reader", "trainer", "release"].index(who)
    found = {row[0].__name__: may(row[0], acting, version, tmp_path) for row in RIGHTS}
    assert found == {row[0].__name__: row[column] for row in RIGHTS}
    left = registry().versions(registry.name)
    assert [(v.number, v.digest, v.aliases) for v in left] == (
        [] if who == "release" else [(version.number, DIGEST, ("candidate",))]
    )


def may(act, acting, version, folder):
    try:
        act(acting, version, folder)
    except ConfigError as error:
        assert "PERMISSION_DENIED" in str(error), error  # noqa: PT017  refused, not failed
        return False
    return True


def test_a_free_name_is_anybodys_so_release_takes_all_names_first(registry):
    """MLflow has no right to withhold this: cured by `ensure_models`, which says when it came too late."""
    trainer = registry(registry.server.trainer)
    taken = f"{registry.name}-taken"
    trainer.client.create_registered_model(taken)
    with pytest.raises(ConfigError, match="which another account has made"):
        registry().ensure_models([registry.name, taken])
    registry().ensure_models([registry.name])  # again, and no harm
    trainer = registry(registry.server.trainer)
    with pytest.raises(ConfigError, match="PERMISSION_DENIED"):
        trainer.register(FOLDER, a_verdict(registry.name, DIGEST))
    assert registry().versions(registry.name) == ()
