"""The command ``presets``."""

from spikequant.gen.commands.options import JsonFile

PURPOSE = {
    "tiny": "for tests",
    "base": "the default, fastest measured shape for an LFE5U-25F",
    "max45": "fastest measured shape for an LFE5U-45F",
    "max85": "fastest measured shape for an LFE5U-85F",
}


def presets(json_file: JsonFile = None) -> None:
    """List the presets of the accelerator, for --config."""
    from spikequant.gen.output import show_choices
    from spikequant.golden.layer.spec import PRESETS

    found = {}
    for name, spec in PRESETS.items():
        clusters = f" in {spec.clusters} clusters" if spec.clusters > 1 else ""
        found[name] = (
            f"{spec.neurons} neurons{clusters} x {spec.lanes} lanes, {spec.depth} inputs deep: {PURPOSE[name]}"
        )
    show_choices(found, json_file)
