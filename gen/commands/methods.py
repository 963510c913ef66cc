"""The command ``methods``."""

from spikequant.gen.commands.options import JsonFile

SUMMARIES = {
    "fp": "the float model, unquantized",
    "rtn": "round to nearest",
    "smoothquant": "SmoothQuant (arXiv 2211.10438): activation outliers moved into the weights",
    "atom": "Atom (arXiv 2310.19102): scales per group of channels, strongest channels in INT8",
    "spikellm": "SpikeLLM (arXiv 2407.04752): spike counts, with more steps for salient channels",
    "quarot": "QuaRot (arXiv 2404.00456): outliers spread by Hadamard rotations",
    "spikequant": "SpikeQuant (arXiv 2510.19498), as --recipe defines it",
}


def methods(json_file: JsonFile = None) -> None:
    """List the methods of quantization, for eval --method."""
    from spikequant.gen.output import show_choices

    show_choices(SUMMARIES, json_file)
