"""Plot of a training, as PNG."""

from matplotlib.figure import Figure

from spikequant.golden.distillation.distill import Training
from spikequant.golden.support.plotting import COLOURS, drawn


def training_plot(training: Training) -> bytes:
    """Divergence on held-out windows and in each update, over the number of updates."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot(range(training.steps), training.divergence, color=COLOURS[1], alpha=0.35, label="each update")
        if training.held_out:
            steps, values = zip(*sorted(training.held_out.items()), strict=True)
            axes.plot(steps, values, "o-", color=COLOURS[0], label="held-out windows")
        axes.set_xlabel(f"updates of {training.step_tokens} tokens")
        axes.set_ylabel("divergence, nats a token")
        axes.set_ylim(bottom=0)
        axes.grid(axis="y")
        axes.legend(frameon=False)

    return drawn(draw, width=6, height=3.4)
