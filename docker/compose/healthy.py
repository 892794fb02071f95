"""Exit code 0 where a server is well: `healthy.py URL`, or `healthy.py URL PART` of Airflow's report."""

import json
import sys
import urllib.request


def main(url: str, *part: str) -> int:
    """0, or 1 and a sentence."""
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:  # noqa: S310  the address is the compose file's
            report = json.load(reply) if part else {}
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{url}: {error}\n")
        return 1
    status = [(report.get(name) or {}).get("status") for name in part]
    if any(each != "healthy" for each in status):
        sys.stderr.write(f"{url} calls {' '.join(part)} {status[0]}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
