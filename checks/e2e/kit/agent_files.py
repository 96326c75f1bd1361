"""Files of agents for tests of changes: a good one, and bad ones with what is said."""

from pyglue.errors import ErrorCode

GOOD = """{ ... }:
{
  hyperhive.description = "%s";
  hyperhive.allowedRecipients = [ "operator" ];
}
"""

BAD = {
    "syntax": ("{ ... }: {", ErrorCode.EVAL_FAILED, "agent.nix"),
    "type": ("{ hyperhive.network = 5; }", ErrorCode.EVAL_FAILED, "network"),
    "unknown option": ("{ hyperhive.modle = 1; }", ErrorCode.EVAL_FAILED, "modle"),
    "a pattern that never matches": (
        '{ hyperhive.bash.allow = [ "git status" "bash *" ]; }',
        ErrorCode.MANIFEST_INVALID,
        "“bash *” lets no command run",
    ),
    "a model that does not exist": (
        '{ hyperhive.model = "gpt-4o"; }',
        ErrorCode.MANIFEST_INVALID,
        "There is no model 'gpt-4o'. Use an alias (haiku, sonnet",
    ),
    "a path of the evaluation": (
        (
            "{ hyperhive.mcpServers.x = "
            '{ command = "python3"; args = [ "${./agent.nix}" ]; }; }'
        ),
        ErrorCode.MANIFEST_INVALID,
        "which does not exist for the agent",
    ),
    "a variable for later": (
        '{ hyperhive.mcpServers.x = { command = "python3"; env.A = "\\${HOME}"; }; }',
        ErrorCode.MANIFEST_INVALID,
        "Code would replace with an environment variable",
    ),
    "a misspelt hyperhive": (
        '{ hyperhve.model = "opus"; }',
        ErrorCode.MANIFEST_INVALID,
        "Unknown option hyperhve: did you mean hyperhive?",
    ),
    "no option of NixOS": (
        "{ servics.x = 1; }",
        ErrorCode.MANIFEST_INVALID,
        "Unknown option servics: did you mean services?",
    ),
    "a file that is not committed": (
        "{ imports = [ ./limits.nix ]; }",
        ErrorCode.EVAL_FAILED,
        "limits.nix is not in commit ",
    ),
    "recursion": (
        "{ config, ... }: { hyperhive.prompt = config.hyperhive.prompt; }",
        ErrorCode.EVAL_FAILED,
        "recursion",
    ),
    "huge list": (
        "{ hyperhive.prompt = toString (builtins.genList (x: x) 1000000000); }",
        ErrorCode.EVAL_LIMIT,
        "",
    ),
    "reads the host": (
        "{ hyperhive.prompt = builtins.readFile /etc/passwd; }",
        ErrorCode.EVAL_FAILED,
        "/etc/passwd",
    ),
}
