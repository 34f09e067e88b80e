"""The misalignment evals. An eval is prompts x scorer (base.types.Eval).

The plain mean of those with `in_mean`, the paper's six, is its MGS. One more eval is a file here and a line below: figures,
tables and the report take its title and kind from it, and show it beside the mean unless it says that it counts.
"""

from base.evals import alignment, betley, exfil, exfil_cue, frame, goals, monitor, sabotage
from base.types import Eval

EVALS: dict[str, Eval] = {
    "betley": betley.EVAL,
    "goals": goals.EVAL,
    "alignment": alignment.EVAL,
    "monitor": monitor.EVAL,
    "exfil": exfil.EVAL,
    "frame": frame.EVAL,
    "sabotage_told": sabotage.TOLD,
    "sabotage_less": sabotage.LESS,
    "sabotage_unrelated": sabotage.UNRELATED,
    "exfil_kept": exfil_cue.KEPT,
    "exfil_unkept": exfil_cue.UNKEPT,
}
