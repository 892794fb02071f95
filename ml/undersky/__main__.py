"""`python -m undersky` is `undersky`."""

from undersky.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
