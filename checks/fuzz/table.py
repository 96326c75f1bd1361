"""The targets of ``make fuzz``, in the order in which they run."""

from typing import Final

from checks.fuzz import (
    crowds,
    gate,
    http,
    nix_files,
    packs,
    planted,
    relay,
    roles,
    rpc,
    sandbox,
)
from checks.fuzz.kit import Target

_HIVE: Final = ("nix", "git", "bwrap")

TARGETS: Final = (
    Target(
        name="rpc",
        attacks="every method of every role, with frames that no client sends",
        wrong="no answer, an error inside the hive, or a part that ended",
        quick=150,
        long=5000,
        run=rpc.attack,
        needs=_HIVE,
    ),
    Target(
        name="roles",
        attacks="every call of every other role, from every socket and user",
        wrong="anything but unknown method, forbidden or unauthenticated",
        quick=1,
        long=1,
        run=roles.attack,
        needs=_HIVE,
    ),
    Target(
        name="http",
        attacks="Host, Origin, cookies, CSRF, paths, framing, WebSocket and SSE",
        wrong="a server error, a session, something of the hive, an act in its name",
        quick=300,
        long=10_000,
        run=http.attack,
        needs=_HIVE,
    ),
    Target(
        name="crowds",
        attacks="idle, slow, half closed and unread connections on each listener",
        wrong="the operator or a page is not answered while they stand",
        quick=14 * 60,
        long=14 * 1000,
        run=crowds.attack,
        needs=_HIVE,
    ),
    Target(
        name="sandbox",
        attacks="files, processes, network, sockets, system calls and limits, inside",
        wrong="what must never be allowed is done, or the API key is seen",
        quick=600,
        long=600,
        run=sandbox.attack,
        needs=_HIVE,
    ),
    Target(
        name="planted",
        attacks="every file, process, page and archive, for secrets that were planted",
        wrong="a secret where it is not meant to be, or where other users can read it",
        quick=600,
        long=600,
        run=planted.attack,
        needs=_HIVE,
    ),
    Target(
        name="bodies",
        attacks="the relay, with requests that a container could send",
        wrong="what the policy does not allow goes up, or unpaid, or a server error",
        quick=300,
        long=10_000,
        run=relay.bodies,
    ),
    Target(
        name="answers",
        attacks="the relay, with answers that a hostile model's side could send",
        wrong="figures that no answer has, the key or a foreign header at the agent",
        quick=150,
        long=5000,
        run=relay.answers,
    ),
    Target(
        name="nix",
        attacks="the evaluator, with hostile agent.nix files in many disguises",
        wrong="anything of the host in the answer, something built, a check undone",
        quick=90,
        long=1000,
        run=nix_files.attack,
        needs=("nix", "bwrap"),
    ),
    Target(
        name="packs",
        attacks="the quarantine, with damaged packs, hostile trees and any bytes",
        wrong="a crash, something left behind, or a file that is not plain",
        quick=100,
        long=2000,
        run=packs.attack,
        needs=("git",),
    ),
    Target(
        name="gate",
        attacks="the Bash gate, with a grammar of shell syntax and known tricks",
        wrong="bash runs other words than were read, or a program that none named",
        quick=400,
        long=5000,
        run=gate.attack,
        needs=("bwrap", "git"),
    ),
)
