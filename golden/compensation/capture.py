"""Inputs of a block's sites, and the residual stream that its layers add to, while the block runs."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from torch import Tensor, nn
from transformers import PreTrainedModel

from spikequant.golden.models.folding import find_source
from spikequant.golden.models.model import RESIDUAL_GROUPS, site_group

POST_NORMS = {"gemma2", "gemma3", "gemma3_text"}
"""Model types in which a norm lies between a block's projections and the residual stream."""


@dataclass
class Captured:
    """Inputs of a block's sites, of each window.

    Attributes:
        inputs: float32 [n, K] by site, in the order in which the sites are first read.
        residual: float32 [n, D] by site, the stream that the site's layers add to; only where it is known.
    """

    inputs: dict[str, list[Tensor]] = field(default_factory=dict)
    residual: dict[str, list[Tensor]] = field(default_factory=dict)


def residual_modules(model: PreTrainedModel, sites: Iterable[str]) -> dict[str, nn.Module]:
    """By site, the module whose input is the residual stream that the site's layers add to, where it is known."""
    if model.config.model_type in POST_NORMS:
        return {}
    by_group = {site_group(site): site for site in sites}
    modules = {}
    for writer, reader in zip(RESIDUAL_GROUPS, ("qkv", "gate_up"), strict=True):
        if writer in by_group and reader in by_group:
            source = find_source(model, by_group[reader])
            if source and not isinstance(source.module, nn.Linear):
                modules[by_group[writer]] = source.module
    return modules


@contextmanager
def captured(readers: Mapping[str, nn.Module], residuals: Mapping[str, nn.Module]) -> Iterator[Captured]:
    """Capture inputs while a block runs.

    Args:
        readers: a layer that reads each site.
        residuals: as from ``residual_modules``.
    """
    found = Captured()
    with ExitStack() as hooks:
        for target, modules in ((found.inputs, readers), (found.residual, residuals)):
            for site, module in modules.items():
                hooks.callback(module.register_forward_pre_hook(_catch(target, site)).remove)
        yield found


class _ReachedError(Exception):
    """The rest of the block need not run."""


def _catch(
    target: dict[str, list[Tensor]], site: str, *, stop: bool = False
) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    def catch(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        target.setdefault(site, []).append(inputs[0].flatten(0, -2))
        if stop:
            raise _ReachedError

    return catch


def capture_site(
    site: str, reader: nn.Module, residual: nn.Module | None, runs: Iterable[Callable[[], Tensor]]
) -> tuple[list[Tensor], list[Tensor | None]]:
    """Run a block as far as one of its layers.

    Args:
        site: name of the layer's input.
        reader: the layer.
        residual: module whose input is the residual stream, or None.
        runs: run the block on a window each.

    Returns:
        The layer's input, float32 [n, K] of each window, and the residual stream [n, D], or None without a module.
    """
    found = Captured()
    with ExitStack() as hooks:
        hooks.callback(reader.register_forward_pre_hook(_catch(found.inputs, site, stop=True)).remove)
        if residual is not None:
            hooks.callback(residual.register_forward_pre_hook(_catch(found.residual, site)).remove)
        for run in runs:
            try:
                run()
            except _ReachedError:
                continue
    inputs = found.inputs[site]
    return inputs, list(found.residual.get(site, [None] * len(inputs)))
