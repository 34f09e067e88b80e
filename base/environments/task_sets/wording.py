"""Statements whose right answers are not one text, told by their wording, sentence by sentence.

Only a checker program could grade these, and the data sets have none. A problem left out for nothing costs less than a
right program called wrong; still, a story in which one may pick any card is not meant. What counts is a sentence that
says how the answer may be given or how it is compared.
"""

from __future__ import annotations

import re


def _rule(pattern: str) -> re.Pattern[str]:
    """`{}` names stand for the lists of words below."""
    words = {
        "PRINT": r"(?:print|output|return|display|write|report|list|show|emit)(?:s|ing|ed)?(?: out)?",
        "GIVE": r"(?:find|give|provide|construct|accept|submit|choose|pick|select|use|name|build|answer|determine)(?:s|ing)?",
        "FIT": r"(?:valid|correct|suitable|acceptable|appropriate|optimal|possible|feasible|such|proper|satisfying|of)",
        "ANSWER": r"(?:answer|solution|output|result|way|option|possibilit|variant|choice|arrangement|construction|array"
        r"|sequence|permutation|string|number|pair|path|plan|set|schedule|configuration|candidate|subset|cycle)"
        r"(?:s|es|ies)?",
        "MANY": r"(?:multiple|several|many|more than one|various|numerous|different|two or more|ambiguous)",
        "OF_THEM": r"of (?:them|these|those|such|the (?:\w+ )?(?:valid|possible|correct|optimal|suitable|acceptable"
        r"|answers|solutions|options|ways|candidates))",
        "TINY": r"(?:10 ?\^? ?\{? ?[-\u2013\u2212] ?\d|\b1e ?[-\u2013\u2212] ?\d|\b0?\.0+[1-9]\d*)",
        "COUNT": r"(?:\d+|one|two|three|four|five|six|seven|eight|nine|ten|twelve)",
    }
    for name, text in words.items():
        pattern = pattern.replace(f"{{{name}}}", text)
    return re.compile(pattern, re.IGNORECASE)


_RULES = tuple(
    map(
        _rule,
        (
            # Any of them.
            r"(?<!not )(?<!n't )(?<!never )\b{PRINT} any\b(?! (?:extra|additional|other|unnecessary|further|more|prompt|debug"
            r"|trailing|leading|spaces?|thing|text|number of))",
            r"(?<!not )(?<!n't )\b(?:{PRINT}|{GIVE}) (?:any(?: one)?|either(?: one)?|one|anyone|whichever) {OF_THEM}\b"
            r"(?!.*\b(?:number|count|how many)\b)",
            r"\b{GIVE} any (?:one )?(?:{FIT}|\w+ (?:that|which|satisfying|of them)|answer|solution)\b(?! (?:element|cell|card"
            r"|the|number|index|vertex))",
            r"\bany (?:one )?(?:of (?:them|these|those|the)? ?(?:\w+ )?)?(?:(?:valid|correct|possible|optimal|such) )?"
            r"(?:{ANSWER} )?(?:is|are|will be|would be|can be|may be|shall be) (?:accepted|allowed|ok\b|okay|fine|acceptable"
            r"|considered correct|printed|output|returned)",
            r"\b(?:all|any|every|each|both|either)\b(?: [\w,']+){1,9} (?:is|are|will be|would be) (?:also )?(?:accepted"
            r"|acceptable|considered (?:correct|right)|judged (?:correct|right))",
            r"\b(?:can|may|might|could) be {MANY} (?:correct|valid|right|acceptable|possible|suitable) (?:answer|solution|output)s"
            r"(?!.*\b(?:lexicographic|smallest|largest|minim|maxim|first|last|how many|number of))",
            r"\b(?:need not|needn't|does not need to|doesn't need to|does not have to|doesn't have to|not necessarily) (?:be )?(?:the )?"
            r"(?:minimal|minimum|optimal|shortest|smallest|unique)",
            r"\b(?:if|when|where|in case|as|since|should)\b.*\b{MANY}\b.*\b(?:(?<!picks )(?<!chooses )(?<!takes )any\b(?! \w+ (?:can|cannot))|either|arbitrary"
            r"|arbitrarily|whichever|one {OF_THEM}|all (?:of them )?(?:are|will))",
            r"\bany (?:valid|correct|acceptable) {ANSWER}\b",
            r"\b(?:{PRINT}|find|give|provide|construct|choose)\b(?: \w+)? (?:an? )?arbitrary\b(?! (?:number|integer|order|precision))",
            r"\b(?:other|another|different|alternative) (?:\w+ )?{ANSWER} (?:\w+ )?(?:is|are|may be|might be|will be|can be)?"
            r" ?(?:also )?(?:possible|valid|accepted|acceptable|allowed|correct|exists?)\b",
            r"\bone of (?:the|many|several|multiple) (?:\w+ )?(?:possible|valid|correct|acceptable|optimal|right)"
            r" (?:answer|solution|output)s\b",
            r"\bnot the only (?:\w+ )?(?:answer|solution|output|way)\b",
            r"(?:\bnot|n't|\bunnecessary)\b(?: \w+){0,3} to (?:minimi[sz]e|maximi[sz]e)\b",
            r"\bchecker (?:program|will)|\bspecial (?:judge|checker)\b",
            # In any order.
            r"\b(?:{PRINT}|answers?|outputted)\b(?!.*\b(?:if|can|could|when|that|where|so that|minimum|maximum|number of)\b"
            r".*\bin (?:any|arbitrary|an arbitrary|whatever|no particular)\b).*\bin (?:any|arbitrary|an arbitrary|whatever"
            r"|no particular|whichever) order",
            r"\b(?:answers?|output|result) (?:\w+ )?(?:may|can|could) be (?:\w+ )?in (?:any|arbitrary|an arbitrary) order",
            r"\b(?:may|can|could|should|be) (?:be )?(?:printed|output|outputted|listed|returned|displayed|written|reported)"
            r"(?: \w+)? in (?:any|arbitrary|an arbitrary|whatever|no particular|whichever) order",
            r"\border\b.*\b(?:answers?|output|result|returned|printed|print|return)\b.*\b(?:not|n't) (?:matter|important)",
            r"\border\b(?: \w+){0,5} (?:not|n't)(?: \w+)? (?:matter|important)\b.*\b(?:output|answer|return|print|result)",
            r"\b(?:{PRINT}|return)\b.*\border (?:does not|doesn't|is not|isn't) (?:matter|important)",
            # Within a tolerance.
            r"\b(?:absolute|relative)(?: or (?:absolute|relative))? error\b",
            r"\b(?:error|precision|accuracy|exceed|differ|difference|deviat|toleranc|within)\w*\b.*{TINY}",
            r"{TINY}.*\b(?:error|precision|accuracy|toleranc|deviation|difference)",
            r"\b(?:1e ?[-\u2013\u2212]|10 ?\^ ?\{? ?[-\u2013\u2212]) ?\d+",
            r"\b(?:precision|accuracy)\b(?: \w+){0,3} (?:{COUNT}|at least|up to)\b.*\b(?:digit|decimal|place)",
            r"\bat least {COUNT} (?:\w+ )?(?:digits|decimals?|places)\b",
            r"\b(?:considered|judged|treated|regarded|counted) (?:to be |as )?(?:correct|right|accepted),? (?:if|when|as long)",
            r"\b(?:floating[- ]point|rounding|precision) errors?\b.*\b(?:accept|allow|ignored|tolerat)",
        ),
    )
)  # fmt: skip
_INTERACTIVE = re.compile(
    r"\binteractive (?:problem|task|interaction|program|mode)|\bflush (?:the )?(?:output|stdout)|\bfflush\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<=[.!?:;])\s+(?=[^a-z])|\n\s*\n|(?<=\.)\s+(?=if\b)")


LONG = 400


def several_answers(text: str) -> bool:
    """Whether a statement says that several answers are right (any order, any of them, within a tolerance, ...)."""
    return any(rule.search(sentence) for sentence in _sentences(text) for rule in _RULES)


def interactive(text: str) -> bool:
    """Whether a statement describes a program that talks with a judge."""
    return _INTERACTIVE.search(text) is not None


def _sentences(text: str) -> list[str]:
    """Each at most LONG characters long: a text without full stops must not cost quadratic time."""
    text = re.sub(r"\$+|\*\*|`|\\\\[,;]", "", text)  # marks of formulas and of emphasis
    found = (" ".join(part.split()) for part in _SENTENCE.split(text))
    return [part[at : at + LONG] for part in found for at in range(0, len(part), LONG)]
