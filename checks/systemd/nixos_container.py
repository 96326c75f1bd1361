"""Stands in for NixOS's program of this name, on the test host.

The same command line, files, words and exit codes, as far as a backend can tell:
``/etc/nixos-containers/NAME.conf``, ``/var/lib/nixos-containers/NAME``, a profile
below ``/nix/var/nix/profiles/per-container`` and ``container@NAME.service``. Systems
are built and profiles set by the real Nix.
"""

import argparse
import fcntl
import os
import re
import select
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import Final, NoReturn

CONF: Final = Path("/etc/nixos-containers")
ROOTS: Final = Path("/var/lib/nixos-containers")
PROFILES: Final = Path("/nix/var/nix/profiles/per-container")
GC_ROOTS: Final = Path("/nix/var/nix/gcroots/per-container")
LOCK: Final = Path("/run/lock/nixos-container")
LONGEST: Final = 11
FLAKES: Final = ("--extra-experimental-features", "nix-command flakes")


def die(text: str) -> NoReturn:
    """End as Perl's ``die`` does."""
    sys.exit(f"nixos-container: {text}")


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
            die("unable to get container's main PID")
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


def do(text: str, *argv: str) -> None:
    """Run a program; end with ``text`` if it fails."""
    if subprocess.run(argv, check=False).returncode != 0:
        die(text)


def build_flake(flake: str, profile: Path) -> str:
    """Build a flake's system; return its store path."""
    reference, _, attribute = flake.partition("#")
    attribute = attribute or "container"
    link = f"{profile}/system.tmp"
    what = f'{reference}#nixosConfigurations."{attribute}".config.system.build.toplevel'
    do(
        f"failed to build container from flake '{reference}'",
        *("nix", *FLAKES, "build", "-o", link, "--", what),
    )
    path = str(Path(link).readlink())
    Path(link).unlink()
    return path


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
            die(f"container '{made.name}' already exists")
        if len(made.name) > LONGEST:
            die(f"container name '{made.name}' is too long")
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
    set_system(made, asked, "initial ")
    if asked.ensure_unique_name:
        print(made.name)


def set_system(made: Container, asked: Namespace, which: str = "") -> None:
    """Set the profile to what was asked for; a new container's goes if it fails."""
    path = asked.system_path
    if asked.flake is not None:
        path = build_flake(asked.flake, made.profile)
    if path is not None:
        argv = ["--set", path]
    else:
        source = made.root / "etc/nixos/configuration.nix"
        source.parent.mkdir(parents=True, exist_ok=True)
        extra = asked.config or ""
        if asked.config_file:
            extra = f"imports = [ {os.path.realpath(asked.config_file)} ];"
        source.write_text(
            "{ config, lib, pkgs, ... }:\n\n{ boot.isContainer = true;\n"
            f'  networking.hostName = lib.mkDefault "{made.name}";\n'
            f"  networking.useDHCP = false;\n  {extra}\n}}\n"
        )
        argv = ["-I", f"nixos-config={source}", "-f", asked.nixos_path]
        argv += ["--set", "-A", "system"]
    done = subprocess.run(
        ["nix-env", "-p", f"{made.profile}/system", *argv], check=False
    )
    if done.returncode != 0:
        if which:
            made.forget()
        die(f"failed to set {which}container configuration")


def update(made: Container, asked: Namespace) -> None:
    """Set another system, and switch to it if it runs."""
    if not (asked.flake or asked.config or asked.config_file):
        asked.flake = made.value("FLAKE")
    set_system(made, asked)
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
    process = os.pidfd_open(int(made.leader()))
    do("failed to terminate container", "machinectl", "terminate", made.name)
    select.select([process], [], [])


def enter(made: Container, argv: list[str]) -> NoReturn:
    """Become a program in it; like NixOS's, outside its user namespace."""
    line = " ".join("'" + word.replace("'", "'\\''") + "'" for word in argv)
    os.execvp(  # noqa: S606
        "nsenter",
        [
            *("nsenter", "-t", made.leader(), "-m", "-u", "-i", "-n", "-p", "--"),
            *("/bin/sh", "-lc", f"exec {line}"),
        ],
    )


def show_ip(made: Container) -> None:
    """Print its address."""
    address = made.value("LOCAL_ADDRESS") or made.value("LOCAL_ADDRESS6")
    if not address:
        die("cannot get IP address")
    print(address.partition("/")[0])


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    made = argparse.ArgumentParser(prog="nixos-container", allow_abbrev=False)
    made.add_argument("--ensure-unique-name", action="store_true")
    made.add_argument("--auto-start", action="store_true")
    made.add_argument("--nixos-path", default="<nixpkgs/nixos>")
    for option in ("bridge", "port", "system-path", "config", "config-file", "flake"):
        made.add_argument(f"--{option}")
    for option in ("host-address", "local-address"):
        made.add_argument(f"--{option}")
    made.add_argument("action", nargs="?")
    made.add_argument("name", nargs="?")
    return made


def main() -> None:
    """Do what was asked for."""
    os.umask(0o022)
    words = sys.argv[1:]
    inside = []
    if "--" in words:
        place = words.index("--")
        words, inside = words[:place], words[place + 1 :]
    asked = parser().parse_args(words)
    if (asked.host_address is None) != (asked.local_address is None):
        die("With --host-address set, --local-address is required as well!")
    if asked.action is None:
        die("no action specified")
    if asked.config_file is not None and asked.config is not None:
        die("--config and --config-file are mutually incompatible.")
    CONF.mkdir(mode=0o755, parents=True, exist_ok=True)
    ROOTS.mkdir(mode=0o700, parents=True, exist_ok=True)
    if asked.action == "list":
        for path in sorted(CONF.glob("*.conf")):
            print(path.stem)
        return
    if asked.name is None:
        die("no container name specified")
    if not re.fullmatch(r"[a-zA-Z0-9_-]+", asked.name):
        die("invalid container name")
    if asked.action == "create":
        create(asked)
        return
    made = Container(asked.name)
    if not made.conf.exists():
        if asked.action == "destroy":
            return
        if asked.action == "status":
            print("gone")
        die(f"container '{made.name}' does not exist")
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
        case "run":
            enter(made, inside)
        case "show-ip":
            show_ip(made)
        case other:
            die(f"unknown action '{other}'")


if __name__ == "__main__":
    main()
