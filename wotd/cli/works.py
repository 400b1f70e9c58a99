"""Works of a provider that is named on the command line, composed as ``wotd-train`` would."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from wotd.cli.app import WrongUsageError
from wotd.taxonomy import Taxonomy

if TYPE_CHECKING:
    from wotd.providers.corpora import Corpora


def read_works(
    provider: str, root: str | None, settings: Sequence[str], taxonomy: Taxonomy | None = None
) -> tuple[Corpora, Taxonomy]:
    """All works of a provider with their labels, and the taxonomy these follow.

    Args:
        provider: option of the config group.
        root: what it reads; None where it needs nothing, or the settings say it.
        settings: further overrides of the training config.
        taxonomy: the rules; None: those the config names.

    Raises:
        ConfigurationError: what is wrong with a setting.
        CorpusError: if there is nothing to read.
    """
    from omegaconf import OmegaConf

    from wotd.configuration import build, check, compose, overrides_of
    from wotd.providers.corpora import collect

    config = compose([*overrides_of({"provider": provider, **({"provider.root": root} if root else {})}), *settings])
    check(config, unused=[str(group) for group in config if group not in ("provider", "taxonomy")])
    if taxonomy is None:
        taxonomy = Taxonomy.from_mapping(OmegaConf.to_container(config.taxonomy, resolve=True))  # type: ignore[arg-type]
    return collect(build(config.provider), taxonomy), taxonomy


def refuse_settings_without_provider(provider: str | None, root: str | None, settings: Sequence[str] | None) -> None:
    """Refuse ``--root`` and ``--set`` that nothing would read.

    Raises:
        WrongUsageError: naming what is missing.
    """
    if provider is None and (root or settings):
        raise WrongUsageError("--root and --set say what a provider reads; name it with --provider.")
