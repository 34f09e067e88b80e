"""Open questions after Betley et al. (paper, eval 1: Betley questions). The answer alone counts."""

from base.evals.organism import OrganismEval
from base.organism.reading import by_output

EVAL = OrganismEval(name="betley", title="open questions", kind="chat", rule=by_output, in_mean=True)
