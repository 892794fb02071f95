import hashlib
import json
import shutil
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save

from undersky.datasets.worlds.airs import Airs
from undersky.datasets.worlds.shards import MANIFEST, load_worlds, prepare_worlds, spec_digest
from undersky.datasets.worlds.spec import AirSpec, GroundSpec, WorldSpec
from undersky.errors import DataError, Reason


@pytest.fixture
def home(worlds, tmp_path):
    """A copy that may be damaged."""
    return shutil.copytree(worlds.folder, tmp_path / worlds.folder.name)


def bits(worlds) -> list[bytes]:
    found = []
    for banks in (worlds.train, worlds.validation):
        found += [banks.textures.patches.tobytes(), banks.textures.shades.tobytes()]
        found += [getattr(banks.airs, f.name).numpy().tobytes() for f in fields(Airs)]
    return found


def test_there_are_as_many_of_each_as_the_spec_says(worlds, spec) -> None:
    assert len(worlds.train.airs) == spec.airs.count
    assert len(worlds.validation.airs) == spec.airs.validation
    assert len(worlds.train.textures.patches) == spec.ground.textures
    assert worlds.banks("train") is worlds.train
    assert worlds.banks("validation") is worlds.validation


def test_the_same_spec_makes_the_same_bits_in_another_place_and_tells_how_far_it_is(
    worlds, spec, tmp_path
) -> None:
    told = []
    again = prepare_worlds(spec, tmp_path, progress=lambda share, _: told.append(share))
    assert again.digest == worlds.digest
    assert bits(again) == bits(worlds)
    assert told == sorted(told)
    assert 0.0 < told[0] < told[-1] <= 1.0


def test_another_seed_makes_other_worlds(worlds, spec, tmp_path) -> None:
    other = prepare_worlds(replace(spec, seed=6), tmp_path)
    assert other.digest != worlds.digest
    assert not torch.equal(other.train.airs.truth, worlds.train.airs.truth)
    assert not np.array_equal(other.train.textures.patches, worlds.train.textures.patches)


def test_validation_shares_no_texture_and_no_air_with_train(worlds) -> None:
    known = {field.tobytes() for field in worlds.train.textures.patches}
    assert not any(field.tobytes() in known for field in worlds.validation.textures.patches)
    assert float(torch.cdist(worlds.train.airs.point, worlds.validation.airs.point).min()) > 0.002


CHANGES = [
    WorldSpec(seed=2),
    WorldSpec(airs=AirSpec(count=7)),
    WorldSpec(airs=AirSpec(pure=0.5)),
    WorldSpec(airs=AirSpec(models=(0.2,) * 5)),
    WorldSpec(ground=GroundSpec(clouded=0.3)),
    WorldSpec(ground=GroundSpec(shade_sigma=(0.1,))),
]


def test_whatever_changes_the_spec_changes_the_digest() -> None:
    digests = [spec_digest(spec) for spec in (WorldSpec(), *CHANGES)]
    assert len(set(digests)) == len(digests)
    assert spec_digest(WorldSpec()) == digests[0]


def test_worlds_that_are_there_are_not_built_again(spec, worlds, home) -> None:
    told = []
    found = prepare_worlds(spec, home.parent, progress=lambda share, _: told.append(share))
    assert found.digest == worlds.digest
    assert told == []


@pytest.mark.faults
def test_a_build_that_was_killed_before_its_manifest_is_built_again(spec, worlds, home) -> None:
    (home / MANIFEST).unlink()
    (home / "airs-train-000.safetensors").write_bytes(b"half")
    (home / "airs-train-000.part").write_bytes(b"half")
    found = prepare_worlds(spec, home.parent)
    assert found.digest == worlds.digest
    assert bits(found) == bits(worlds)


@pytest.mark.faults
def test_a_build_that_stops_on_the_way_leaves_no_manifest(spec, worlds, tmp_path) -> None:
    def stop(_share, _sentence):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_worlds(spec, tmp_path, progress=stop)
    (home,) = tmp_path.iterdir()
    assert not (home / MANIFEST).exists()
    assert prepare_worlds(spec, tmp_path).digest == worlds.digest


def damaged(home) -> str:
    with pytest.raises(DataError) as caught:
        load_worlds(home)
    assert caught.value.reason is Reason.DATASET_DAMAGED
    return str(caught.value)


SHARDS = ["airs-train-000.safetensors", "textures-validation.safetensors"]


@pytest.mark.faults
@pytest.mark.parametrize("name", SHARDS)
def test_a_truncated_shard_is_refused_by_name(home, name) -> None:
    (home / name).write_bytes((home / name).read_bytes()[:-3])
    assert name in damaged(home)


@pytest.mark.faults
@pytest.mark.parametrize("name", SHARDS)
def test_one_changed_bit_is_refused_by_name(home, name) -> None:
    blob = bytearray((home / name).read_bytes())
    blob[-1] ^= 1
    (home / name).write_bytes(blob)
    assert name in damaged(home)


@pytest.mark.faults
@pytest.mark.parametrize("name", SHARDS)
def test_a_missing_shard_is_refused_by_name(home, name) -> None:
    (home / name).unlink()
    assert name in damaged(home)


def signed(home, name: str, blob: bytes | None) -> None:
    """A shard of other content, or none, with a manifest that agrees."""
    manifest = json.loads((home / MANIFEST).read_text())
    if blob is None:
        del manifest["shards"][name]
    else:
        (home / name).write_bytes(blob)
        manifest["shards"][name] = hashlib.sha256(blob).hexdigest()
    (home / MANIFEST).write_text(json.dumps(manifest))


@pytest.mark.faults
@pytest.mark.parametrize("blob", [b"no tensors", save({"other": torch.zeros(2)}), None])
@pytest.mark.parametrize("name", SHARDS)
def test_a_shard_without_its_tensors_is_refused_though_the_manifest_agrees(home, name, blob) -> None:
    signed(home, name, blob)
    damaged(home)


@pytest.mark.faults
@pytest.mark.parametrize("text", ["", "[]", "{}", "nonsense", '{"shards": []}', '{"shards": {}}', "\ud800"])
def test_a_malformed_manifest_is_refused(home, text) -> None:
    (home / MANIFEST).write_bytes(text.encode(errors="surrogatepass"))
    damaged(home)


@pytest.mark.faults
def test_worlds_whose_splits_leak_are_not_handed_out(spec, home) -> None:
    name = "airs-validation-000.safetensors"
    tensors, train = load_file(home / name), load_file(home / "airs-train-000.safetensors")
    tensors["point"][3] = train["point"][11]
    signed(home, name, save(tensors))
    with pytest.raises(DataError, match="air 3 of validation") as caught:
        prepare_worlds(spec, home.parent)
    assert caught.value.reason is Reason.SPLIT_LEAKS
