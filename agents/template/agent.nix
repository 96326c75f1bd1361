# What this agent is. A change takes effect when it is committed, proposed and
# approved by the operator. All options: docs/options.md.
#
# `hyperhive.*` is read without nixpkgs: `pkgs` cannot be used in it. Everything
# outside it is ordinary NixOS configuration of the agent's container.
{ ... }:
{
  hyperhive = {
    # One line, shown beside the agent's name.
    description = "";

    # "haiku", "sonnet", "opus" or a full model id.
    model = "haiku";

    # The agent's own part of its system prompt.
    prompt = "";

    # Built-in tools. None by default: the agent can then only send and receive
    # messages. "Bash" runs nothing but what bash.allow lets through.
    # allowedTools = [ "Read" "Edit" "Write" "Bash" ];
    # bash.allow = [ "git status" "git diff *" ];

    # To whom it may write; without this line, to everyone. The manager can
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
