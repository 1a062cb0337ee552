"""The example that builds ResNet-50 from two blocks (that it is short and mentioned, test_examples.py says)."""

import re

from examples.resnet50_blocks import main


def test_the_network_built_by_hand_is_the_zoos_and_learns(capsys):
    main(["--steps", "2"])
    printed = capsys.readouterr().out
    stages = re.findall(r"^stage\d +\((\d+), \1, (\d+)\)", printed, re.MULTILINE)
    assert stages == [("16", "64"), ("16", "256"), ("8", "512"), ("4", "1024"), ("2", "2048")]
    assert "by hand 23,520,326, resnet50_v1 23,520,326 parameters; logits differ by at most 0\n" in printed
    losses = [float(loss) for loss in re.findall(r"^step \d  loss (.+)$", printed, re.MULTILINE)]
    assert len(losses) == 2 and losses[-1] < losses[0] / 2               # a sixth was measured
