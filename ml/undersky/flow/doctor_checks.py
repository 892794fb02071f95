"""What the doctor looks at, one function each: settings in, what was found out."""

import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import SecretStr

from undersky.errors import UnderskyError
from undersky.flow.words import listed
from undersky.services.access import SignIn, read_credentials
from undersky.services.opened import open_ledger, open_registry, open_store
from undersky.services.profiles import Profile, load_profiles
from undersky.settings import Settings

NEEDED_GB = 5.0
"""Free on the disk of the working files: one scene is up to 3 GB read and written."""
MAX_SKEW_S = 60.0
"""S3 refuses requests that are 15 minutes off; leases and overpasses go wrong earlier."""
_PYTHON = (3, 11), (3, 14)


@dataclass(frozen=True, slots=True)
class Found:
    """What a check found."""

    sentence: str
    cure: str | None = None
    """What to do; a check with a cure has failed."""
    is_off: bool = False
    """Nothing to look at: not set, and not needed."""


def settings_set(settings: Settings) -> tuple[tuple[str, str], ...]:
    """Name and value of every setting that is set, secrets and passwords in addresses hidden."""
    shown = []
    for name in sorted(settings.model_fields_set):
        value = getattr(settings, name)
        text = "(set, hidden)" if isinstance(value, SecretStr) else _without_password(str(value))
        shown.append((f"UNDERSKY_{name.upper()}", text))
    return tuple(shown)


def disk(settings: Settings) -> Found:
    """Room for working files."""
    folder = settings.scratch or Path(tempfile.gettempdir())
    if not folder.is_dir():
        return Found(f"UNDERSKY_SCRATCH={folder} is no folder", f"mkdir -p {folder}")
    free = shutil.disk_usage(folder).free / 1e9
    said = f"{free:,.1f} GB free at {folder}"
    if free < NEEDED_GB:
        return Found(said, f"free {NEEDED_GB:g} GB there, or set UNDERSKY_SCRATCH to a larger disk")
    return Found(said)


def versions(settings: Settings) -> Found:
    """Python and the libraries that results depend on; where stages are pods, those have them."""
    python = ".".join(str(part) for part in sys.version_info[:3])
    names = {name: _version(name) for name in ("torch", "numpy", "rasterio")}
    said = ", ".join([f"Python {python}", *(f"{name} {found or 'missing'}" for name, found in names.items())])
    if names["rasterio"]:
        import rasterio  # noqa: PLC0415  half a second that only the doctor spends

        said += f", GDAL {rasterio.__gdal_version__}"
    missing = [name for name, found in names.items() if found is None]
    if missing and settings.runtime == "kubernetes":
        said += "; the worker image has what is missing here"
    elif missing:
        return Found(said, f"install {listed(missing)}: make setup")
    if not _PYTHON[0] <= sys.version_info[:2] < _PYTHON[1]:
        return Found(said, "use Python 3.11, 3.12 or 3.13")
    return Found(said)


def ledger(settings: Settings) -> Found:
    """The database answers."""
    from undersky.services.health import database_ahead_s  # noqa: PLC0415  SQLAlchemy is loaded when asked for

    if settings.ledger is None:
        return _unset(settings, "UNDERSKY_LEDGER", "the PostgreSQL address, postgresql://user@host/undersky")
    database_ahead_s(settings.ledger.get_secret_value())
    return Found("PostgreSQL answers")


def migrations(settings: Settings) -> Found:
    """The schema is the one that this code needs."""
    if settings.ledger is None:
        return Found("no ledger to look at", is_off=True)
    with closing(open_ledger(settings)) as opened:
        rows = sum(count.number for count in opened.counts() if count.what == "acquisition")
        return Found(f"the schema is up to date; {rows:,} acquisitions, {len(opened.areas())} areas")


def store(settings: Settings) -> Found:
    """The bucket is there, may be listed and written."""
    if settings.store is None:
        return _unset(settings, "UNDERSKY_STORE", "the bucket, s3://name")
    opened = open_store(settings)
    opened.check()
    key = "doctor/written"
    opened.put(key, b"undersky doctor", content_type="text/plain")
    opened.delete(key)
    return Found(f"{opened.url} is listed, written and deleted from")


def conditional_puts(settings: Settings) -> Found:
    """What decides a race to publish does decide it."""
    if settings.store is None:
        return Found("no store to look at", is_off=True)
    report = open_store(settings).race()
    if settings.commit == "ledger":
        held = "hold as well" if report.holds else "do not hold"
        return Found(
            f"UNDERSKY_COMMIT=ledger: the ledger's row lock decides who publishes; conditional puts {held}"
        )
    if report.holds:
        return Found(report.sentence)
    return Found(
        f"the store is refused: {report.sentence}",
        "use a server with conditional puts, or set UNDERSKY_COMMIT=ledger: then the ledger is the lock",
    )


def registry(settings: Settings) -> Found:
    """The MLflow server answers."""
    if settings.registry is None:
        return _unset(settings, "UNDERSKY_REGISTRY", "the address of the MLflow server")
    opened = open_registry(settings)
    return Found(f"{opened.uri} answers")


def released(settings: Settings) -> Found:
    """Every model of the release set is in the registry, and its files are those of its verdict."""
    from undersky.flow.copied import verify  # noqa: PLC0415  the registry is loaded when asked for

    if settings.registry is None or settings.ledger is None:
        return Found("no registry or no ledger to look at", is_off=True)
    with closing(open_ledger(settings)) as ledger:
        record = ledger.release()
    if record is None:
        return Found("no model was released yet", "undersky model bootstrap")
    opened, said, apart = open_registry(settings), [], []
    for model in record.release.models:
        found = opened.version(model.name, model.version)
        with tempfile.TemporaryDirectory(dir=settings.scratch) as folder:
            opened.download(found, Path(folder))
            verify(Path(folder), found)
        if found.digest != model.digest or opened.aliases(model.name).get("champion") != model.version:
            apart.append(model.name)
        said.append(f"{model.name}: version {model.version} ({model.label}, {model.digest[:12]}), verified")
    if apart:
        return Found(
            f"{'; '.join(said)}; the registry's champion of {listed(apart)} is another",
            "somebody moved the alias by hand: `undersky model promote` releases a version",
        )
    return Found("; ".join(said))


def providers(settings: Settings) -> Found:
    """Profiles can be read, and those that areas ask have their logins."""
    profiles = load_profiles(settings.profiles)
    credentials = read_credentials(settings.credentials)
    asked = _asked(settings, profiles)
    names = asked if asked is not None else list(profiles)
    lacking = {name: lack for name in names if (lack := profiles[name].needs_login(credentials))}
    open_s3 = [
        name
        for name in names
        if profiles[name].authentication.kind is SignIn.S3_KEYS
        and (profiles[name].authentication.credentials or "") not in credentials
    ]
    said = f"{len(profiles)} profiles, " + (
        f"areas ask {listed(names)}" if asked is not None else "no area asks yet"
    )
    if open_s3:
        said += f"; {listed(open_s3)} takes the AWS keys that boto3 finds"
    if lacking and asked is not None:
        entries = listed([f'"{entry}"' for entry in dict.fromkeys(lacking.values())])
        return Found(
            f"{said}; no login for {listed(list(lacking))}",
            f"give UNDERSKY_CREDENTIALS an entry {entries} with user and secret (docs/providers.md)",
        )
    if lacking:
        said += f"; {listed(list(lacking))} will need a login in UNDERSKY_CREDENTIALS"
    return Found(said)


def catalog(settings: Settings) -> Found:
    """The STAC API over what was published answers."""
    return _answers(settings.catalog_url, "UNDERSKY_CATALOG_URL")


def airflow(settings: Settings) -> Found:
    """Airflow answers."""
    return _answers(settings.airflow_url, "UNDERSKY_AIRFLOW_URL")


def clock(settings: Settings) -> Found:
    """Our clock, the database's and the store's agree."""
    from undersky.services.health import database_ahead_s, sign_of_life  # noqa: PLC0415  see above

    asked: dict[str, Callable[[], float | None]] = {}
    if settings.ledger is not None:
        url = settings.ledger.get_secret_value()
        asked["database"] = lambda: database_ahead_s(url)
    if settings.store is not None:
        endpoint = settings.s3_endpoint or "https://s3.amazonaws.com"
        asked["store"] = lambda: sign_of_life(endpoint).ahead_s
    said, off, silent = [], [], []
    for name, ask in asked.items():
        try:
            ahead = ask()
        except UnderskyError:
            silent.append(name)  # its own check says why
            continue
        if ahead is None:
            silent.append(name)
            continue
        said.append(f"the {name}'s clock is {abs(ahead):.1f} s {'ahead' if ahead >= 0 else 'behind'}")
        if abs(ahead) > MAX_SKEW_S:
            off.append(name)
    said += [f"the {name} does not tell the time" for name in silent]
    if off:
        return Found(
            "; ".join(said), "set the clocks by NTP, here and there: leases and signatures go by them"
        )
    return Found("; ".join(said) or "no clock to compare with", is_off=not asked)


def _answers(url: str | None, name: str) -> Found:
    from undersky.services.health import sign_of_life  # noqa: PLC0415  see above

    if url is None:
        return Found(f"{name} is not set", is_off=True)
    sign = sign_of_life(url)
    if sign.status >= 500:
        return Found(f"{url} answers with status {sign.status}", "look at that server's log")
    return Found(f"{url} answers")


def _asked(settings: Settings, profiles: Mapping[str, Profile]) -> list[str] | None:
    """The profiles that active areas ask; None where there is no area, or no ledger that could say."""
    if settings.ledger is None:
        return None
    try:
        with closing(open_ledger(settings)) as opened:
            areas = opened.areas(active=True)
    except UnderskyError:  # the ledger's own check says why
        return None
    if not areas:
        return None
    wanted: set[str] = set()
    for area in areas:
        chosen = area.profiles or [
            name for name, profile in profiles.items() if set(profile.collections) & set(area.collections)
        ]
        wanted |= set(chosen)
    return sorted(wanted & profiles.keys())


def _unset(settings: Settings, name: str, cure: str) -> Found:
    """Not set: needed as soon as any other part of the flow is."""
    flow = settings.model_fields_set & {"ledger", "store", "registry", "airflow_url"}
    said = f"{name} is not set"
    return Found(said, f"give {cure}") if flow else Found(f"{said}; verbs by hand need none", is_off=True)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _without_password(text: str) -> str:
    scheme, separator, rest = text.partition("://")
    if not separator or "@" not in rest.split("/")[0]:
        return text
    return f"{scheme}://...@{rest.split('@', 1)[1]}"
