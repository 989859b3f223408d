"""Shape bias: published categories, counts as in the paper."""

from pathlib import Path

import pytest
import torch
from timm.data import ImageNetInfo

from predcnn.analysis import shape_bias
from predcnn.analysis.shape_bias import CATEGORIES, Stimulus, category_of, find_stimuli

WORDS = {
    "bear": "bear", "elephant": "elephant", "keyboard": "keyboard", "clock": "clock",
    "truck": "truck fire engine minivan moving van pickup police van", "cat": "cat cougar",
    "boat": "canoe fireboat lifeboat speedboat yawl", "airplane": "airliner", "knife": "cleaver",
}  # fmt: skip


def test_sixteen_categories_of_207_classes():
    classes = [i for indices in CATEGORIES.values() for i in indices]
    assert len(CATEGORIES) == 16
    assert len(classes) == len(set(classes)) == 207  # as the paper counts them


def test_the_classes_match_their_category():
    info = ImageNetInfo()
    for category, words in WORDS.items():
        for index in CATEGORIES[category]:
            text = info.index_to_description(index)
            assert any(word in text for word in words.split()), (category, text)
    birds = {info.index_to_label_name(i) for i in CATEGORIES["bird"]}
    dogs = {info.index_to_label_name(i) for i in CATEGORIES["dog"]}
    assert {min(birds), max(birds)} == {"n01514859", "n02056570"}  # hen to king penguin
    assert {min(dogs), max(dogs)} == {"n02085782", "n02113978"}  # Japanese spaniel to hairless


def test_the_category_has_the_largest_mean_probability():
    logits = torch.full((2, 1000), -20.0)
    logits[0, 404] = 1.0  # airliner
    logits[0, 152] = 1.5  # one of 109 dogs
    logits[1, list(CATEGORIES["bear"])] = 2.0
    assert category_of(logits) == ["airplane", "bear"]
    with pytest.raises(ValueError, match="this network has 10"):
        category_of(torch.zeros(1, 10))


def test_stimuli_are_found_by_name(tmp_path):
    (tmp_path / "cat").mkdir()
    for name in ("cat/cat7-elephant3.png", "cat/cat1-cat2.png", "cat/readme.png", "car2-dog1.png"):
        (tmp_path / name).touch()
    found = find_stimuli(tmp_path)
    assert [(s.shape, s.texture) for s in found] == [("car", "dog"), ("cat", "elephant")]
    with pytest.raises(FileNotFoundError, match="texture-vs-shape"):
        find_stimuli(tmp_path / "nothing")


def test_decisions_for_neither_cue_are_not_counted():
    stimuli = [Stimulus(Path("x"), "cat", "dog")] * 4 + [Stimulus(Path("y"), "car", "oven")]
    table = shape_bias(stimuli, ["cat", "dog", "dog", "bear", "knife"])
    assert table["all"] == {"pictures": 5, "shape": 1, "texture": 2, "shape_bias": 1 / 3}
    assert table["cat"]["shape_bias"] == 1 / 3
    assert table["car"] == {"pictures": 1, "shape": 0, "texture": 0, "shape_bias": None}
