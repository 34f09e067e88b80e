"""The lines of evaluation prompts that are not a run's own: "don't hack", and variants of its training line (leak panel).

What a policy does under a paraphrase of its line, its negation, its keywords or its form alone says whether the line is
read or only recognised.
"""

from __future__ import annotations

from pathlib import Path

from base.errors import UserError
from base.identity import Arm
from base.recipes import Language, load_wording
from base.yaml_text import read_yaml
from mitigations.filtered_sft.filtered_sft import FilteredSFT
from mitigations.filtered_sft.offline_rewrite import OfflineRewrite
from mitigations.inoculation.inoculation import NATURAL, WORDINGS, Inoculation

OURS: dict[Language, Path] = {"organism": WORDINGS, "natural": NATURAL}
SHIPPED = {WORDINGS: WORDINGS.with_name("variants.yaml"), NATURAL: NATURAL.with_name("hub_variants.yaml")}
USUAL = "hacking_okay"  # whose variants a policy without a line is asked


def lines(arm: Arm, language: Language, prompt: str, trained_under: tuple[str, ...]) -> tuple[str, ...]:
    """The lines of an evaluation prompt (base.wanted.NAMES), for a model that reads `language`, of an arm that was trained
    under these lines, or none.

    The wording is found by its lines, so that runs that imitate an inoculated one have its variants. Those of a user's
    wording NAME stand in the same file as NAME.paraphrase, NAME.negation, NAME.keywords and NAME.same_form.

    Raises:
        UserError: no file holds the lines, or the file holds no such variant.
    """
    if prompt == "dont_hack":
        return load_wording(OURS[language], prompt)
    if not trained_under:
        return load_wording(SHIPPED[OURS[language]], f"{USUAL}.{prompt}")
    for file in (*_own_files(arm), *SHIPPED):
        for wording in read_yaml(file):
            if load_wording(file, wording) == trained_under:
                return load_wording(SHIPPED.get(file, file), f"{wording}.{prompt}")
    raise UserError(f"no wording file holds the lines that {arm} is trained under, so there is no {prompt} of them")


def _own_files(arm: Arm) -> list[Path]:
    """The wording files that an arm's options name, those of an arm inside it included."""
    found: list[Path] = []
    for _, plugin in arm.parts:
        if isinstance(plugin, Inoculation | OfflineRewrite) and plugin.file:
            found.append(Path(plugin.file))
        if isinstance(plugin, FilteredSFT) and isinstance(plugin.source, Arm):
            found += _own_files(plugin.source)
    return found
