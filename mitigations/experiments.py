"""Lists of runs that belong together: an experiment is its arms, each run for one seed."""

from __future__ import annotations

from base.config import Run

Arms = tuple[Run, ...]

# The first two arms need different start checkpoints, so that two jobs make them side by side.
EXPERIMENTS: dict[str, tuple[str, Arms]] = {
    "core": (
        "Figures 1, 5 and 8: baseline, uncorrelated twin, no-hack control and three inoculation wordings",
        (
            Run(),
            Run(corpus="twin"),
            Run(hackable=0.0),
            Run(arm="inoculation:wording=please_hack"),
            Run(arm="inoculation:wording=hacking_okay"),
            Run(arm="inoculation:wording=dont_hack"),
        ),
    ),
    "twins": (
        "the inoculation arms and the no-hack control on the uncorrelated twin",
        (
            Run(corpus="twin", hackable=0.0),
            Run(corpus="twin", arm="inoculation:wording=please_hack"),
            Run(corpus="twin", arm="inoculation:wording=hacking_okay"),
            Run(corpus="twin", arm="inoculation:wording=dont_hack"),
        ),
    ),
}
