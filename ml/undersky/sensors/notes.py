"""Findings said once: thirteen bands with the same oddity are one sentence, not thirteen."""

from collections.abc import Iterable

from undersky.scene import Finding, Note


def merge_notes(notes: Iterable[Note]) -> tuple[Note, ...]:
    """One note per finding, in order of first appearance; further sentences are counted."""
    sentences: dict[Finding, list[str]] = {}
    for note in notes:
        known = sentences.setdefault(note.finding, [])
        if note.sentence not in known:
            known.append(note.sentence)
    return tuple(Note(finding, _together(found)) for finding, found in sentences.items())


def _together(sentences: list[str]) -> str:
    if len(sentences) <= 2:
        return "; ".join(sentences)
    return f"{sentences[0]}; and {len(sentences) - 1} more like it"
