"""YAML files into profiles. An unknown key, a doubled key or a wrong type is an error with its place."""

from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

from undersky.errors import ConfigError
from undersky.services.profiles.profile import Profile
from undersky.strict_yaml import parse_yaml

_SHIPPED = Path(__file__).parent
_MAX_BYTES = 1 << 20


def load_profiles(folder: Path | None = None) -> Mapping[str, Profile]:
    """The shipped profiles, and those of a folder, which replace shipped ones of the same name.

    Raises:
        ConfigError: The folder does not exist, or a profile in it cannot be used.
    """
    found = {profile.name: profile for profile in map(read_profile, sorted(_SHIPPED.glob("*.yaml")))}
    if folder is None:
        return found
    if not folder.is_dir():
        raise ConfigError(f"UNDERSKY_PROFILES={folder} is no folder; expected a folder of <name>.yaml files")
    for path in sorted(folder.glob("*.yaml")):
        profile = read_profile(path)
        found[profile.name] = profile
    return found


def read_profile(path: Path) -> Profile:
    """The profile in a file.

    Raises:
        ConfigError: It cannot be read, or is no profile; the message names the file and the key.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigError(f"{path} is larger than {_MAX_BYTES:,} bytes; a profile has a few thousand")
        raw = parse_yaml(path.read_text(encoding="utf-8"), aliases=True)
        profile = TypeAdapter(Profile).validate_python(raw)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is no YAML: {error}") from error
    except ValidationError as error:
        raise ConfigError(f"{path}: {_first(error)}") from error
    if profile.name != path.stem:
        raise ConfigError(f"{path} holds the profile {profile.name!r}; call the file {profile.name}.yaml")
    return profile


def _first(error: ValidationError) -> str:
    """The most telling problem: an unknown key explains the one that is missed."""
    problems = error.errors()
    first = next((one for one in problems if one["type"] == "unexpected_keyword_argument"), problems[0])
    where = ".".join(str(part) for part in first["loc"]) or "the file"
    if first["type"] == "unexpected_keyword_argument":
        return f"{where} is no key of a profile"
    found = f", found {first['input']!r}" if isinstance(first["input"], str | int | float) else ""
    return f"{where}: {first['msg']}{found}"
