"""ImageNet's classes: as many as there are, each once, the well-known ones where everybody knows them to be."""

import pytest

from scratchnet.data import imagenet


def test_there_are_a_thousand_names_and_ids_each_once():
    names, wnids = imagenet.class_names(), imagenet.wnids()
    assert len(names) == len(set(names)) == len(wnids) == len(set(wnids)) == 1000
    assert wnids == sorted(wnids) and all(len(wnid) == 9 and wnid[0] == "n" and wnid[1:].isdigit() for wnid in wnids)
    assert all(name == name.strip() and name.isprintable() and "," not in name for name in names)


@pytest.mark.parametrize("number, wnid, name", [
    (0, "n01440764", "tench"), (1, "n01443537", "goldfish"), (134, "n02012849", "crane bird"),
    (151, "n02085620", "Chihuahua"), (207, "n02099601", "golden retriever"), (281, "n02123045", "tabby"),
    (388, "n02510455", "giant panda"),
    (417, "n02782093", "balloon"), (508, "n03085013", "computer keyboard"), (517, "n03126707", "crane"),
    (638, "n03710637", "maillot"), (639, "n03710721", "tank suit"), (817, "n04285008", "sports car"),
    (954, "n07753592", "banana"), (999, "n15075141", "toilet tissue")])
def test_well_known_classes_are_where_published_networks_have_them(number, wnid, name):
    assert (imagenet.wnids()[number], imagenet.class_names()[number]) == (wnid, name)
