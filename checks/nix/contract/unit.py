"""``container@.service``: its directives, and what its scripts run for which conf file.

``Scripts`` are those of nixpkgs (``real``) or of the test host (``standin``); ``runs``
starts them on a stage, with a conf file's values in the environment, and returns what
they ran there.
"""

import configparser
import json
import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from checks.nix.contract.stage import FAKES, ROOT, Stage

HERE: Final = Path(__file__).resolve().parent
STANDIN: Final = ROOT / "checks/systemd/container"
INIT: Final = f"{FAKES}/container-init"
_ROOT: Final = "/var/lib/nixos-containers/foo"
_OWN: Final = "/nix/var/nix/profiles/per-container/foo"
_NET: Final = {
    "PRIVATE_NETWORK": "1",
    "HOST_ADDRESS": "10.233.1.1",
    "LOCAL_ADDRESS": "10.233.1.2",
    "HOST_BRIDGE": "",
    "HOST_PORT": "",
    "AUTO_START": "0",
}

CONFS: Final[dict[str, dict[str, str]]] = {
    "as created": _NET,
    "nothing": {},
    "picked users": {"PRIVATE_USERS": "pick"},
    "numbered users": {**_NET, "PRIVATE_USERS": "65536"},
    "no users": {"PRIVATE_USERS": "no"},
    "users from 0": {"PRIVATE_USERS": "0"},
    "network of version 6": {"HOST_ADDRESS6": "fc00::1", "LOCAL_ADDRESS6": "fc00::2"},
    "ports": {**_NET, "HOST_PORT": "tcp:80:80,udp:53:53"},
    "a bridge": {
        **_NET,
        "HOST_BRIDGE": "br0",
        "LOCAL_MAC_ADDRESS": "02:00:00:00:00:01",
    },
    "interfaces": {"INTERFACES": "eth1 eth2", "MACVLANS": "eth3"},
    "a namespace": {"NETWORK_NAMESPACE_PATH": "/run/netns/x"},
    "extra flags": {"EXTRA_NSPAWN_FLAGS": "--bind-ro=/a:/b:idmap  --tmpfs=/c *"},
    "names of the host": {"COPY_RESOLV_CONF": "1"},
    "a flake": {"FLAKE": "/some/where"},
    "a system": {"SYSTEM_PATH": "/nix/store/s"},
}
"""What a conf file may say; what systemd then has in the environment."""


@dataclass(frozen=True)
class Scripts:
    """The texts of the unit's scripts."""

    pre_start: str
    start: str
    post_start: str
    reload: str
    init: str


def evaluate(nixpkgs: Path) -> Any:
    """Return what unit.nix gives for a checkout."""
    done = subprocess.run(
        [
            *("nix-instantiate", "--eval", "--strict", "--json", "--store", "dummy://"),
            *("--arg", "nixpkgs", str(nixpkgs), "--argstr", "fakes", FAKES),
            str(HERE / "unit.nix"),
        ],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def real(found: Any) -> Scripts:
    """Return the scripts of nixpkgs, as unit.nix found them."""
    inner = {}

    def put(match: "re.Match[str]") -> str:
        inner[match[1]] = match[2]
        return f"{FAKES}/{match[1]}"

    def script(text: str) -> str:
        return re.sub(r"@@([a-z-]+)@@(.*?)@@end@@", put, text, flags=re.DOTALL)

    start, _ = script(found["script"]), script(found["reload"])
    head = "#!/bin/bash\nset -e\n"
    return Scripts(
        pre_start=head + found["preStart"],
        start=head + start,
        post_start=head + found["postStart"],
        reload=head + inner["reload-container"].partition("\n")[2],
        init=head + inner["container-init"].partition("\n")[2],
    )


def standin() -> Scripts:
    """Return the scripts of the test host."""
    read = {name: (STANDIN / name).read_text() for name in _FILES.values()}
    texts = {field: read[name] for field, name in _FILES.items()}
    # The test host's links, and the init beside the script.
    texts["start"] = texts["start"].replace('"${0%/*}/init"', INIT)
    return Scripts(**texts)


_FILES: Final = {
    "pre_start": "pre-start",
    "start": "start",
    "post_start": "post-start",
    "reload": "reload",
    "init": "init",
}


def runs(scripts: Scripts) -> dict[str, Any]:
    """Return what each script runs for each conf file."""
    return {name: run(scripts, name) for name in CONFS}


def run(scripts: Scripts, name: str) -> dict[str, Any]:
    """Return what each script runs for one conf file."""
    conf = CONFS[name]
    return {field: _run(getattr(scripts, field), field, conf) for field in _FILES}


def _run(text: str, field: str, conf: Mapping[str, str]) -> Any:
    files = {
        "/etc/resolv.conf": "nameserver 9.9.9.9\n",
        "/fakes/script": text,
        "/fakes/stage-2": 'echo "the stage 2 of $1" >>/root/log\n',
        f"{_OWN}/system/system": "x86_64-linux",
        "/nix/store/s/system": "x86_64-linux",
    }
    # With a flake nothing has been built yet.
    if "FLAKE" in conf:
        del files[f"{_OWN}/system/system"]
    environment = {"INSTANCE": "foo", "root": _ROOT, "COPY_RESOLV_CONF": "0", **conf}
    with tempfile.TemporaryDirectory() as place:
        stage = Stage.made(Path(place), files)
        stage.put_flags()
        argv = ["/bin/bash", f"{FAKES}/script"]
        argv += [f"{FAKES}/stage-2"] if field == "init" else []
        done = stage.run(argv, env=environment)
        made = stage.files(_ROOT, _OWN) if field == "start" else {}
        return {"code": done.returncode, "runs": stage.log(), "files": made}


def real_directives(found: Any) -> dict[str, str]:
    """Return the unit's directives, as unit.nix found them."""
    directives = {"Description": found["description"], **found["unitConfig"]}
    directives |= {
        key: str(value).lower() if isinstance(value, bool) else value
        for key, value in found["directives"].items()
        if value != []
    }
    named = {f"Environment {key}": value for key, value in found["environment"].items()}
    return dict(sorted({**directives, **named}.items()))


def standin_directives() -> dict[str, str]:
    """Return those of the test host's unit."""
    found: dict[str, str] = {}
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    text = (STANDIN / "container@.service").read_text()
    variables = re.findall(r"^Environment=(\w+)=(.*)$", text, re.MULTILINE)
    parser.read_string(re.sub(r"^Environment=.*\n", "", text, flags=re.MULTILINE))
    for section in parser.sections():
        found |= dict(parser.items(section))
    found |= {f"Environment {name}": value for name, value in variables}
    return {key: found[key] for key in sorted(found) if not key.startswith("Exec")}
