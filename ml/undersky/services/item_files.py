"""The files behind an Item's assets, under the names of a product folder that the sensors open.

Each rule of the profile names a file and an asset. Of an asset's addresses, its own and its alternates, the
first is taken that the profile's rules allow.
"""

from collections.abc import Iterator, Mapping

from undersky.refs import FileRef
from undersky.services.access import HrefRefused, check_name
from undersky.services.profiles import FileRule, Profile
from undersky.services.scene_names import Refused, SceneName

_PLAIN_SCHEMES = ("https", "http", "s3")
_MULTIHASH = {
    0x11: ("sha1", 20),
    0x12: ("sha256", 32),
    0x13: ("sha512", 64),
    0x16: ("sha3-256", 32),
    0x1E: ("blake3", 32),
    0xD5: ("md5", 16),
}
"""Code to algorithm and bytes of digest. Source: github.com/multiformats/multicodec, table of multihashes."""
_MAX_BYTES = 1 << 40


def files_of(
    item: Mapping[str, object], name: SceneName, profile: Profile, *, collection: str, settled: bool
) -> tuple[FileRef, ...]:
    """The product folder of an Item.

    Args:
        item: The Item.
        name: Its identity.
        profile: Whose Item it is.
        collection: Ours.
        settled: Whether nobody completes the Item any more: then what lacks is left to validation.

    Raises:
        Refused: `no_usable_hrefs`, `hostile_href`, `incomplete_item`.
    """
    assets = item.get("assets")
    if not isinstance(assets, Mapping):
        raise Refused("no_usable_hrefs", f"{name.scene} has no assets")
    rules = [rule for rule in profile.product(collection).files if rule.is_of(name.baseline)]
    found: dict[str, FileRef] = {}
    absent: list[str] = []
    for rule in rules:
        files = list(_of_rule(rule, assets, name, profile))
        found.update({file.name: file for file in files})
        if not files and not rule.optional:
            absent.append(rule.keys[0] if rule.keys else rule.name)
    _check_enough(name, rules, found, absent=absent, settled=settled)
    return tuple(found.values())


def _check_enough(
    name: SceneName,
    rules: list[FileRule],
    found: Mapping[str, FileRef],
    *,
    absent: list[str],
    settled: bool,
) -> None:
    needed = sum(1 for rule in rules if rule.asset and not rule.path and not rule.optional)
    if len(absent) >= needed or not found:
        raise Refused("no_usable_hrefs", f"{name.scene} has no address of {' '.join(absent) or 'any file'}")
    if absent and not settled:
        sentence = f"{name.scene} lacks {' '.join(absent)} so far; it is looked at again by later searches"
        raise Refused("incomplete_item", sentence)


def _of_rule(
    rule: FileRule, assets: Mapping[str, object], name: SceneName, profile: Profile
) -> Iterator[FileRef]:
    for each in rule.each or ("",):
        label = check_name(_filled(rule.name, name, each))
        if rule.href is not None:
            href = _filled(rule.href, name, each)
            _check(href, profile, name)
            yield FileRef(name=label, href=href)
            continue
        asset = next((assets[key] for key in rule.keys if isinstance(assets.get(key), Mapping)), None)
        if not isinstance(asset, Mapping) or (base := _address(asset, profile, name)) is None:
            continue
        if rule.path is None:
            yield FileRef(name=label, href=base, size=_size(asset), checksum=_checksum(asset))
        else:
            href = _beside(base, _filled(rule.path, name, each))
            _check(href, profile, name)
            yield FileRef(name=label, href=href)


def _address(asset: Mapping[str, object], profile: Profile, name: SceneName) -> str | None:
    """The best allowed address; None where every address has a scheme that this profile does not use.

    Raises:
        Refused: `hostile_href`.
    """
    addresses = [_rewritten(address, profile) for address in _addresses(asset)]
    schemes = profile.rules.schemes
    usable = [address for address in addresses if not _is_other_plain(address, schemes)]
    usable.sort(key=lambda address: _rank(address, schemes))
    refusal: HrefRefused | None = None
    for address in usable:
        try:
            profile.rules.check(address)
        except HrefRefused as error:
            refusal = refusal or error
        else:
            return address
    if refusal is not None:
        raise Refused("hostile_href", f"{name.scene}: {refusal}")
    return None


def _addresses(asset: Mapping[str, object]) -> Iterator[str]:
    alternates = asset.get("alternate")
    others = list(alternates.values()) if isinstance(alternates, Mapping) else []
    for holder in (asset, *others):
        href = holder.get("href") if isinstance(holder, Mapping) else None
        if isinstance(href, str) and href:
            yield href


def _rewritten(address: str, profile: Profile) -> str:
    for rewrite in profile.rewrites:
        if address.startswith(rewrite.wrong):
            return rewrite.right + address.removeprefix(rewrite.wrong)
    return address


def _is_other_plain(address: str, schemes: tuple[str, ...]) -> bool:
    """A scheme that providers use and this profile does not: not hostile, only not for us."""
    scheme = address.partition("://")[0].lower()
    return scheme in _PLAIN_SCHEMES and scheme not in schemes


def _rank(address: str, schemes: tuple[str, ...]) -> int:
    scheme = address.partition("://")[0]
    return schemes.index(scheme) if scheme in schemes else len(schemes)


def _check(href: str, profile: Profile, name: SceneName) -> None:
    try:
        profile.rules.check(href)
    except HrefRefused as error:
        raise Refused("hostile_href", f"{name.scene}: {error}") from error


def _beside(base: str, path: str) -> str:
    """A path seen from the folder of a file, for s3 as for https."""
    return f"{base.partition('?')[0].rpartition('/')[0]}/{path}"


def _filled(template: str, name: SceneName, each: str) -> str:
    return template.format(
        scene=name.scene,
        tile=name.tile,
        year=name.sensed.year,
        month=name.sensed.month,
        day=name.sensed.day,
        each=each,
    )


def _size(asset: Mapping[str, object]) -> int | None:
    size = asset.get("file:size")
    return size if isinstance(size, int) and not isinstance(size, bool) and 0 < size < _MAX_BYTES else None


def _checksum(asset: Mapping[str, object]) -> str | None:
    """`<algorithm>:<hex>` of a multihash; None where upstream states none that can be checked.

    The Copernicus Data Space labels some SHA3 digests as MD5: a digest of the wrong length is not believed.
    """
    text = asset.get("file:checksum")
    try:
        raw = bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        return None
    code, rest = _varint(raw)
    length, digest = _varint(rest)
    algorithm, size = _MULTIHASH.get(code, ("", -1))
    return f"{algorithm}:{digest.hex()}" if length == size == len(digest) else None


def _varint(raw: bytes) -> tuple[int, bytes]:
    value = 0
    for index, byte in enumerate(raw[:9]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, raw[index + 1 :]
    return -1, b""
