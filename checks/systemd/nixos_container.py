"""Stands in for NixOS's program of this name, on the test host.

The same command line, files, words and exit codes: ``checks/nix/contract`` has what
the real one does at each call, and a test compares. It keeps
``/etc/nixos-containers/NAME.conf``, ``/var/lib/nixos-containers/NAME``, a profile below
``/nix/var/nix/profiles/per-container`` and ``container@NAME.service``. Systems are
built and profiles set by the real Nix. The words are in ``nixos_container_words``.
"""

import contextlib
import fcntl
import os
import re
import select
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import Final, NoReturn

from checks.systemd.nixos_container_words import (
    MISSING,
    NO_TERMINAL,
    die,
    die_at_line,
    parser,
    quoted,
    show_help,
)

CONF: Final = Path("/etc/nixos-containers")
ROOTS: Final = Path("/var/lib/nixos-containers")
PROFILES: Final = Path("/nix/var/nix/profiles/per-container")
CONFIG: Final = "etc/nixos/configuration.nix"
GC_ROOTS: Final = Path("/nix/var/nix/gcroots/per-container")
LOCK: Final = Path("/run/lock/nixos-container")
LONGEST: Final = 11
FLAKES: Final = ("--extra-experimental-features", "nix-command flakes")


class Container:
    """The files and the unit of one container."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.conf = CONF / f"{name}.conf"
        self.root = ROOTS / name
        self.profile = PROFILES / name
        self.unit = f"container@{name}"

    def value(self, key: str) -> str | None:
        """Return what the conf file sets ``key`` to, None if it does not."""
        found = re.search(rf"^{key}=(.*)$", self.conf.read_text(), re.MULTILINE)
        return found[1] if found else None

    def running(self) -> bool:
        """Tell whether its unit is active."""
        shown = output("systemctl", "show", self.unit)
        return "ActiveState=active" in shown

    def leader(self) -> str:
        """Return the process id of its init."""
        shown = output("machinectl", "show", self.name, "-p", "Leader").strip()
        if not re.fullmatch(r"Leader=\d+", shown):
            die("unable to get container's main PID", said_by="")
        return shown.partition("=")[2]

    def forget(self) -> None:
        """Remove all of its files."""
        for place in (self.profile, GC_ROOTS / self.name, self.root):
            subprocess.run(["rm", "--one-file-system", "-rf", str(place)], check=False)
        self.conf.unlink()


def output(*argv: str) -> str:
    """Return what a program prints, however it ends."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=False)
    return done.stdout


def do(text: str, *argv: str, code: int | None = None) -> None:
    """Run a program; end with ``text`` if it fails, by default with its own code."""
    ended = subprocess.run(argv, check=False).returncode
    if ended != 0:
        die(text, ended if code is None else code)


def build_flake(asked: Namespace, code: int | None) -> str:
    """Build a flake's system; return its store path."""
    link = f"{asked.system_path or ''}.tmp"
    what = (
        f'{asked.flake}#nixosConfigurations."{asked.attribute}"'
        ".config.system.build.toplevel"
    )
    do(
        f"failed to build container from flake '{asked.flake}'",
        *("nix", *FLAKES, "build", "-o", link, *passed(asked), "--", what),
        code=code,
    )
    path = str(Path(link).readlink())
    Path(link).unlink()
    return path


def passed(asked: Namespace) -> list[str]:
    """Return the flags for Nix; those with two words come last."""
    flags = sorted(asked.passed, key=lambda flag: len(flag) == 1 + 2)
    return [word for flag in flags for word in flag]


def free_prefix() -> str:
    """Return the first network that no conf file has an address of."""
    used = "".join(path.read_text() for path in CONF.glob("*.conf"))
    taken = set(re.findall(r"^(?:HOST|LOCAL)_ADDRESS=([0-9.]+)$", used, re.MULTILINE))
    for number in range(1, 255):
        prefix = f"10.233.{number}"
        if not {f"{prefix}.1", f"{prefix}.2"} & taken:
            return prefix
    die("out of IP addresses")


def create(asked: Namespace) -> None:
    """Write the conf file and set the first system."""
    with LOCK.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = Container(asked.name)
        number = 0
        while asked.ensure_unique_name and (made.conf.exists() or made.root.exists()):
            made = Container(f"{asked.name}-{number}")
            number += 1
        if made.conf.exists():
            die(f"container {quoted(made.name)} already exists", NO_TERMINAL)
        if len(made.name) > LONGEST:
            die(f"container name {quoted(made.name)} is too long", MISSING)
        host, local = asked.host_address, asked.local_address
        if host is None:
            prefix = free_prefix()
            host, local = f"{prefix}.1", f"{prefix}.2"
        lines = [
            "PRIVATE_NETWORK=1",
            f"HOST_ADDRESS={host}",
            f"LOCAL_ADDRESS={local}",
            f"HOST_BRIDGE={asked.bridge or ''}",
            f"HOST_PORT={asked.port or ''}",
            f"AUTO_START={int(asked.auto_start)}",
        ]
        if asked.flake is not None:
            lines.append(f"FLAKE={asked.flake}")
        made.conf.write_text("\n".join(lines) + "\n")
    sys.stderr.write(f"host IP is {host}, container IP is {local}\n")
    PROFILES.mkdir(parents=True, exist_ok=True)
    PROFILES.chmod(0o700)
    made.profile.mkdir(mode=0o755, exist_ok=True)
    path = asked.system_path
    if asked.flake is not None:
        path = build_flake(asked, MISSING)
    if path is None:
        write_config(made, asked, new=True)
    if set_system(made, asked, path) != 0:
        made.forget()
        done = "build" if path is None else "set"
        die(f"failed to {done} initial container configuration", MISSING)
    if asked.ensure_unique_name:
        print(made.name)


def write_config(made: Container, asked: Namespace, *, new: bool) -> None:
    """Write the container's configuration.nix."""
    file = made.root / CONFIG
    extra = asked.config or ""
    if asked.config_file and not extra:
        extra = f"imports = [ {os.path.realpath(asked.config_file)} ];"
    if new:
        file.parent.mkdir(parents=True, exist_ok=True)
    elif not file.parent.is_dir():
        said = f"write_file '{file}' - sysopen: No such file or directory"
        die_at_line(said, MISSING)
    file.write_text(
        "{ config, lib, pkgs, ... }:\n\n{ boot.isContainer = true;\n"
        f'  networking.hostName = lib.mkDefault "{made.name}";\n'
        f"  networking.useDHCP = false;\n  {extra}\n}}\n"
    )


def set_system(made: Container, asked: Namespace, path: str | None) -> int:
    """Set the profile to ``path``, or to what configuration.nix gives."""
    argv = ["--set", path] if path is not None else []
    if path is None:
        argv += ["-I", f"nixos-config={made.root / CONFIG}", "-f", asked.nixos_path]
        argv += ["--set", "-A", "system", *passed(asked)]
    words = ["nix-env", "-p", f"{made.profile}/system", *argv]
    return subprocess.run(words, check=False).returncode


def update(made: Container, asked: Namespace) -> None:
    """Set another system, and switch to it if it runs."""
    if asked.flake is None and asked.config is None and asked.config_file is None:
        asked.flake = made.value("FLAKE")
    if asked.flake is not None:
        path = build_flake(asked, None)
        if set_system(made, asked, path) != 0:
            die("failed to set container configuration", MISSING)
    else:
        if asked.config or asked.config_file:
            write_config(made, asked, new=False)
        code = set_system(made, asked, None)
        if code != 0:
            die("failed to build container configuration", code)
    if made.running():
        sys.stderr.write("reloading container...\n")
        do("failed to reload container", "systemctl", "reload", made.unit)


def stop(made: Container) -> None:
    """Stop its unit."""
    do("failed to stop container", "systemctl", "stop", made.unit)


def start(made: Container) -> None:
    """Start its unit."""
    do("failed to start container", "systemctl", "start", made.unit)


def terminate(made: Container) -> None:
    """End it at once, and wait until its init is gone."""
    process = None
    with contextlib.suppress(ProcessLookupError):
        process = os.pidfd_open(int(made.leader()))
    do("failed to terminate container", "machinectl", "terminate", made.name)
    if process is not None:
        select.select([process], [], [])


def enter(made: Container, *argv: str) -> NoReturn:
    """Become a login shell in it; like NixOS's, outside its user namespace.

    NixOS's is ``su``'s, which needs PAM in the container.
    """
    os.execvp(  # noqa: S606
        "nsenter",
        [
            *("nsenter", "-t", made.leader(), "-m", "-u", "-i", "-n", "-p", "--"),
            *("/bin/sh", "-l", *argv),
        ],
    )


def run(made: Container, argv: list[str]) -> NoReturn:
    """Become a program in it."""
    line = " ".join("'" + word.replace("'", "'\\''") + "'" for word in argv)
    enter(made, "-c", f"exec {line}")


def show_ip(made: Container) -> None:
    """Print its address."""
    text = made.conf.read_text()
    for pattern in (r"LOCAL_ADDRESS=([0-9.]+)", r"LOCAL_ADDRESS6=([0-9a-f:]+)"):
        found = re.search(rf"^{pattern}(/[0-9]+)?$", text, re.MULTILINE)
        if found:
            print(found[1])
            return
    die("cannot get IP address")


def show_host_key(made: Container) -> None:
    """Print the public key of its sshd."""
    for kind in ("ed25519", "ecdsa"):
        file = made.root / f"etc/ssh/ssh_host_{kind}_key.pub"
        if file.is_file():
            sys.stdout.write(file.read_text())
            return
    sys.exit(1)


def main() -> None:
    """Do what was asked for."""
    os.umask(0o022)
    words = sys.argv[1:]
    inside = []
    if "--" in words:
        place = words.index("--")
        words, inside = words[:place], words[place + 1 :]
    asked = parser().parse_args(words)
    if asked.help:
        show_help()
        return
    if (asked.host_address is None) != (asked.local_address is None):
        die_at_line("With --host-address set, --local-address is required as well!")
    if asked.action is None:
        die("no action specified")
    if asked.config_file is not None and asked.config is not None:
        die_at_line(
            "--config and --config-file are mutually incompatible. "
            "Please define one or the other, but not both"
        )
    asked.attribute = "container"
    flake = re.fullmatch('(.*)#([^#"]+)', asked.flake or "")
    if flake:
        asked.flake, asked.attribute = flake.groups()
    CONF.mkdir(mode=0o755, parents=True, exist_ok=True)
    ROOTS.mkdir(mode=0o700, parents=True, exist_ok=True)
    if asked.action == "list":
        for path in sorted(CONF.glob("*.conf")):
            print(path.stem)
        return
    if asked.name is None:
        die("no container name specified", MISSING)
    if not re.fullmatch(r"[a-zA-Z0-9_-]+", asked.name):
        die("invalid container name", MISSING)
    if asked.action == "create":
        create(asked)
        return
    made = Container(asked.name)
    if not made.conf.exists():
        if asked.action == "destroy":
            return
        if asked.action == "status":
            print("gone")
        die(f"container {quoted(made.name)} does not exist", MISSING)
    act(made, asked, inside)


def act(made: Container, asked: Namespace, inside: list[str]) -> None:
    """Do something to a container that there is."""
    match asked.action:
        case "destroy":
            if made.running():
                terminate(made)
            made.forget()
        case "start":
            start(made)
        case "stop":
            stop(made)
        case "restart":
            stop(made)
            start(made)
        case "terminate":
            terminate(made)
        case "status":
            print("up" if made.running() else "down")
        case "update":
            update(made, asked)
        case "login":
            os.execvp("machinectl", ["machinectl", "login", "--", made.name])  # noqa: S606
        case "root-login":
            enter(made)
        case "run":
            run(made, inside)
        case "show-ip":
            show_ip(made)
        case "show-host-key":
            show_host_key(made)
        case other:
            die(f"unknown action {quoted(other)}")


if __name__ == "__main__":
    main()
