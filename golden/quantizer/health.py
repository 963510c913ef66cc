"""Findings about quantized layers whose statistics are out of line, as lines to print after quantizing."""

from dataclasses import dataclass

from spikequant.golden.quantizer.tally import Tally

MOST_SALIENT = 0.1
"""Largest share of salient values of a healthy site; most have 2 to 3 %."""

MOST_CLIPPED = 0.01
"""Largest share of tokens whose salient window was limited."""

LARGEST_ERROR = 0.1
"""Largest relative squared error of the output of a layer, from which on it is out of line."""


@dataclass(frozen=True)
class SiteHealth:
    """What a site did with text that it was calibrated on, or similar text.

    Attributes:
        name: of the site.
        salient: share of salient values, 0..1.
        silent: share of values at level 0, 0..1.
        clipped: share of tokens whose salient window was limited, 0..1.
        scale: value of one level; None for a scale per token.
        threshold: distance from the median beyond which a value is salient; None for one per token.
        peak: largest magnitude of the site's values.
    """

    name: str
    salient: float
    silent: float
    clipped: float
    scale: float | None
    threshold: float | None
    peak: float

    @classmethod
    def of_tally(
        cls, name: str, tally: Tally, *, scale: float | None, threshold: float | None, peak: float
    ) -> "SiteHealth":
        """The shares of a tally, with at least one token."""
        return cls(
            name=name,
            salient=tally.salient / tally.values,
            silent=tally.silent / tally.values,
            clipped=tally.clipped_tokens / tally.tokens,
            scale=scale,
            threshold=threshold,
            peak=peak,
        )


@dataclass(frozen=True)
class LayerHealth:
    """Error of a layer's output, quantized and with plain rounding.

    Attributes:
        name: of the layer.
        error: mean squared error of the output over the mean square of the float output.
        plain: the same with weights and inputs of the same widths rounded to the nearest code, one scale a token and
            output channel; None if it is unknown.
    """

    name: str
    error: float
    plain: float | None = None


def site_warnings(site: SiteHealth) -> list[str]:
    """What is out of line at a site: one line each, with the site, the figure, and what was expected."""
    found: list[str] = []
    if not site.peak:
        return [f"{site.name}: always 0 in calibration, expected an input that varies"]
    if site.salient > MOST_SALIENT:
        found.append(f"{site.name}: {site.salient:.0%} salient, expected at most {MOST_SALIENT:.0%}")
    if site.clipped > MOST_CLIPPED:
        found.append(
            f"{site.name}: salient values of {site.clipped:.0%} of the tokens clipped, "
            f"expected at most {MOST_CLIPPED:.0%}"
        )
    if site.threshold == 0:
        found.append(f"{site.name}: threshold 0, expected a positive one")
    if site.silent == 1:
        found.append(
            f"{site.name}: scale {site.scale:.3g} leaves every value silent, the largest being {site.peak:.3g}"
        )
    return found


def layer_warnings(layer: LayerHealth) -> list[str]:
    """What is out of line at a layer: one line each, with the layer, the figure, and what was expected."""
    # written so that an error that is not a number is found
    if layer.plain is not None and not layer.error <= layer.plain:
        return [
            f"{layer.name}: output error {layer.error:.3g}, expected at most {layer.plain:.3g} as with plain rounding"
        ]
    if not layer.error <= LARGEST_ERROR:
        return [f"{layer.name}: output error {layer.error:.3g}, expected at most {LARGEST_ERROR:.3g}"]
    return []
