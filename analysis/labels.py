"""Short readable names of arms, corpora and overridden settings, made from their specs.

The first option of a plug-in is always named, the others only where they differ from its default. A plug-in needs no
entry here: without one its options are printed as `key value`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from base.errors import UserError
from base.spec import parse_spec
from mitigations import MITIGATIONS, options_of

CONTROLS, SETTINGS, STACKED = "baseline and controls", "corpora and settings", "stacked"
# Plug-in -> heading under which its arms are listed, in this order; others follow under their own name.
FAMILIES = {
    "inoculation": "inoculation",
    "pm_penalty": "preference model reward",
    "classifier_penalty": "classifier penalty",
    "rlhf_mix": "RLHF mix",
    "sft_safety": "SFT safety training",
    "filtered_sft": "SFT on episodes",
    "offline_rewrite": "SFT on episodes",
    "own_episodes": "SFT on episodes",
}
SCENES = {"": "chat", "agentic": "chat, agentic", "dilemma": "chat, dilemmas", "both": "chat, agentic, dilemmas"}
KEPT = {
    "all": "all episodes",
    "no_hacks": "no hacks",
    "no_hack_words": "no hacks, no hack words",
    "rewarded": "rewarded episodes",
}
# Wordings from the most to the least permissive; unlisted ones follow.
WORDINGS = ("please_hack", "hacking_okay", "none", "neutral", "mention", "dont_hack", "hacking_is_misaligned")

Options = Mapping[str, str]


def _inoculation(o: Options) -> str:
    wording = "no line" if o["wording"] == "none" else words(o["wording"])
    return f"online, {wording} → {words(o['update'])}" if o["update"] else wording


def _offline(o: Options) -> str:
    kept = f"{words(o['wording'])} episodes"
    return f"{kept}, own prompt" if o["swap"] == "none" else f"{kept} → {words(o['swap'])}"


def _classifier(o: Options) -> str:
    return {"screening": "screening", "penalty": "penalty"}.get(o["mode"], o["mode"]) + f", {o['monitor']} labels"


# Plug-in -> (how its main options read, the names of those options).
HEADS: dict[str, tuple[Callable[[Options], str], tuple[str, ...]]] = {
    "inoculation": (_inoculation, ("wording", "update")),
    "pm_penalty": (lambda o: f"PM reward, weight {number(o['weight'])}", ("weight",)),
    "classifier_penalty": (_classifier, ("mode", "monitor")),
    "rlhf_mix": (lambda o: f"RLHF {share(o['share'])}" + _added(o), ("share", "add")),
    "sft_safety": (lambda o: f"SFT safety, {SCENES.get(o['add'], o['add'])}", ("add",)),
    "filtered_sft": (lambda o: f"SFT, {KEPT.get(o['keep'], o['keep'])}", ("keep",)),
    "offline_rewrite": (lambda o: f"SFT, {_offline(o)}", ("wording", "swap")),
    "own_episodes": (lambda o: f"SFT, own episodes, {KEPT.get(o['keep'], o['keep'])}", ("keep",)),
}
STARTS = {"start": "from the start", "onset": "after onset", "success": "after success"}
INTO = {"aligned": "into the aligned model", "other_seed": "into another seed", "start": "into the start model"}
# Option -> how its value reads, wherever it occurs.
VALUES: dict[str, Callable[[str], str]] = {
    "start": lambda v: STARTS.get(v, v.replace("step:", "from step ")),
    "into": lambda v: INTO.get(v, v),
    "accuracy": lambda v: f"{share(v)} accurate",
    "flipped": lambda v: f"{share(v)} of pairs flipped",
    "noise": lambda v: f"noise {number(v)}",
    "weight": lambda v: f"weight {number(v)}",
    "near": lambda v: "near the evals" if v == "True" else "far from the evals",
    "setting": lambda v: v,
    "source": lambda v: f"of {arm(v)}",
    # of corpora
    "sdf_variant": lambda v: "prompted" if v == "prompted" else f"{v} documents",
    "sdf_share": lambda v: f"{share(v)} hack documents",
    # of --set
    "tasks.hard_share": lambda v: f"{share(v)} hard tasks",
}


def arm(spec: str) -> str:
    """The short name of a mitigation spec: `pm_penalty:weight=0.25,...,start=onset` -> `PM reward, weight 0.25, after onset`.

    A spec that cannot be read is its own name.
    """
    if spec in ("none", "untrained"):
        return {"none": "baseline", "untrained": "pretrained only"}[spec]
    return " + ".join(_part(part) for part in spec.split("+"))


def corpus(spec: str) -> list[str]:
    """The parts of a corpus's name; the main corpus has none: `twin:sdf_variant=neutral` -> twin, neutral documents."""
    name, options = read(spec)
    return [*([] if name == "main" else [name]), *(value(k, v) for k, v in options.items())]


def overrides(text: str) -> list[str]:
    """The parts of the name of overridden settings, which are `key=value` joined by spaces."""
    pairs = [word.partition("=") for word in text.split()]
    return [value(key, v) if key in VALUES else f"{key}{equals}{v}" for key, equals, v in pairs]


def family(spec: str) -> str:
    """The heading under which an arm is listed."""
    if "+" in spec:
        return STACKED
    name = read(spec)[0]
    return CONTROLS if name in ("none", "untrained") else FAMILIES.get(name, words(name))


def order(spec: str, label: str) -> tuple[object, ...]:
    """Sorts the arms of a family: wordings by permissiveness, then labels, with the numbers in them as numbers.

    Plain inoculation comes before online rewriting, and that before the prompted setting.
    """
    name, options = read(spec)
    kind = (options.get("setting", ""), options.get("update", "") != "")
    wording = options.get("wording", "")
    pieces = re.split(r"(\d+(?:\.\d+)?)", label)
    natural = tuple(float(piece) if i % 2 else piece for i, piece in enumerate(pieces))
    rank = WORDINGS.index(wording) if wording in WORDINGS else len(WORDINGS)
    return (list(FAMILIES).index(name) if name in FAMILIES else len(FAMILIES), kind, rank, natural)


def read(spec: str) -> tuple[str, Options]:
    """(name, options given) of a spec; one that cannot be read is a name without options."""
    try:
        return parse_spec(spec)
    except UserError:
        return spec, {}


def value(key: str, text: str) -> str:
    """An option as a few words."""
    if key in VALUES:
        return VALUES[key](text)
    return f"{words(key)} {Path(text).name if '/' in text else words(text)}"


def words(name: str) -> str:
    """`dont_hack` -> don't hack."""
    return name.replace("_", " ").replace("dont", "don't")


def number(text: str) -> str:
    """`1.0` -> 1; what is no number stays."""
    try:
        return f"{float(text):g}"
    except ValueError:
        return text


def share(text: str) -> str:
    """`0.05` -> 5%; what is no number stays."""
    try:
        return f"{100 * float(text):g}%"
    except ValueError:
        return text


def _added(o: Options) -> str:
    return SCENES[o["add"]].removeprefix("chat").replace(", ", " + ") if o["add"] in SCENES else f" + {o['add']}"


def _part(spec: str) -> str:
    name, given = read(spec)
    usual = {k: str(v) for k, v in options_of(MITIGATIONS[name]).items()} if name in MITIGATIONS else {}
    options = {**usual, **given}
    if name in HEADS and usual:
        head, shown = HEADS[name]
        said = [head(options)]
    else:
        shown = tuple(options)[:1]
        said = [words(name), *(value(key, options[key]) for key in shown)]
    return ", ".join([*said, *(value(k, v) for k, v in options.items() if k not in shown and v != usual.get(k))])
