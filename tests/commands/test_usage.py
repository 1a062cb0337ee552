"""What the commands say, and how they end, when the command line or its files are wrong."""

import json

import pytest

from scratchnet import __main__, evaluate, info, train

TRAIN = ["lenet5", "mnist-sample"]


def ending(main, argv, capsys):
    """(exit code, stderr), stdout being empty."""
    code = main(argv)
    captured = capsys.readouterr()
    assert captured.out == ""
    return code, captured.err


@pytest.mark.parametrize("argv, words", [
    (["lenet", "mnist"], "unknown model 'lenet'; did you mean lenet5? Known: lenet5"),
    (["lenet5", "minst"], "unknown dataset 'minst'; did you mean mnist? Known: mnist, mnist-sample"),
    (["lenet5"], "the following arguments are required: DATASET"),
    ([*TRAIN, "--epoch", "3"], "unknown argument '--epoch'; did you mean --epochs?"),
    ([*TRAIN, "--lr=-0.1"], "argument --lr: expected a number of at least 0, got '-0.1'"),
    ([*TRAIN, "--lr", "nan"], "argument --lr: expected a number of at least 0, got 'nan'"),
    ([*TRAIN, "--batch-size", "0"], "argument --batch-size: expected a whole number of at least 1, got '0'"),
    ([*TRAIN, "--validation-fraction", "1"], "expected a number more than 0 and less than 1, got '1'"),
    ([*TRAIN, "--optimizer", "adan"], "argument --optimizer: unknown 'adan'; did you mean adam?"),
    ([*TRAIN, "--optimizer", "adam", "--momentum", "0.9"], "adam has no momentum"),
    ([*TRAIN, "--momentum", "0", "--nesterov"], "nesterov needs a momentum above 0"),
    ([*TRAIN, "--schedule", "cosin"], "argument --schedule: unknown 'cosin'; did you mean cosine?"),
    ([*TRAIN, "--augment", "crop,filp"], "augment: unknown 'filp' in 'crop,filp'; did you mean flip?"),
    ([*TRAIN, "--augment", "cutout=0"], "expected a whole number from 1 to 1024 for cutout, got '0'"),
    ([*TRAIN, "--image-size", "2x3x4"], "argument --image-size: expected HxW, or one number for both, got '2x3x4'"),
    ([*TRAIN, "--image-size", "0"], "argument --image-size: expected a whole number of at least 1, got '0'"),
    (["--augment", *TRAIN], "got 'lenet5'; to leave the list out, put --augment behind MODEL and DATASET"),
    ([*TRAIN, "--out", ""], "argument --out: expected the name of a folder, got nothing"),
    ([*TRAIN, "--label-smoothing", "1"], "argument --label-smoothing: expected a number of at least 0 and less than 1"),
    (["lenet5", "photos/"], "photos/: expected a folder, zip or tar of images, got no such file"),
    (["none.py:net", "mnist-sample"], "none.py: expected a Python file that can be read"),
    ([*TRAIN, "--threads", "100000"], "argument --threads: 100000 are more than the"),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_a_wrong_command_line_is_one_line_and_exit_code_2(argv, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, err = ending(train.main, argv, capsys)
    assert code == 2 and words in err and err.startswith("scratchnet train: ") and err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_gpu_that_is_not_there_is_a_usage_error_with_the_reason(capsys, monkeypatch):
    from scratchnet import backend

    monkeypatch.setitem(backend._loaded, "gpu", (False, "no such luck"))
    code, err = ending(train.main, [*TRAIN, "--device", "cuda"], capsys)
    assert code == 2 and "no such luck" in err


def test_no_gpu_is_mentioned_where_somebody_asked_for_it_and_only_there(capsys, monkeypatch):
    from scratchnet import backend, cli

    parser = cli.Parser("test", "")
    monkeypatch.setitem(backend._loaded, "gpu", (False, "no such luck"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert cli.choose_device(parser.parse([])) == "cpu"
    assert capsys.readouterr().err == ""
    assert cli.choose_device(cli.Parser("test", "").parse(["--device", "auto"])) == "cpu"
    assert capsys.readouterr().err == "running on the CPU: no such luck\n"


def test_a_named_folder_that_holds_another_run_is_refused_before_any_data_is_opened(capsys, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    argv = ["lenet5", "mnist", "--data-dir", "/no/such", "--out", str(tmp_path)]
    code, err = ending(train.main, argv, capsys)
    assert code == 2 and "holds another run (config.json); name another folder" in err and "--resume" in err
    assert (tmp_path / "config.json").read_text() == "{}"


def test_a_named_folder_that_is_a_file_is_refused(capsys, tmp_path):
    (tmp_path / "file").touch()
    code, err = ending(train.main, [*TRAIN, "--out", str(tmp_path / "file")], capsys)
    assert code == 2 and "expected a folder to write into" in err


def test_a_run_folder_inside_the_images_is_refused(capsys, tmp_path, monkeypatch):
    from PIL import Image

    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(4):
            Image.new("L", (40, 40), 50 * index).save(tmp_path / "photos" / name / f"{index}.png")
    monkeypatch.chdir(tmp_path)
    for argv in (["lenet5", "photos", "--out", "photos/run"], ["lenet5", "photos", "--out", "photos"]):
        code, err = ending(train.main, argv, capsys)
        assert code == 2 and "expected a folder outside of the images" in err
    monkeypatch.chdir(tmp_path / "photos")
    code, err = ending(train.main, ["lenet5", "."], capsys)
    assert code == 2 and "runs: expected a folder outside of the images" in err
    assert sorted(path.name for path in (tmp_path / "photos").iterdir()) == ["a", "b"]


def test_without_its_package_tensorboard_is_refused_before_anything_is_written(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, err = ending(train.main, [*TRAIN, "--out", "run", "--tensorboard"], capsys)
    assert code == 2 and "pip install" in err and not (tmp_path / "run").exists()


def test_a_data_folder_that_is_not_there_is_a_failure_and_no_fallback(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, err = ending(train.main, ["lenet5", "mnist", "--data-dir", str(tmp_path / "none")], capsys)
    assert code == 1 and "none" in err and err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_a_checkpoint_that_is_not_there_is_a_usage_error(capsys, tmp_path):
    code, err = ending(evaluate.main, [str(tmp_path / "none"), "mnist"], capsys)
    assert code == 2 and "got no such file" in err


def test_a_damaged_checkpoint_is_a_failure_with_its_name(capsys, tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"not a checkpoint")
    path = str(tmp_path / "a.safetensors")
    for argv in (["evaluate", path, "mnist-sample"], ["summary", path]):
        code, err = ending(__main__.main, argv, capsys)
        assert code == 1 and "a.safetensors: expected a whole safetensors file" in err


def test_an_unknown_command_gets_the_nearest_name(capsys):
    code, err = ending(__main__.main, ["trian"], capsys)
    assert code == 2
    assert err.startswith("scratchnet: unknown command 'trian'; did you mean train? Known: train, ")
    assert __main__.main([]) == 2


def test_traceback_is_shown_where_it_is_asked_for(capsys, tmp_path):
    argv = ["lenet5", "mnist", "--data-dir", str(tmp_path / "none")]
    assert train.main([*argv, "--out", str(tmp_path / "run"), "--traceback"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_bug_of_ours_says_what_kind_of_error_it_was(capsys, monkeypatch):
    from scratchnet import cli

    def command(args):
        raise KeyError("weight")

    assert cli.run(cli.Parser("test", ""), command, []) == 1
    assert capsys.readouterr().err == "scratchnet test: KeyError: 'weight' (--traceback shows where)\n"


def test_help_shows_the_values_of_the_recipe(capsys):
    with pytest.raises(SystemExit) as ended:
        train.main([*TRAIN, "--help"])
    assert ended.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "chooses the best epoch, where the dataset has no val (default: 0.1)" in shown
    assert "learning rate at its highest (default: 0.05)" in shown and "This one reached 98.65%" in shown


def test_train_has_fewer_than_thirty_options():
    parser = train.build_parser(list(TRAIN))
    with pytest.raises(SystemExit):
        parser.parse(["--help"])                                # adds the shared ones
    assert sum(bool(action.option_strings) for action in parser._actions) < 30


def test_info_says_what_it_runs_on(capsys):
    assert info.main(["--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["threads"] >= 1 and facts["threading layer"] in ("omp", "tbb", "workqueue")
    assert facts["gpu"] or facts["why no gpu"]
    assert "kernel cache" in facts and "numba" in facts


def test_info_of_a_gpu_has_its_facts_and_says_where_two_cupys_are_installed(capsys, monkeypatch):
    from scratchnet import backend
    from scratchnet.kernels.cuda import probe

    monkeypatch.setitem(backend._loaded, "gpu", (True, "Fake GPU"))
    monkeypatch.setattr(probe, "facts", lambda: {"gpu memory": "1.5 GiB"})
    monkeypatch.setattr(probe, "conflict", lambda: "two of them")
    assert info.main(["--json"]) == 0
    said = capsys.readouterr()
    facts = json.loads(said.out)
    assert facts["gpu"] == "Fake GPU" and facts["gpu memory"] == "1.5 GiB" and "why no gpu" not in facts
    assert said.err == "warning: two of them\n"


def test_default_folders_are_numbered_and_never_shared(tmp_path, monkeypatch):
    from scratchnet.run_folder import unnamed

    monkeypatch.chdir(tmp_path)
    assert [unnamed("a").as_posix() for _ in range(3)] == ["runs/a", "runs/a-2", "runs/a-3"]


def test_where_no_default_folder_can_be_made_out_is_the_advice(tmp_path, monkeypatch):
    from scratchnet.run_folder import unnamed

    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").touch()
    with pytest.raises(OSError, match="name one with --out"):
        unnamed("a")
