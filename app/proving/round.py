"""One round of proving, for a start or a reload: a plan, and the verdicts on it as they come."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import structlog

from app.aliases import useless
from app.proving.kept import Kept, NotPrivate, cache_directory
from app.proving.plan import NO_WISHES, Plan, PlannedModel, Wishes, plan_of
from app.proving.prover import Prover
from app.proving.verdicts import Verdicts
from app.settings import Settings
from app.shared.listener import CannotServe
from app.shared.scratch import scratch
from bundle import BundleError, Store
from bundle.aliases import CURRENT
from bundle.signatures import read_trusted_keys

log = structlog.get_logger("encodery")


@dataclass(frozen=True)
class Round:
    """A plan and its verdicts, with the prover at work on them.

    Attributes:
        plan: what is to be loaded.
        verdicts: on each version of it, as they come.
        has_proven: tells whether all have come.
        has_measured: tells whether nothing more will come, the pace of each included.
        sweep: removes what is kept of versions that are not of this round, as far as it should.
        close: ends it, and removes what was prepared for it alone; sessions keep what they opened.
    """

    plan: Plan
    verdicts: Verdicts
    has_proven: Callable[[], bool]
    has_measured: Callable[[], bool]
    sweep: Callable[[], None]
    close: Callable[[], None]

    @classmethod
    def begin(
        cls,
        settings: Settings,
        plan: Plan,
        verdicts: Verdicts,
        kept: Kept | None = None,
        *,
        before: Verdicts | None = None,
        rereads: bool = True,
    ) -> Round:
        """Start to prove; returns at once.

        Args:
            settings: of the server.
            plan: what is to be proven.
            verdicts: are told; of this round alone, since files of the same version may rot.
            kept: where what is proven is kept; by default the cache, or a directory until this is closed.
            before: verdicts of the round that is served now.
            rereads: files that were proven then, too.
        """
        stack = ExitStack()
        kept = kept or stack.enter_context(kept_for(settings))
        prover = Prover(
            settings.models_dir,
            plan.versions(settings.required),
            kept,
            verdicts,
            threads=settings.threads,
            limit_s=settings.proof_limit_s,
            before=before,
            rereads=rereads,
        )
        stack.callback(prover.close)
        prover.start()
        return cls(
            plan,
            verdicts,
            lambda: prover.has_proven,
            lambda: prover.has_measured,
            lambda: kept.sweep(plan.versions()),
            stack.close,
        )

    def refused_now(self, before: Round) -> dict[str, str]:
        """Models that answered under some name in a round before and would not in this one, and why."""
        reasons: dict[str, str] = {}
        for model in self.plan.models:
            was = before.plan.model(model.name)
            told = [one.version or CURRENT for one in model.refused]
            broken = [name for name in told if was and name in was.names]
            for name in (*model.names, *broken) if was and not model.is_unloaded else ():
                is_sound = was is not None and before._fault(was, name) is None
                if is_sound and (fault := self._fault(model, name)) is not None:
                    reasons.setdefault(model.name, fault)
        return reasons

    def _fault(self, model: PlannedModel, name: str) -> str | None:
        """Why a name of a model cannot be answered by; None if it can."""
        versions = model.names.get(name)
        if not versions:
            reasons = {one.version: one.reason for one in model.refused}
            return reasons.get(None if name == CURRENT else name, f"it has no {name} version")
        for version in versions:
            if (reason := self._refusal(model, version)) is not None:
                return f"{version}: {reason}"
        return None

    def faults(self, versions: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        """Those of some versions that cannot be answered by, as name/version, and why."""
        for name, version in versions:
            model = self.plan.model(name)
            if (reason := self._refusal(model, version)) is not None:
                yield f"{name}/{version}", reason

    def _refusal(self, model: PlannedModel | None, version: str) -> str | None:
        """Why a version cannot be answered by: it could not be planned, or is not proven."""
        refused = {one.version: one.reason for one in model.refused} if model else {}
        planned = {one.version: one.digest for one in model.versions} if model else {}
        return refused.get(version) or self.reason(planned.get(version, ""))

    def reason(self, digest: str) -> str | None:
        """Why a version was refused; None if it is proven."""
        verdict = self.verdicts.get(digest)
        return "not proven" if verdict is None else verdict.reason


def planned(
    settings: Settings,
    before: Plan | None = None,
    wishes: Wishes = NO_WISHES,
    only: Collection[str] | None = None,
    names: Plan | None = None,
) -> tuple[Settings, Plan]:
    """What there is to serve, and the settings with names of models that are there.

    Args:
        settings: of the server.
        before: as `plan_of` has it.
        wishes: the same.
        only: the same.
        names: a plan whose models have their names already; by default they are those on the disk.

    Raises:
        CannotServe: there is nothing to prove, or a model that was asked for is not there.
    """
    models = settings.models_dir
    if not models.is_dir():
        raise CannotServe(f"There is no directory {models}; set --models-dir or ENCODERY_MODELS_DIR.")
    try:
        trusted = read_trusted_keys(settings.trusted_keys) if settings.trusted_keys else None
    except BundleError as error:
        raise CannotServe(f"ENCODERY_TRUSTED_KEYS cannot be used: {error}.") from None
    store = Store(models, trusted)
    store.sweep()
    known = {model.name: model for model in names.models} if names else {}
    plan = plan_of(store, settings.versions_per_model, before=before, wishes=wishes, only=only, names=known)
    if not plan.versions():
        reasons = "; ".join(
            f"{one.name}/{one.version or 'current'}: {one.reason}" for one in plan.refused[:3]
        )
        raise CannotServe(f"{models} holds no model that can be loaded. {reasons}".rstrip())
    settings = resolved(settings, plan)
    _warn_of_aliases(settings, plan)
    return settings, plan


def resolved(settings: Settings, plan: Plan) -> Settings:
    """The settings with names of models that are there.

    Who named none gets the only model there is; among several none is guessed, since the next one published
    could change whose vectors a request gets. Then requests must name one, and all must be ready.

    Raises:
        CannotServe: a model that a setting names is not there.
    """
    names, default = plan.names, settings.default_model
    known = _known(settings, names)
    for name in settings.required if settings.required_models else ():
        if name not in known:
            raise CannotServe(f"ENCODERY_REQUIRED_MODELS names {name}; there are {', '.join(names)}.")
    if default not in known and "default_model" in settings.model_fields_set:
        raise CannotServe(f"ENCODERY_DEFAULT_MODEL names {default}; there are {', '.join(names)}.")
    found = as_served(settings, names)
    if found.default_model != default:
        log.info("the only model is the default one", default_model=found.default_model)
    elif found is not settings:
        log.warning(
            "no default model: requests must name one; set ENCODERY_DEFAULT_MODEL",
            missing=default,
            models=names,
        )
    return found


def as_served(settings: Settings, names: Sequence[str]) -> Settings:
    """What the settings come to with these models, where they do not say it themselves."""
    if "default_model" in settings.model_fields_set or settings.default_model in _known(settings, names):
        return settings
    if len(names) == 1:
        return settings.model_copy(update={"default_model": names[0]})
    return settings.model_copy(update={"required_models": settings.required_models or ",".join(names)})


def _known(settings: Settings, names: Sequence[str]) -> list[str]:
    """The names that lead to a model."""
    aliases = settings.model_aliases.items()
    return [*names, *(name for name, target in aliases if target.partition("/")[0] in names)]


def _warn_of_aliases(settings: Settings, plan: Plan) -> None:
    versions = {model.name: [*(one.version for one in model.versions), *model.names] for model in plan.models}
    for name, target in settings.model_aliases.items():
        if why := useless(name, target, versions):
            log.warning("alias without effect", name=name, stands_for=target, reason=why)


@contextmanager
def kept_for(settings: Settings) -> Iterator[Kept]:
    """The cache, or a directory that is removed at the end; nothing where none can be written."""
    try:
        lasting = cache_directory(settings.cache_dir)
    except NotPrivate as error:
        tell = log.warning if settings.cache_dir else log.info
        tell("nothing is kept for the next start", cache_dir=str(settings.cache_dir or ""), reason=str(error))
        with scratch() as made:
            yield Kept(made, settings.threads, is_lasting=False)
    else:
        yield Kept(lasting, settings.threads)
