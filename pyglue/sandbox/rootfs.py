"""The part of the host's system that every sandbox sees, and its own small /etc.

Used by ``spec``. /usr is read-only. /etc contains only what programs need to run and to
check certificates; its users, hosts and name service are generated, so that the host's
accounts and names stay private. On NixOS, programs are in /nix/store.
"""

import contextlib
from pathlib import Path
from typing import Final

_NIXOS: Final = Path("/run/current-system")
_TOP: Final = ("bin", "sbin", "lib", "lib64", "lib32", "libx32")
_ETC: Final = ("alternatives", "static")
_ETC_CERTIFICATES: Final = ("pki", "ssl/certs", "ssl/openssl.cnf")
_ETC_COPIED: Final = ("ld.so.cache", "localtime")
_HOSTS: Final = "127.0.0.1 localhost\n::1 localhost\n"
_NSSWITCH: Final = "passwd: files\ngroup: files\nhosts: files{dns}\n"


def links() -> list[tuple[str, str]]:
    """Return the links of the root and their targets, such as /bin."""
    found = []
    for name in _TOP:
        path = Path("/") / name
        if path.is_symlink():
            found.append((str(path), str(path.readlink())))
    if _NIXOS.exists():
        found.append((str(_NIXOS), str(_NIXOS.resolve())))
    return found


def directories(*, certificates: bool = False) -> list[Path]:
    """Return the directories bound read-only at their own paths (about 1 ms each)."""
    tops = [Path("/") / name for name in _TOP]
    paths = [Path("/usr"), *(p for p in tops if p.is_dir() and not p.is_symlink())]
    if _NIXOS.exists():
        paths.append(Path("/nix/store"))
    names = (*_ETC, *_ETC_CERTIFICATES) if certificates else _ETC
    paths += [Path("/etc") / name for name in names]
    return [path for path in paths if path.exists()]


def search_path() -> str:
    """Return PATH for the system's own programs."""
    nixos = ["/run/current-system/sw/bin"] if _NIXOS.exists() else []
    return ":".join([*nixos, "/usr/local/bin", "/usr/bin", "/bin"])


def etc(*, user: str, number: int, home: str, network: bool) -> dict[str, bytes]:
    """Return the generated files of /etc, by name."""
    texts = {
        "passwd": (
            f"{user}:x:{number}:{number}:{user}:{home}:/bin/sh\n"
            "nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"
        ),
        "group": f"{user}:x:{number}:\nnogroup:x:65534:\n",
        "hosts": _HOSTS,
        "nsswitch.conf": _NSSWITCH.format(dns=" dns" if network else ""),
    }
    copied = [*_ETC_COPIED, *(["resolv.conf"] if network else [])]
    files = {name: text.encode() for name, text in texts.items()}
    for name in copied:
        with contextlib.suppress(OSError):
            files[name] = (Path("/etc") / name).read_bytes()
    return files
