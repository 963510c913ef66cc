"""The command ``recipes``."""

from spikequant.gen.commands.options import JsonFile

SUMMARIES = {
    "compensated": "the default: each layer makes good earlier errors; minutes, no training",
    "fast": "channels evened out, each layer by itself; a minute, no training",
    "plain": "as fast, without evening out channels",
    "distilled": "compensated, then trained towards the float model's predictions; about an hour for SmolLM2-135M",
    "overnight": "as distilled, for about eight hours",
    "token": "activation scales per token instead of per site",
    "symmetric": "activation zero points in the middle of the codes",
    "research-float-salients": "salient values as floats; evaluation only, no hardware runs it",
    "research-groups": "weight scales per group of 128 inputs; evaluation only, no hardware runs it",
    "research-salient-weights": "one more bit for far-out weights; evaluation only, no hardware runs it",
}


def recipes(json_file: JsonFile = None) -> None:
    """List the recipes of the quantizer, for --recipe."""
    from spikequant.gen.output import show_choices
    from spikequant.golden.quantizer.recipe import RECIPES

    show_choices({name: SUMMARIES[name] for name in RECIPES}, json_file)
