"""What is wrong with a config is said in one sentence, before anything runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from wotd import configuration
from wotd.configuration import build, check, compose, config_directory, known_keys, overrides_of
from wotd.errors import ConfigurationError


def refusal(*overrides: str) -> str:
    """The one sentence with which these overrides are refused, by composing or by the check."""
    with pytest.raises(ConfigurationError) as caught:
        check(compose(overrides))
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        # keys
        (["data.batchsize=64"], "unknown key 'data.batchsize'; the nearest is 'data.batch_size'."),
        (["dat.batch_size=64"], "unknown key 'dat.batch_size'; the nearest is 'data.batch_size'."),
        (["batch_size=64"], "the nearest is 'data.batch_size'."),
        (["sead=3"], "unknown key 'sead'; the nearest is 'seed'."),
        (["zzz=3"], "unknown key 'zzz'; --cfg job shows all keys."),
        (["+experiment=lsa", "embedding.dimensions=3"], "the nearest is 'embedding.dimension'."),
        (["provider=files", "provider.rot=x"], "the nearest is 'provider.root'."),
        (["model.optimizer.lr=1"], "unknown key 'model.optimizer.lr'"),
        (["+data.batchsize=64"], "unknown key 'data.batchsize'; the nearest is 'data.batch_size'."),
        (["+trainer.max_epoch=3"], "unknown key 'trainer.max_epoch'; the nearest is 'trainer.max_epochs'."),
        (["+data.batch_size=64"], "the key 'data.batch_size' exists already; write it without the plus sign."),
        (["trainer.limit_train_batches=3"], "write it with a plus sign: +trainer.limit_train_batches=3."),
        (["provider=files", "provider.facts.tone=x"], "write it with a plus sign: +provider.facts.tone=x."),
        (["provider=files", "provider.facts={tone: x}"], "write it with a plus sign: +provider.facts={tone: x}."),
        (["~callbacks", "callbacks.amp.precision=auto"], "unknown key 'callbacks.amp.precision'"),
        (["~callbacks.nonesuch"], "'callbacks.nonesuch' does not exist."),
        # types
        (["data.batch_size=abc"], "data.batch_size is 'abc'; expected a whole number."),
        (["data.batch_size=1.5"], "data.batch_size is 1.5; expected a whole number."),
        (["data.val_fraction=most"], "data.val_fraction is 'most'; expected a number."),
        (["data.vectors=3"], "data.vectors is 3; expected text or null."),
        (["model.hidden=3"], "model.hidden is 3; expected a list, each a whole number."),
        (["model.hidden=[a]"], "model.hidden is ['a']; expected a list, each a whole number."),
        (["model.optimizer.fused=x"], "model.optimizer.fused is 'x'; expected true or false or null."),
        (["trainer.max_epochs=many"], "trainer.max_epochs is 'many'; expected a whole number or null."),
        (["callbacks.gradient_clipping.max_norm=x"], "callbacks.gradient_clipping.max_norm is 'x'; expected a number."),
        (["seed=abc"], "seed is 'abc'; expected a whole number."),
        (["seed=null"], "seed is null; expected a whole number."),
        (["name=null"], "name is null; expected text."),
        (["artifacts.texts=maybe"], "artifacts.texts is 'maybe'; expected true or false."),
        (["ckpt_path=3"], "ckpt_path is 3; expected text or null."),
        (
            ["provider=files", "provider.root=x", "provider.passages=chop"],
            "provider.passages is 'chop'; expected cut or",
        ),
        # choices
        (
            ["embedding=minilmm"],
            "embedding has no option 'minilmm'; the nearest is 'minilm'; it has arctic_l_v2, arctic_xs",
        ),
        (
            ["model/quantizer=vq"],
            "model/quantizer has no option 'vq'; the nearest is 'hvq'; it has fsq, hvq, hvq_deep, hvq_wide.",
        ),
        (["+experiment=nope"], "experiment has no option 'nope'; it has deep, lsa, minilm."),
        (["experiment=minilm"], "experiment=minilm adds to the config; write it with a plus sign: +experiment=minilm."),
        (["+" + "p" * 1000], "cannot be read; expected KEY=VALUE"),
        (["sweep=embeddings"], "write it with a plus sign: +sweep=embeddings."),
        (["provider=[files,gutenberg]"], "provider takes one option; use provider=mixed and set a root for each."),
        (["embedding=[minilm,lsa]"], "embedding takes one option; use -m to sweep over several."),
        (["+experiment=[minilm,lsa]"], "experiment takes one option; use -m"),
        (["model=null"], "model=null: model takes one option; it has deep, named."),
        (["logger="], "logger=: logger takes one option; ~logger leaves it out."),
        (["~data"], "data is None; choose one of default."),
        (["~trainer"], "trainer is None; choose one of ddp, default."),
        # what cannot be read
        (["nonsense"], "nonsense cannot be read; expected KEY=VALUE"),
        (["model.hidden=[1"], "model.hidden=[1 cannot be read"),
        # gaps
        (["provider=standard_ebooks"], "1 key has no value; set provider.root=…."),
        (
            ["provider=standard_ebooks", "data.seed=???", "embedding.model=???"],
            "3 keys have no value; set data.seed=…, embedding.model=…, provider.root=….",
        ),
        (["data._target_=wotd.data.Nothing"], "data._target_ is wotd.data.Nothing, which cannot be imported"),
    ],
)
def test_one_sentence(overrides: list[str], sentence: str) -> None:
    assert sentence in refusal(*overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["+experiment=minilm"],
        ["+experiment=deep", "data.vectors=x.npy"],
        ["+experiment=lsa", "model=deep"],
        ["+provider.facts.tone=x", "provider=files", "provider.root=x"],
        ["+trainer.limit_train_batches=3"],
        ["~callbacks.early_stopping", "~logger"],
        ["callbacks.early_stopping=null"],
        ["model.optimizer.learning_rate=1"],
        ["trainer.devices=2", "trainer=ddp"],
        ["trainer.devices=[0,1]"],
        ["data.val_fraction=0"],
        ["provider=mixed", "provider.files.root=x"],
        ["name='a b'"],
    ],
)
def test_what_is_right_passes(overrides: list[str]) -> None:
    check(compose(overrides))


def test_groups_that_a_run_does_not_need_may_have_gaps() -> None:
    config = compose(["+experiment=deep", "data.vectors=x.npy", "provider=standard_ebooks"])
    with pytest.raises(ConfigurationError, match=r"provider\.root"):
        check(config)
    check(config, unused=["provider"])


def test_checking_writes_nothing_into_the_config() -> None:
    config = compose()
    before = OmegaConf.to_yaml(config)
    check(config)
    assert OmegaConf.to_yaml(config) == before


def test_known_keys_are_those_one_can_set() -> None:
    keys = known_keys()
    assert {"data.batch_size", "seed", "trainer.max_epochs", "callbacks.amp.precision", "artifacts.texts"} <= set(keys)
    assert not [key for key in keys if "_target_" in key]


def test_composing_twice_and_after_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refusal("data.batchsize=64")
    assert compose(["seed=3"]).seed == 3
    assert not list(tmp_path.iterdir())


def test_where_the_configs_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (config_directory() / "train.yaml").is_file()
    package = tmp_path / "site" / "wotd"
    monkeypatch.setattr(configuration, "_PACKAGE", package)
    with pytest.raises(ConfigurationError, match=r"neither .*site/wotd/conf nor .*site/conf holds train\.yaml"):
        config_directory()
    for folder in (tmp_path / "site" / "conf", package / "conf"):  # a checkout's, then a wheel's, which wins
        folder.mkdir(parents=True)
        (folder / "train.yaml").touch()
        assert config_directory() == folder


# --- building


class Inner:
    """Refuses to be made."""

    def __init__(self, *, kind: str) -> None:
        raise ConfigurationError("inner is wrong.") if kind == "user" else ValueError("a bug")


class Outer:
    """Takes something from a config and something that no config holds."""

    def __init__(self, *, inner: Any = None, sizes: Sequence[int] = (), given: object = None, wrong: str = "") -> None:
        if wrong:
            raise ConfigurationError("outer is wrong.") if wrong == "user" else ValueError("a bug")
        self.inner, self.sizes, self.given = inner, sizes, given


HERE = f"{__name__}."


def node(**settings: Any) -> Any:
    return OmegaConf.create({"_target_": f"{HERE}Outer", **settings})


def test_building_hands_over_plain_data_and_what_is_given() -> None:
    given = {"a": object()}
    built = build(node(sizes=[1, 2], inner={"x": {"y": 1}}), "path", given=given)
    assert type(built.sizes) is list
    assert type(built.inner) is dict
    assert built.given is given


@pytest.mark.parametrize("arguments", [{"wrong": "user"}, {"inner": {"_target_": f"{HERE}Inner", "kind": "user"}}])
def test_errors_of_the_user_come_unwrapped(arguments: Mapping[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"^(inner|outer) is wrong\.$"):
        build(node(**arguments))


@pytest.mark.parametrize("arguments", [{"wrong": "bug"}, {"inner": {"_target_": f"{HERE}Inner", "kind": "bug"}}])
def test_bugs_are_not_said_to_be_the_users(arguments: Mapping[str, Any]) -> None:
    with pytest.raises(Exception, match="a bug") as caught:
        build(node(**arguments))
    assert not isinstance(caught.value, ConfigurationError)


def test_what_lightning_refuses_is_the_users() -> None:
    trainer = OmegaConf.create({"_target_": "lightning.Trainer", "accelerator": "abacus"})
    with pytest.raises(ConfigurationError, match=r"^trainer: You selected an invalid accelerator name") as caught:
        build(trainer, "trainer")
    assert "\n" not in str(caught.value)


# --- mappings as overrides


def test_overrides_of_nested_and_dotted_mappings() -> None:
    nested = {
        "experiment": "minilm",
        "data": {"batch_size": 64, "vectors": None},
        "data.split_by": "work",
        "model.hidden": [16, 8],
        "+provider.facts": {"tone": "my tone"},
        "artifacts.texts": False,
        "trainer": {"max_epochs": 1e1},
    }
    assert overrides_of(nested) == [
        "+experiment=minilm",
        "data.batch_size=64",
        "data.vectors=null",
        "data.split_by=work",
        "model.hidden=[16,8]",
        "+provider.facts.tone='my tone'",
        "artifacts.texts=false",
        "trainer.max_epochs=10.0",
    ]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)


@given(value=values)
@example(value="A²")
@settings(max_examples=25)
def test_what_was_meant_is_what_hydra_reads(value: Any) -> None:
    if re.search(r"\$\{|^\?\?\?$", str(value)):  # an interpolation, or the mark of a gap, means something of its own
        return
    assert OmegaConf.to_container(compose([*overrides_of({"+extra": value})]), resolve=False)["extra"] == value


@pytest.mark.parametrize("override", ["seed=${seed}", "seed=${nowhere}", "+="])
def test_values_that_refer_to_none_or_to_themselves(override: str) -> None:
    with pytest.raises(ConfigurationError):
        check(compose([override]))
