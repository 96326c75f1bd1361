# The agent's definition. Changes take effect once committed, proposed and approved
# by the operator. All options: docs/options.md.
#
# `hyperhive.*` is evaluated without nixpkgs: `pkgs` is not available in it. Everything
# outside it is ordinary NixOS configuration of the agent's container.
{ ... }:
{
  hyperhive = {
    # One line, shown next to the agent's name.
    description = "";

    # "haiku", "sonnet", "opus" or a full model ID.
    model = "haiku";

    # The agent's own part of its system prompt.
    prompt = "";

    # Built-in tools. None by default: the agent can then only send and receive
    # messages. "Bash" runs only commands that bash.allow permits.
    # allowedTools = [ "Read" "Edit" "Write" "Bash" ];
    # bash.allow = [ "git status" "git diff *" ];

    # Allowed recipients of its messages; everyone by default. The manager can
    # always be reached.
    # allowedRecipients = [ "operator" ];

    # MCP servers. The command is a program in the container: add its package to
    # environment.systemPackages below.
    # mcpServers.notes = {
    #   command = "mcp-server-sqlite";
    #   args = [ "--db" "/state/notes.sqlite" ];
    #   allowedTools = [ "*" ];
    # };

    # The agent has no network unless this is true.
    # network = false;

    # limits = {
    #   turnsPerHour = 60;
    #   costPerDayUsd = 5;
    # };
  };

  # environment.systemPackages = with pkgs; [ git ];   # and { pkgs, ... }: above
}
