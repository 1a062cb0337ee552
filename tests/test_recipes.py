"""Recipes: what a user's wish changes, and what it must not."""

import pytest

import scratchnet as sn
from scratchnet import recipes
from scratchnet.data import names as dataset_names


@pytest.fixture(scope="module")
def parameters():
    return sn.models.create("lenet5").parameters()


def test_every_recipe_is_for_a_model_and_a_dataset_that_exist():
    for model, dataset in recipes.RECIPES:
        assert model in sn.models.names() and dataset in dataset_names()


def test_a_pair_without_a_recipe_gets_the_general_one():
    assert recipes.find("lenet5", "no such data") == recipes.Recipe()


def test_plain_deep_networks_take_small_steps():
    assert recipes.find("vgg16", "x") == recipes.Recipe(lr=1e-4)


def test_published_weights_are_tuned_in_small_steps_and_a_head_alone_in_usual_ones_for_a_third_of_the_epochs():
    general, tuning = recipes.Recipe(), recipes.find("lenet5", "mnist", weights="w")
    head = recipes.find("lenet5", "mnist", weights="w", frozen=True)
    assert (tuning.lr, tuning.epochs) == (1e-4, 10) and (head.lr, head.epochs) == (general.lr, 10)
    assert head != general != tuning


def test_a_wish_changes_that_setting_and_no_other():
    before = recipes.find("lenet5", "mnist")
    after = recipes.adapt(before, epochs=3, lr=None)
    assert {**before.settings(), "epochs": 3} == after.settings()


def test_another_optimizer_brings_its_usual_settings_along_unless_they_are_wished_for():
    adam = recipes.adapt(recipes.find("lenet5", "mnist"), optimizer="adam")
    assert (adam.lr, adam.weight_decay) == (0.001, 0.0)
    assert recipes.adapt(recipes.find("lenet5", "mnist"), optimizer="adam", lr=0.3).lr == 0.3


def test_the_recipes_own_optimizer_by_name_keeps_its_settings():
    recipe = recipes.find("lenet5", "mnist")
    assert recipes.adapt(recipe, optimizer=recipe.optimizer) == recipe


def test_without_momentum_there_is_no_nesterov():
    assert recipes.adapt(recipes.find("lenet5", "mnist"), momentum=0.0).nesterov is False


@pytest.mark.parametrize("name", recipes.OPTIMIZERS)
def test_every_optimizer_is_made_with_the_settings_it_has(name, parameters):
    recipe = recipes.adapt(recipes.Recipe(), optimizer=name, lr=0.25, weight_decay=0.125)
    config = recipe.make_optimizer(parameters).config()
    assert (config["name"], config["lr"], config["weight_decay"]) == (name, 0.25, 0.125)
    assert config.get("nesterov", False) is (name == "sgd")


@pytest.mark.parametrize("name, ends", [("constant", (1.0, 1.0)), ("step", (1.0, 0.01)),
                                        ("cosine", (1.0, 0.0)), ("one-cycle", (0.04, 0.0))])
def test_every_schedule_spans_the_whole_training(name, ends):
    schedule = recipes.Recipe(lr=1.0, epochs=10, schedule=name).make_schedule(50)
    assert (schedule(0), schedule(499)) == pytest.approx(ends, abs=1e-4)


def test_warm_up_is_counted_in_epochs():
    schedule = recipes.Recipe(lr=1.0, epochs=10, schedule="constant", warm_up=1.5).make_schedule(50)
    assert [schedule(t) for t in (0, 74, 75)] == pytest.approx([1 / 76, 75 / 76, 1.0])
