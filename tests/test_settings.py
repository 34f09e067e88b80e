"""Settings: strict, typed, overridable."""

from pathlib import Path

import pytest

from base.errors import UserError
from base.settings import load_scale, scale_names
from base.spec import content_key
from base.yaml_text import read_yaml


@pytest.mark.parametrize("name", scale_names())
def test_every_scale_loads(name: str) -> None:
    scale = load_scale(name)
    assert scale.name == name
    assert scale.purpose


def test_overrides_reach_nested_settings_and_trainer_fields() -> None:
    scale = load_scale("tiny", ["rl.steps=40", "rl.learning_rate=1e-4", "rl.trainer.epsilon=0.3"])
    assert scale.rl.steps == 40
    assert scale.rl.learning_rate == pytest.approx(1e-4)
    assert scale.rl.trainer["epsilon"] == 0.3


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("rl.step=4", "did you mean 'steps'"),
        ("rl.steps=many", "rl.steps must be a valid integer"),
        ("optimizer.lr=1", "unknown setting 'optimizer'"),
        ("rl.steps", "section.key=value"),
        ("purpose.x=1", "single value"),
        ("engine.precision=fp64", "engine.precision must be .*bf16_matmul"),
        ("rl.steps=[1", "not valid YAML"),
    ],
)
def test_bad_overrides_name_the_fix(override: str, says: str) -> None:
    with pytest.raises(UserError, match=says.replace("(", r"\(")):
        load_scale("tiny", [override])


def test_unknown_scale_and_malformed_yaml(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'tiny'"):
        load_scale("tinny")
    bad = tmp_path / "bad.yaml"
    bad.write_text("rl:\n  steps: [1, 2\n")
    with pytest.raises(UserError, match=r"bad.yaml line \d+: malformed YAML"):
        read_yaml(bad)
    bad.write_text("- just\n- a list\n")
    with pytest.raises(UserError, match="a scale is a mapping"):
        load_scale(str(bad))


def test_content_key_sees_content_not_order() -> None:
    assert content_key({"a": 1, "b": (1, 2)}) == content_key({"b": [1, 2], "a": 1})
    assert content_key(load_scale("tiny").rl) != content_key(load_scale("tiny", ["rl.steps=9"]).rl)
