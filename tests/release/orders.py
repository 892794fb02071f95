"""Orders in a store in memory, carried out as `undersky model stage` does; the trainings' toy is known."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from toy import TOY  # the table of tasks knows the toy from now on

from undersky.models.package import load_package, shipped
from undersky.refs import Begin, ModelRef, PackageRef, ReleaseOrder, ReleaseStage
from undersky.release.run import run_release
from undersky.services.store import Store
from undersky.settings import Settings


@dataclass(frozen=True, slots=True)
class Works:
    """A store, a scratch folder, and what the stages told."""

    store: Store
    settings: Settings
    told: list[tuple[str, Mapping[str, object]]] = field(default_factory=list)

    def recipe(self, text: str = "", **changes: object) -> str:
        """Address of a recipe in the store: the text, or the toy with changes."""
        lines = text or "\n".join(f"{key}: {value}" for key, value in (TOY | changes).items())
        number = len(list(self.store.list("recipes/")))
        self.store.put(f"recipes/{number}.yaml", lines.encode())
        return self.store.href(f"recipes/{number}.yaml")

    def order(self, run: str = "one", **differs: Any) -> str:
        """Address of an order; of the toy unless it says otherwise."""
        known = {"run": run, "model": "toy", "recipe": "default", "begin": Begin.DATASET, "by": "ada"}
        key = f"releases/{run}/order.json"
        self.store.put_json(key, ReleaseOrder.model_validate(known | differs))
        return self.store.href(key)

    def run(self, stage: ReleaseStage, order: str) -> Any:
        """What the stage leaves."""
        return run_release(stage, order, store=self.store, settings=self.settings, tell=self.hear)

    def hear(self, event: str, **facts: object) -> None:
        """As the log."""
        self.told.append((event, facts))

    def elsewhere(self, name: str, **changes: object) -> "Works":
        """The same store, seen from a machine with an empty scratch folder."""
        assert self.settings.scratch is not None
        scratch = self.settings.scratch.with_name(name)
        return replace(
            self, settings=self.settings.model_copy(update={"scratch": scratch, **changes}), told=[]
        )

    def keys(self, prefix: str) -> list[str]:
        """What lies there."""
        return sorted(stored.key for stored in self.store.list(prefix))


def put_shipped(store: Store, name: str, folder: str) -> PackageRef:
    """A shipped package lies in the store."""
    package, where = load_package(shipped(name)), f"{folder}/correction/{name}"
    for path in shipped(name).iterdir():
        store.put_file(f"{where}/{path.name}", path)
    return PackageRef(name="correction", label=package.version, digest=package.digest, href=store.href(where))


def as_champion(ref: PackageRef) -> ModelRef:
    """That package is in use."""
    return ModelRef(name=ref.name, version="1", label=ref.label, digest=ref.digest, href=ref.href)
