"""`undersky labels`: help that teaches, JSON for machines, errors as exit codes."""

import json

import geopandas
import pytest
import shapely

from undersky.cli import main


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("UNDERSKY_STORE", "UNDERSKY_LEDGER"):
        monkeypatch.delenv(name, raising=False)
    boxes = [shapely.box(15.0 + i / 100, 46.0, 15.01 + i / 100, 46.01) for i in range(3)]
    table = geopandas.GeoDataFrame({"use": ["arable", "wood", "orchard"]}, geometry=boxes, crs="EPSG:4326")
    table.to_file(tmp_path / "fields.gpkg")
    (tmp_path / "fields.yaml").write_text(
        "attribute: use\nclasses: {arable: cropland, wood: tree_cover}\nignore: [orchard]\n"
    )
    return tmp_path


def arguments(folder, *more):
    return [
        "labels", "add", str(folder / "fields.gpkg"), "--task", "landcover", "--classes",
        str(folder / "fields.yaml"), "--valid-from", "2021-05-01", "--valid-to", "2021-09-30", "--out",
        str(folder / "labels"), *more,
    ]  # fmt: skip


def test_add_list_and_show_speak_of_one_version(folder, capsys):
    assert main(arguments(folder, "--json", "--attribution", "by us")) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["manifest"]["counts"]["cropland"] == 1
    assert made["manifest"]["ignored"] == 1
    assert main(["labels", "list", "--out", str(folder / "labels"), "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [row["digest"] for row in listed["labels"]] == [made["manifest"]["digest"][:12]]
    for reference in ("fields", made["manifest"]["digest"][:8]):
        assert main(["labels", "show", reference, "--out", str(folder / "labels"), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["manifest"] == made["manifest"]


def test_people_are_told_classes_areas_and_what_to_do_next(folder, capsys):
    assert main(arguments(folder)) == 0
    told = capsys.readouterr().out
    for words in ("added; preview.png", "cropland", "ignored", "none to match; --scenes DIR"):
        assert words in told
    assert main(arguments(folder)) == 0
    assert "nothing changed" in capsys.readouterr().out
    assert main(["labels", "list", "--out", str(folder / "labels")]) == 0
    assert "landcover/fields" in capsys.readouterr().out
    assert main(["labels", "show", "fields", "--out", str(folder / "labels")]) == 0
    assert "class map fields" in capsys.readouterr().out


def test_an_empty_folder_says_how_to_begin(tmp_path, capsys):
    assert main(["labels", "list", "--out", str(tmp_path)]) == 0
    assert "labels add --help" in capsys.readouterr().out


def test_unmapped_values_are_a_command_to_mend(folder, capsys):
    (folder / "fields.yaml").write_text("attribute: use\nclasses: {arable: cropland}\n")
    assert main(arguments(folder)) == 2
    assert "orchard (1), wood (1)" in capsys.readouterr().err


def test_nowhere_to_keep_labels_names_both_ways(folder, capsys):
    assert main(arguments(folder)[:-2]) == 2
    told = capsys.readouterr().err
    assert "--out DIR" in told
    assert "UNDERSKY_STORE" in told


def test_an_unknown_version_lists_what_there_is(folder, capsys):
    assert main(arguments(folder)) == 0
    assert main(["labels", "show", "meadows", "--out", str(folder / "labels")]) == 2
    assert "there are fields" in capsys.readouterr().err


def test_the_help_shows_a_class_map_and_every_class(capsys):
    from undersky.labels import TASKS

    with pytest.raises(SystemExit):
        main(["labels", "add", "--help"])
    told = capsys.readouterr().out
    assert "classes:" in told
    for task in TASKS.values():
        for slug in task.slugs:
            assert slug in told.replace("\n", " ").split()
