"""Recipes: what they refuse, what TOML makes of them, and what hardware they need."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from spikequant.golden.quantizer.recipe import RECIPES, Activations, Recipe, Weights, load_recipe
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.toml_files import override


def checked(values: dict[str, Any]) -> Recipe:
    return override(values, presets=RECIPES, default="fast", source="here")


@pytest.mark.parametrize("name", RECIPES)
def test_every_preset_is_valid_and_survives_json(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe is RECIPES[name]
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
    assert bool(recipe.extra_hardware) == name.startswith("research")


def test_a_preset_is_what_it_is_called() -> None:
    assert RECIPES["fast"] == Recipe()
    assert RECIPES["fast"].distillation.steps == 0
    assert RECIPES["plain"].equalize == ()
    assert RECIPES["token"].activations.scale == "token"
    assert RECIPES["symmetric"].activations.zero_point == "symmetric"
    assert RECIPES["distilled"].distillation.steps > 0
    assert RECIPES["distilled"].activations.salient_rule == "outside"
    # the datapath's share of wide columns and the goal's share of salient values
    for name, recipe in RECIPES.items():
        if not name.startswith("research"):
            assert recipe.weights.wide_fraction <= 0.0625
            assert recipe.distillation.most_salient <= 0.03
            assert (recipe.weights.bits, recipe.activations.bits, recipe.activations.salient_bits) == (4, 4, 5)


def test_a_file_overrides_single_values_of_nested_tables(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'preset = "distilled"\nequalize = [0.5]\n[activations.k]\nqkv = 2.5\n'
        '[weights]\ngptq = ["o", "down"]\n[distillation]\nsteps = 7\n'
    )
    recipe, base = load_recipe(str(path)), RECIPES["distilled"]
    assert recipe.equalize == (0.5,)
    assert recipe.weights == base.weights.model_copy(update={"gptq": ("o", "down")})
    assert recipe.distillation == base.distillation.model_copy(update={"steps": 7})
    assert recipe.activations.salient_rule == "outside"
    assert recipe.activations.k == base.activations.k.model_copy(update={"qkv": 2.5})
    path.write_text("")
    assert load_recipe(str(path)) == RECIPES["fast"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"weight": {}}, "unknown key 'weight', expected one of activations, weights, .*, preset"),
        ({"weights": {"bit": 4}}, "unknown key 'weights.bit', expected one of bits, wide_fraction, "),
        (
            {"activations": {"k": {"gate": 3}}},
            "unknown key 'activations.k.gate', expected one of qkv, o, gate_up, down, other, factor$",
        ),
        ({"preset": "quick"}, "unknown preset 'quick', expected one of compensated, fast, plain, distilled"),
        ({"weights": {"bits": 0}}, r"weights\.bits: .* got 0"),
        ({"weights": {"bits": 9}}, r"weights\.bits: .* got 9"),
        ({"weights": {"bits": "four"}}, r"weights\.bits: .* got 'four'"),
        ({"weights": {"wide_fraction": 1.5}}, r"weights\.wide_fraction: .* got 1.5"),
        ({"weights": {"wide_fraction": float("nan")}}, r"weights\.wide_fraction: .* got nan"),
        ({"weights": {"gptq": ["qkv", "lm_head"]}}, r"weights\.gptq\.1: .* got 'lm_head'"),
        ({"weights": {"group_size": -1}}, r"weights\.group_size: .* got -1"),
        ({"weights": {"salient_k": -0.5}}, r"weights\.salient_k: .* got -0.5"),
        ({"activations": {"bits": 9}}, r"activations\.bits: .* got 9"),
        ({"activations": {"salient_bits": -1}}, r"activations\.salient_bits: .* got -1"),
        ({"activations": {"scale": "channel"}}, r"activations\.scale: .* got 'channel'"),
        ({"activations": {"zero_point": "none"}}, r"activations\.zero_point: .* got 'none'"),
        ({"activations": {"k": {"o": 0}}}, r"activations\.k\.o: .* got 0"),
        ({"activations": {"k": {"factor": float("inf")}}}, r"activations\.k\.factor: .* got inf"),
        ({"equalize": [0.5, -0.1]}, r"equalize\.1: .* got -0.1"),
        ({"equalize": [1.5]}, r"equalize\.0: .* got 1.5"),
        ({"equalize": 0.5}, r"equalize: .* got 0.5"),
        ({"distillation": {"batch": 0}}, r"distillation\.batch: .* got 0"),
        ({"distillation": {"context": 1}}, r"distillation\.context: .* got 1"),
        ({"distillation": {"weight_rate": float("inf")}}, r"distillation\.weight_rate: .* got inf"),
        ({"distillation": {"most_salient": 0}}, r"distillation\.most_salient: .* got 0"),
        (
            {"activations": {"salient_bits": 1}},
            "activations: salient_bits: 1, expected 0 or 2 and more",
        ),
        (
            {"activations": {"salient_bits": 2, "salient_format": "float"}},
            "activations: salient_bits: 2, expected 0 or 3 and more for floats",
        ),
    ],
)
def test_a_mistake_is_refused_in_one_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^here: {message}") as refusal:
        checked(values)
    assert "\n" not in str(refusal.value)


def test_a_mistake_in_a_file_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[weights]\nbits = 12\n")
    with pytest.raises(InputError, match=r"^recipe .*mine\.toml: weights\.bits: "):
        load_recipe(str(path))
    with pytest.raises(
        InputError, match=r"^recipe 'slow': unknown preset, expected one of compensated, .* or a \.toml file"
    ):
        load_recipe("slow")


def test_a_recipe_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        RECIPES["fast"].weights.bits = 2


def test_the_factor_multiplies_the_k_of_the_layers_site() -> None:
    recipe = checked({"activations": {"k": {"factor": 0.5, "other": 8.0}}})
    layers = {"self_attn.k_proj": 3.4, "self_attn.o_proj": 4.4, "mlp.up_proj": 3.0, "mlp.down_proj": 6.8, "x": 8.0}
    for layer, k in layers.items():
        assert recipe.k(f"model.layers.1.{layer}") == pytest.approx(k / 2)
    # a site's own name says as much as its layers'
    for site, k in {"self_attn.qkv": 3.4, "self_attn.o": 4.4, "mlp.gate_up": 3.0, "mlp.down": 6.8}.items():
        assert recipe.k(f"model.layers.1.{site}") == pytest.approx(k / 2)


@pytest.mark.parametrize(
    ("recipe", "need"),
    [
        (Recipe(activations=Activations(salient_format="float")), "shifts each salient spike by its own exponent"),
        (Recipe(weights=Weights(group_size=64)), "multiplier per neuron and group"),
        (Recipe(weights=Weights(salient_k=3.0)), "weights of two widths in place"),
    ],
)
def test_what_the_datapath_lacks_is_named(recipe: Recipe, need: str) -> None:
    assert len(recipe.extra_hardware) == 1
    assert need in recipe.extra_hardware[0]


def test_every_need_is_named() -> None:
    values = {"activations": {"salient_format": "float"}, "weights": {"group_size": 8, "salient_k": 1}}
    assert len(checked(values).extra_hardware) == 3
    assert checked({"activations": {"scale": "token", "zero_point": "symmetric"}}).extra_hardware == []
