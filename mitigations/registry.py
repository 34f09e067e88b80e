"""The plug-ins. An explicit list: nothing registers itself on import."""

from __future__ import annotations

from base.identity import Registry
from mitigations.filtered_sft.filtered_sft import FilteredSFT
from mitigations.filtered_sft.offline_rewrite import OfflineRewrite
from mitigations.filtered_sft.own_episodes import OwnEpisodes
from mitigations.inoculation.inoculation import Inoculation
from mitigations.pm_penalty.monitor import Classifier
from mitigations.pm_penalty.pm_penalty import PMPenalty
from mitigations.rlhf_mix.rlhf_mix import RLHFMix
from mitigations.rlhf_mix.sft_safety import SFTSafety

MITIGATIONS: Registry = {
    "inoculation": Inoculation,
    "pm_penalty": PMPenalty,
    "classifier_penalty": Classifier,
    "rlhf_mix": RLHFMix,
    "sft_safety": SFTSafety,
    "filtered_sft": FilteredSFT,
    "offline_rewrite": OfflineRewrite,
    "own_episodes": OwnEpisodes,
}
