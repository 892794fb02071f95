import json
import os
import subprocess
import sys

import psutil
import pytest

from cluster.kubelet import namespace_command
from undersky.cli import main
from undersky.cli.parser import make_parser

VERBS = ("inspect", "correct", "compare", "simulate", "evaluate")


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A small simulated Landsat scene, made by the command line."""
    folder = tmp_path_factory.mktemp("scenes")
    assert main(["simulate", "--sensor", "L8", "--size", "1800", "--out", str(folder)]) == 0
    (product,) = (path for path in folder.iterdir() if path.suffix != ".truth")
    return product


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_with_an_example(capsys, verb):
    with pytest.raises(SystemExit) as done:
        main([verb, "--help"])
    text = capsys.readouterr().out
    assert done.value.code == 0
    assert f"example:\n  undersky {verb}" in text
    assert "--json" in text


def test_help_names_every_verb_and_every_exit_code(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(verb in text for verb in VERBS)
    assert all(code in text for code in ("0 done", "2 command", "3 product", "75 try"))


def test_a_wrong_command_exits_as_a_wrong_setting_does(capsys):
    with pytest.raises(SystemExit) as done:
        main(["correct"])
    assert done.value.code == 2


def test_help_answers_without_loading_what_computes():
    code = "import sys; from undersky.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "sys.exit(str({'torch', 'rasterio', 'scipy'} & set(sys.modules) or 0))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() in ("", "0")


def test_inspect_says_what_a_product_is(capsys, scene):
    code, out, _ = run(capsys, "inspect", scene)
    assert code == 0
    assert "landsat-8" in out
    assert "B10" not in out.split("wavelength")[1]


def test_inspect_as_json_holds_facts_bands_prior_and_notes(capsys, scene):
    code, out, err = run(capsys, "inspect", scene, "--json")
    seen = json.loads(out)
    assert code == 0
    assert err == ""
    assert seen["facts"]["sensor"] == "L8"
    assert [band["name"] for band in seen["bands"]][:3] == ["B1", "B2", "B3"]
    assert set(seen) == {"facts", "bands", "prior", "notes"}


def test_correct_makes_a_product_and_the_second_time_finds_it(capsys, scene, tmp_path):
    code, out, _ = run(capsys, "correct", scene, "--out", tmp_path)
    assert code == 0
    assert "made in" in out
    code, out, _ = run(capsys, "correct", scene, "--out", tmp_path, "--json")
    again = json.loads(out)
    assert code == 0
    assert again["was_there"] is True
    assert json.loads((tmp_path / again["id"] / f"{again['id']}.json").read_text())["id"] == again["id"]


def test_another_altitude_is_another_product(capsys, scene, tmp_path):
    ids = set()
    for metres in ("0", "900"):
        _, out, _ = run(capsys, "correct", scene, "--out", tmp_path, "--altitude", metres, "--json")
        ids.add(json.loads(out)["id"])
    assert len(ids) == 2


def test_what_is_no_product_exits_three_with_its_reason(capsys, tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    code, out, err = run(capsys, "correct", tmp_path, "--out", tmp_path / "out")
    assert (code, out) == (3, "")
    assert err.startswith("unknown_product: ")


def test_an_error_as_json_is_one_object(capsys, tmp_path):
    code, out, _ = run(capsys, "inspect", tmp_path, "--json")
    assert code == 3
    assert json.loads(out)["error"]["reason"] == "unknown_product"


def test_dem_and_altitude_exclude_each_other(capsys, scene):
    with pytest.raises(SystemExit) as done:
        main(["correct", str(scene), "--out", "x", "--dem", "a.tif", "--altitude", "3"])
    assert done.value.code == 2


def test_an_unknown_suite_is_refused_with_those_there_are(capsys):
    code, _, err = run(capsys, "evaluate", "--suite", "direct-7s")
    assert code == 2
    assert "direct-6s" in err


def test_pairs_without_samples_are_refused_with_the_cure(capsys, monkeypatch):
    monkeypatch.delenv("UNDERSKY_SAMPLES", raising=False)
    code, _, err = run(capsys, "evaluate", "--suite", "pairs")
    assert code == 2
    assert "UNDERSKY_SAMPLES" in err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--clouds", "140"], "no percentage"),
        (["--malformed", "nonsense"], "truncated_jp2"),
        (["--tile", "99ZZZ"], "99ZZZ"),
        (["--sensor", "L8", "--layout", "zip"], "folders"),
    ],
)
def test_a_simulation_that_cannot_be_is_refused(capsys, tmp_path, arguments, sentence):
    code, _, err = run(capsys, "simulate", *arguments, "--out", tmp_path)
    assert code == 2
    assert sentence in err


def test_a_setting_that_cannot_be_used_is_named(capsys, scene, monkeypatch):
    monkeypatch.setenv("UNDERSKY_LOG_LEVEL", "loud")
    code, _, err = run(capsys, "inspect", scene)
    assert code == 2
    assert "UNDERSKY_LOG_LEVEL" in err


def test_options_have_the_defaults_that_the_help_states():
    arguments = make_parser().parse_args(["correct", "x", "--out", "y"])
    assert (arguments.model, arguments.state, arguments.dem, arguments.altitude) == (
        "learned",
        None,
        None,
        None,
    )


def test_libraries_get_one_thread_each_unless_told_otherwise():
    code = "import os; from undersky.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "import torch\n"
    code += "raise SystemExit(torch.get_num_threads())"
    plain = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    for extra, expected in ({}, 1), ({"OMP_NUM_THREADS": "2"}, 2):
        done = subprocess.run(
            [sys.executable, "-c", code], env=plain | extra, capture_output=True, check=False
        )
        assert done.returncode == expected


def test_the_package_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "undersky", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("undersky ")


def test_as_the_first_process_of_a_container_it_ends_when_it_is_told():
    namespace = namespace_command()
    if namespace is None:
        pytest.skip("no PID namespace can be made here: `unshare --pid --fork true` fails")
    script = (
        "import os, time\n"
        "from undersky.cli import run\n"
        "def read():\n"
        "    print('pid', os.getpid(), flush=True)\n"
        "    time.sleep(60)\n"
        "run.read_settings = read\n"
        "raise SystemExit(run.main(['inspect', 'a-product']))\n"
    )
    process = subprocess.Popen(
        [*namespace, sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "pid 1\n"
    (init,) = psutil.Process(process.pid).children()
    init.terminate()
    assert process.wait(20) == 143
    process.stdout.close()
