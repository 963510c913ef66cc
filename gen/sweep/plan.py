"""Plan of a sweep, read from a TOML file."""

from itertools import product
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from spikequant.golden.layer.spec import Spec, make_spec
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.toml_files import override, read_toml


class SweepPlan(BaseModel):
    """Keys of a sweep's TOML file. Its points are all combinations of specs, recipes and boards."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    model: str = Field(default="smollm2", description="float model: bundled, a .gguf, a folder, or a hub id")
    recipes: list[str] = Field(default=["fast"], min_length=1, description="presets or .toml files")
    boards: list[str] = Field(default=["ulx3s_85f"], description="boards to build for; an empty list builds nothing")
    spec: dict[str, Any] = Field(default={}, description="keys of a spec file; a list of values sweeps a key")
    calibration_tokens: int = Field(default=8192, ge=1, description="tokens of calibration text")
    scored_tokens: int = Field(default=16384, ge=2, description="held-out tokens to score")
    traced_tokens: int = Field(default=8, ge=1, description="tokens whose cycles and spikes are counted")
    context: int = Field(default=512, ge=2, description="tokens in a window")
    frequency_mhz: float = Field(default=100.0, gt=0, description="clock that builds aim at")
    seeds: int = Field(default=1, ge=1, description="placements of each build; the best one counts")

    @model_validator(mode="after")
    def _check(self) -> "SweepPlan":
        most = min(self.context, self.scored_tokens)
        if self.traced_tokens > most:
            raise ValueError(f"traced_tokens: {self.traced_tokens}, expected at most {most}, from one window")
        return self

    def specs(self) -> dict[str, Spec]:
        """Every accelerator, by the values in which it differs from the others.

        Raises:
            InputError: an unknown key, or a combination that is not a valid spec.
        """
        swept = {key: values for key, values in self.spec.items() if isinstance(values, list)}
        fixed = {key: value for key, value in self.spec.items() if key not in swept}
        for key, values in swept.items():
            if not values:
                raise InputError(f"sweep: spec.{key} has no values, expected some")
        found: dict[str, Spec] = {}
        for combination in product(*swept.values()):
            chosen = dict(zip(swept, combination, strict=True))
            name = " ".join(f"{key}={value}" for key, value in chosen.items()) or str(fixed.get("preset", "base"))
            found[name] = make_spec(fixed | chosen, source=f"sweep, {name}")
        return found


def load_plan(path: str) -> SweepPlan:
    """Read a plan from a TOML file.

    Raises:
        InputError: the file cannot be read, or has an unknown key or a bad value.
    """
    values = read_toml(path, what="sweep", presets={})
    if "preset" in values:
        raise InputError(f"sweep {path}: unknown key 'preset', expected it in the table spec")
    return override(values, presets={"plan": SweepPlan()}, default="plan", source=f"sweep {path}")
