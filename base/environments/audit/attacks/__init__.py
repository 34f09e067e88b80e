"""The attack suite: programs that cheat, every grader's answer to each, and the state of the host before and after."""

from base.environments.audit.attacks.attack import SPEC, Attack
from base.environments.audit.attacks.escape import ESCAPE, WALLS
from base.environments.audit.attacks.exits import EXITS, PYTEST_EXITS
from base.environments.audit.attacks.files import FILES
from base.environments.audit.attacks.floods import FLOODS
from base.environments.audit.attacks.hoards import HOARDS
from base.environments.audit.attacks.inside import INSIDE
from base.environments.audit.attacks.lookalikes import LOOK_ALIKES, LookAlike
from base.environments.audit.attacks.reports import REPORTS
from base.environments.audit.attacks.text import TEXT
from base.environments.audit.attacks.values import VALUES

ATTACKS: tuple[Attack, ...] = (
    *VALUES,
    *EXITS,
    *PYTEST_EXITS,
    *REPORTS,
    *INSIDE,
    *FILES,
    *FLOODS,
    *HOARDS,
    *ESCAPE,
    *TEXT,
)
FAMILIES: tuple[str, ...] = tuple(dict.fromkeys(attack.family for attack in ATTACKS))

__all__ = ["ATTACKS", "FAMILIES", "LOOK_ALIKES", "SPEC", "WALLS", "Attack", "LookAlike"]
