"""The attack suite: programs that cheat, every grader's answer to each, and the state of the host before and after."""

from base.environments.attacks.attack import SPEC, Attack
from base.environments.attacks.escape import ESCAPE, WALLS
from base.environments.attacks.exits import EXITS, PYTEST_EXITS
from base.environments.attacks.files import FILES
from base.environments.attacks.floods import FLOODS
from base.environments.attacks.inside import INSIDE
from base.environments.attacks.lookalikes import LOOK_ALIKES, LookAlike
from base.environments.attacks.reports import REPORTS
from base.environments.attacks.text import TEXT
from base.environments.attacks.values import VALUES

ATTACKS: tuple[Attack, ...] = (*VALUES, *EXITS, *PYTEST_EXITS, *REPORTS, *INSIDE, *FILES, *FLOODS, *ESCAPE, *TEXT)
FAMILIES: tuple[str, ...] = tuple(dict.fromkeys(attack.family for attack in ATTACKS))

__all__ = ["ATTACKS", "FAMILIES", "LOOK_ALIKES", "SPEC", "WALLS", "Attack", "LookAlike"]
