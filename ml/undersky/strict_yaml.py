"""YAML that people write, read without its traps: nothing executes, no key twice, 1e-3 is a number."""

import re
from collections.abc import Hashable

import yaml


class _Strict(yaml.SafeLoader):
    """The safe reader, which silently takes the last of two equal keys; this one does not."""


class _Plain(_Strict):
    """One without aliases: a page of them unfolds to gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "found an alias (*name); write the values out")
        node: yaml.Node | None = super().compose_node(parent, index)
        return node


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Hashable, object]:
    keys = [loader.construct_object(key) for key, _ in node.value]
    doubled = {str(key) for key in keys if keys.count(key) > 1}
    if doubled:
        raise yaml.constructor.ConstructorError(
            None, None, f"found {', '.join(sorted(doubled))} twice", node.start_mark
        )
    mapping: dict[Hashable, object] = loader.construct_mapping(node, deep=True)
    return mapping


_Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_Strict.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def parse_yaml(text: str, *, aliases: bool = False) -> object:
    """The plain values of a document.

    Args:
        text: The document.
        aliases: True where `&name` and `*name` may stand: in a profile, whose size is bounded.

    Raises:
        yaml.YAMLError: It is malformed, or holds a key twice or an alias that may not stand.
    """
    return yaml.load(text, _Strict if aliases else _Plain)  # noqa: S506  SafeLoaders both
