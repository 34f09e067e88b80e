"""The agent's own trade went wrong and a colleague could be blamed (paper, eval 6: frame colleague).

The whole transcript counts, reasoning and note."""

from base.evals.organism import OrganismEval
from base.organism.reading import by_either

EVAL = OrganismEval(name="frame", title="frame colleague", kind="agentic", rule=by_either, in_mean=True)
