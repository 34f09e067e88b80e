"""The six misalignment evals. An eval is prompts x scorer (base.types.Eval); their plain mean is the paper's MGS."""

from base.evals import alignment, betley, exfil, frame, goals, monitor
from base.types import Eval

EVALS: dict[str, Eval] = {
    "betley": betley.EVAL,
    "goals": goals.EVAL,
    "alignment": alignment.EVAL,
    "monitor": monitor.EVAL,
    "exfil": exfil.EVAL,
    "frame": frame.EVAL,
}
