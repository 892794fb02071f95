"""One file a revision. A file that was released is never changed: write the next one."""
