"""Hostile agent.nix files: a corpus of attacks, each in many disguises.

The attacks are those of ``test_nix_attacks`` and more; a disguise puts the same
expression behind lazy values, imports, fixed points and string contexts. Right is a
refusal in words, or an answer that holds nothing of the host.
"""

import asyncio
from pathlib import Path
from typing import Final

import msgspec

from checks.fuzz.kit import Case, Trial
from checks.fuzz.test_nix_attacks import READS, SECRET, UNDOING, secret_beside
from checks.kits.nix.evaluator import agent
from checks.kits.patience import PATIENCE_S
from pyglue.errors import ErrorCode, HiveError
from pyglue.manifest import schema
from pyglue.nix import Evaluator

MORE: Final = {
    "dev-zero": "builtins.readFile /dev/zero",
    "dev-stdin": "builtins.readFile /dev/stdin",
    "proc-maps": "builtins.readFile /proc/self/maps",
    "proc-fd": "builtins.readDir /proc/self/fd",
    "proc-fd-file": "builtins.readFile /proc/self/fd/3",
    "proc-net": "builtins.readFile /proc/net/tcp",
    "sys": "builtins.readFile /sys/kernel/notes",
    "database": "builtins.readFile ../../hive.db",
    "host-name": "builtins.readFile /etc/hostname",
    "ssh": "builtins.readFile ~/.ssh/id_rsa",
    "home": 'builtins.readFile "${builtins.getEnv "HOME"}/.netrc"',
    "dots-many": "builtins.readFile ./../../../../../../../../etc/passwd",
    "dots-concat": 'builtins.readFile (./. + "/..//../etc/passwd")',
    "string-path": "builtins.readFile (builtins.toPath ''/etc/passwd'')",
    "read-type": "builtins.readFileType /etc/passwd",
    "dir-of": "builtins.attrNames (builtins.readDir (builtins.dirOf (toString ./.)))",
    "store-list": "builtins.attrNames (builtins.readDir builtins.storeDir)",
    "placeholder": 'builtins.readFile (builtins.placeholder "out")',
    "to-xml": "builtins.toXML (builtins.readDir /)",
    "trace": "builtins.trace (builtins.readFile /etc/passwd) 1",
    "trace-verbose": "builtins.traceVerbose (builtins.readFile /etc/passwd) 1",
    "abort": "abort (builtins.readFile /etc/passwd)",
    "throw": "throw (builtins.readFile ../agent-secret/file)",
    "try": "(builtins.tryEval (builtins.readFile ../agent-secret/file)).value",
    "context": (
        "builtins.getContext (builtins.appendContext ''x'' "
        "{ ${builtins.storeDir} = { path = true; }; })"
    ),
    "fetch-closure": (
        "builtins.fetchClosure { fromStore = ''http://127.0.0.1:9''; "
        "fromPath = ''/nix/store/x''; }"
    ),
    "fetch-git-local": "builtins.fetchGit ../agent-secret",
    "fetch-git-flag": "builtins.fetchGit { url = ''--upload-pack=id''; }",
    "fetch-tree-git": "builtins.fetchTree { type = ''git''; url = ''file:///etc''; }",
    "output-of": "builtins.outputOf ''/nix/store/x'' ''out''",
    "derivation-fixed": (
        "toString (derivation { name = ''x''; system = ''x''; builder = ''/bin/sh''; "
        "outputHash = ''''; outputHashMode = ''flat''; outputHashAlgo = ''sha256''; })"
    ),
    "derivation-impure": (
        "builtins.readFile (derivation { name = ''x''; system = ''x86_64-linux''; "
        "builder = ''/bin/sh''; __impure = true; })"
    ),
    "import-json": "builtins.fromJSON (builtins.readFile /etc/machine-id)",
    "import-toml": "builtins.fromTOML (builtins.readFile /etc/passwd)",
    "regex": "builtins.match ''.*'' (builtins.readFile /etc/passwd)",
    "unsafe": "builtins.unsafeGetAttrPos ''x'' { x = /etc/passwd; }",
    "add-error": "builtins.addErrorContext (builtins.readFile /etc/passwd) (throw 1)",
    "warn": "builtins.warn (builtins.readFile /etc/passwd) 1",
    "break": "builtins.break (builtins.readFile /etc/passwd)",
    "nix-path": "builtins.toJSON builtins.nixPath",
    "angle": "builtins.readFile <nix/fetchurl.nix>",
    "corepkgs": "import <nix/fetchurl.nix> { url = ''file:///etc/passwd''; }",
}
"""Beside ``READS``: what each reads or runs is in its name."""

DISGUISES: Final = (
    "{0}",
    "let hidden = {0}; in hidden",
    "(x: x) ({0})",
    "builtins.head [ ({0}) ]",
    "{{ a = {0}; }}.a",
    "(rec {{ a = {0}; b = a; }}).b",
    "with {{ a = {0}; }}; a",
    "if true then {0} else 1",
    "builtins.seq 1 ({0})",
    "builtins.deepSeq [ 1 ] ({0})",
    "lib.id ({0})",
    "(lib.fix (self: {{ a = {0}; }})).a",
    "builtins.foldl' (_: x: x) 0 [ ({0}) ]",
    "builtins.elemAt (map (_: {0}) [ 1 ]) 0",
    "(builtins.mapAttrs (_: _: {0}) {{ a = 1; }}).a",
    "(builtins.listToAttrs [ {{ name = ''a''; value = {0}; }} ]).a",
    "assert 1 == 1; {0}",
    "import ./hidden.nix {{ inherit lib; }}",
)
FIELDS: Final = (
    "hyperhive.prompt = toString ({0});",
    "hyperhive.description = toString ({0});",
    "hyperhive.env.X = toString ({0});",
    "hyperhive.mcpServers.x.command = toString ({0});",
    "hyperhive.model = lib.mkForce (toString ({0}));",
    "hyperhive.bash.allow = [ (toString ({0})) ];",
    (
        "environment.etc.x.text = toString ({0}); "
        "hyperhive.prompt = toString config.environment.etc.x.text;"
    ),
)
_HOST: Final = ("root:x:", "root:*:", SECRET, "/nix/var", "BEGIN OPENSSH")


async def attack(trial: Trial) -> None:
    """Evaluate each attack in a disguise, behind the fence that hived uses."""
    evaluator = Evaluator(timeout=PATIENCE_S)
    evaluator.check()
    built = Path("/tmp/hive-built")
    attacks = {**MORE, **READS}  # make test has each of READS bare, and these first
    names = [*attacks, *UNDOING]
    limit = asyncio.Semaphore(2)

    async def one(case: Case) -> None:
        name = names[case.number % len(names)]
        async with limit:
            await _evaluate(case, evaluator, name, attacks.get(name), built)

    batch: list[Case] = []
    for case in trial.cases():
        batch.append(case)
        if len(batch) == 16:
            await asyncio.gather(*map(one, batch))
            batch.clear()
    await asyncio.gather(*map(one, batch))


async def _evaluate(
    case: Case,
    evaluator: Evaluator,
    name: str,
    expression: str | None,
    built: Path,
) -> None:
    room = case.trial.lab.room("nix")
    secret = secret_beside(room)
    body = UNDOING[name] if expression is None else _module(case, expression)
    files = {} if expression is None else {"hidden__nix": _hidden(expression)}
    place = agent(room / "agent", body, **files)
    place.chmod(0o755)
    (place / "link").symlink_to(secret / "file")
    (place / "directory").symlink_to(secret)
    refused, text = True, ""
    try:
        found = await evaluator.evaluate(place)
        schema.validate(found.manifest)
        text = msgspec.json.encode(found.manifest).decode()
        refused = False
    except HiveError as error:
        text = error.message
        allowed = {
            ErrorCode.EVAL_FAILED,
            ErrorCode.EVAL_LIMIT,
            ErrorCode.MANIFEST_INVALID,
        }
        if error.code not in allowed:
            case.wrong(f"{name}: {error.code} {text}\n{body}")
            return
    wrong = None
    if any(part in text for part in _HOST):
        wrong = f"{name} shows something of the host: {text[:300]}\n{body}"
    elif built.exists():
        wrong = f"{name} built something\n{body}"
    elif expression is None and not refused:
        wrong = f"{name} is accepted\n{body}"
    case.unless(wrong, refused=refused)


def _module(case: Case, expression: str) -> str:
    rng = case.random
    disguise = rng.choice(DISGUISES).format(expression)
    if rng.random() < 0.3:
        disguise = rng.choice(DISGUISES).format(f"({disguise})")
    field = rng.choice(FIELDS).format(disguise)
    return f"{{ lib, config, ... }}: {{ {field} }}\n"


def _hidden(expression: str) -> str:
    return f"{{ lib }}: {expression}\n"
