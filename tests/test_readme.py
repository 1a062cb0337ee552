"""The README is true: its code runs and prints what it says, its commands and files exist."""

import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
COMMANDS = [line for language, text in BLOCKS if language in ("sh", "bat") for line in text.splitlines()]


def agree(expected, printed):
    """Word by word. Whole numbers are equal; others agree to 2%, since sums are taken in another order by another
    number of threads; below 1e-6 they are all rounding."""
    expected, printed = expected.split(), printed.split()
    return len(expected) == len(printed) and all(map(_words_agree, expected, printed))


def _words_agree(expected, printed):
    try:
        a, b = float(expected.rstrip("%")), float(printed.rstrip("%"))
    except ValueError:
        return expected == printed
    if expected.isdigit():
        return expected == printed
    return max(abs(a), abs(b)) < 1e-6 or abs(a - b) <= 0.02 * abs(a)


def test_the_comparison_sees_a_difference():
    line = "x 100 elements largest error 9.8e-09 of 5.0e-01, 97%"
    assert agree(line, line.replace("9.8e-09", "3.1e-10").replace("97%", "96%"))
    for a, b in (("100", "101"), ("9.8e-09", "9.8e-05"), ("5.0e-01", "4.0e-01"), ("97%", "90%"), ("largest", "large")):
        assert not agree(line, line.replace(a, b)), (a, b)


def test_the_code_prints_what_stands_below_it():
    namespace, compared = {}, 0
    for (language, code), (below, expected) in zip(BLOCKS, [*BLOCKS[1:], ("", "")]):
        if language != "python":
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "README.md", "exec"), namespace)
        if below != "text":
            assert not printed.getvalue(), f"the README does not show what this prints:\n{code}"
            continue
        compared += 1
        printed, expected = printed.getvalue().splitlines(), expected.splitlines()
        assert len(printed) == len(expected) and all(map(agree, expected, printed)), "\n".join(printed)
    assert compared >= 2


def test_the_set_up_lines_are_those_that_ci_runs():
    assert "python3 -m venv .venv && .venv/bin/pip install -e . && .venv/bin/python -m scratchnet.train lenet5 mnist" \
        in COMMANDS
    assert '.venv/bin/pip install -e ".[test]" && .venv/bin/python -m pytest' in COMMANDS


def test_every_command_exists_with_the_options_it_is_shown_with():
    modules = {}
    for line in COMMANDS:
        for module, arguments in re.findall(r"python -m ((?:scratchnet|examples)[\w.]*)([^&#]*)", line):
            modules.setdefault(module, set()).update(re.findall(r"(?<!\S)--[\w-]+", arguments))
        for name, arguments in re.findall(r"^scratchnet (\w+)([^&#]*)", line):
            modules.setdefault(f"scratchnet.{name}", set()).update(re.findall(r"(?<!\S)--[\w-]+", arguments))
    assert len(modules) >= 8, modules
    for module, options in modules.items():
        done = subprocess.run([sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, f"{module} --help: {done.stderr}"
        missing = {option for option in options if not re.search(rf"{option}\b", done.stdout)}
        assert not missing, f"python -m {module} has no {missing}"


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_a_link_leads_to_a_file(target):
    assert (ROOT / target).exists()


def test_every_file_and_folder_that_is_named_exists():
    named = set(re.findall(r"`((?:scratchnet|kernels|tests|examples|\.ci)/[\w/.]*)`", README))
    assert len(named) > 8
    assert not {name for name in named if not (ROOT / name).exists()}


def test_quoted_lines_stand_in_the_file_they_are_quoted_from():
    quotes = [text.splitlines() for language, text in BLOCKS if language == "py"]
    assert quotes
    for first, *lines in quotes:
        source = (ROOT / first.removeprefix("# ")).read_text(encoding="utf-8")
        lines = [line.strip() for line in lines if line.strip() and line.strip() != "..."]
        assert lines
        for line in lines:
            assert line in source, f"not in {first}: {line}"


def test_nobody_is_told_to_install_another_projects_scratchnet():
    assert not re.search(r"install\s+(-\S+\s+)*[\"']?scratchnet(?!-cnn)", README)
