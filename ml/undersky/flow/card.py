"""The model card of a version: what it is, what it was made from, how it fared, as Markdown."""

from collections.abc import Mapping
from typing import Any

from undersky.judgement import Judgement

_ORIGIN = ("recipe_digest", "dataset_digest", "start_digest", "device", "torch", "undersky")


def model_card(header: Mapping[str, Any], judgement: Judgement) -> str:
    """The card.

    Args:
        header: `package.json` of the package.
        judgement: What the gate said of it.
    """
    origin = dict(header.get("provenance", {}))
    recipe = origin.get("recipe")
    name = recipe.get("name", "unknown") if isinstance(recipe, dict) else "unknown"
    upstream = origin.get("upstream") or {}
    lines = [
        f"# {judgement.model}: {judgement.candidate_label}",
        "",
        f"Package `{judgement.candidate}`, architecture `{header.get('architecture')}`, recipe `{name}`.",
        "It is two files, `package.json` and `weights.safetensors`; nothing in it can execute.",
        "",
        "## Made from",
        "",
        *(f"- {key}: `{origin[key]}`" for key in _ORIGIN if origin.get(key)),
        f"- upstream models: {', '.join(f'{k} `{v}`' for k, v in upstream.items()) or 'none'}",
        "",
        "## Evaluated",
        "",
        f"The gate, version {judgement.gate_version}, says **{judgement.outcome.replace('_', ' ')}**:",
        judgement.sentence,
        "",
        *_table(judgement),
    ]
    return "\n".join(lines) + "\n"


def _table(judgement: Judgement) -> list[str]:
    rows = [
        f"| suite | metric | {judgement.candidate_label} | {judgement.champion_label} |",
        "|---|---|---|---|",
    ]
    for suite, metrics in judgement.metrics.items():
        champion = judgement.champion_metrics.get(suite, {})
        rows += [
            f"| {suite} | {name} | {value:g} | {champion.get(name, '-')} |" for name, value in metrics.items()
        ]
    return rows
