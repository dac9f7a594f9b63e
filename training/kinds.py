"""The table of run kinds: what `kind = "..."` in a config stands for.

    config -> KINDS[kind] -> its settings -> its task -> the one loop

A new kind is one folder and one row. Nothing else in training knows a kind by name, and nothing here is
imported before a config asks for it. Whoever has a kind of his own puts its row in before the config is read:

    KINDS["toy"] = RunKind(settings="my_package.toy:ToyRun", task="my_package.toy:ToyTask")
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from training.config.sections import Run
    from training.task import Task


@dataclass(frozen=True)
class RunKind:
    """The places of a kind's parts, each as `module:name`.

    Attributes:
        settings: the class of its config, a `training.config.Run` whose `kind` is the row's name.
        task: makes a `training.task.Task` of a config and the directory that its paths are relative to.
        may_start: its runs may go on from a published model, or join one, so `task` takes the directory of
            `models` too.
        by_ranks: its task shares a batch among the processes of torchrun, by `training.ranks.spread`.
    """

    settings: str
    task: str
    may_start: bool = False
    by_ranks: bool = False

    def settings_class(self) -> type[Run]:
        """The class of its config."""
        return cast("type[Run]", resolve_name(self.settings))

    def make_task(self, run: Run, data: Path, models: Path) -> Task:
        """Make the task that a config of the kind asks for. Raises TrainingError."""
        make = resolve_name(self.task)
        return cast("Task", make(run, data, models=models) if self.may_start else make(run, data))


KINDS: dict[str, RunKind] = {
    "text": RunKind(
        "training.text.settings:TextRun", "training.text.task:TextTask", may_start=True, by_ranks=True
    ),
    "recommender": RunKind(
        "training.recommender.settings:RecommenderRun", "training.recommender.task:RecommenderTask"
    ),
    "image": RunKind("training.image.settings:ImageRun", "training.image.task:ImageTask", may_start=True),
    "audio": RunKind("training.audio.settings:AudioRun", "training.audio.task:AudioTask", may_start=True),
}
