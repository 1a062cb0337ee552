"""ImageNet's 1,000 classes, in the order in which published networks score them (ILSVRC-2012, by WordNet id).

imagenet.txt has a line for each: its WordNet id and a name, the first lemma of the synset, or another where two would
share one: 134 is "crane bird" beside 517, the machine; 639 is "tank suit" beside 638, "maillot".
Russakovsky et al. 2015; the classes: https://www.image-net.org/challenges/LSVRC/2012
"""

from pathlib import Path


def class_names():
    """["tench", "goldfish", …]."""
    return [name for _, name in _lines()]


def wnids():
    """["n01440764", "n01443537", …]: what ImageNet's own folders are called."""
    return [wnid for wnid, _ in _lines()]


def _lines():
    text = Path(__file__).with_name("imagenet.txt").read_text("utf-8")
    return [line.split(" ", 1) for line in text.splitlines()]
