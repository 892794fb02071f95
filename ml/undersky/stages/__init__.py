"""The heavy verbs, one per file: references in, reference out. They never import each other."""
