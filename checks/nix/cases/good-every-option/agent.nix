{ ... }:
{
  hyperhive = {
    model = "claude-sonnet-4-5-20250929";
    description = "Ünïcode – one line";
    prompt = "two\nlines\n";
    allowedTools = [ "Bash" "Read" "WebFetch" ];
    bash.allow = [ "git status" "git commit *" "nix-instantiate --parse *.nix" ];
    allowedRecipients = [ "operator" "alice" "b-2" ];
    mcpServers.notes = {
      command = "mcp-server-sqlite";
      args = [ "--db" "/state/a b.sqlite" "" ];
      env.LOG_LEVEL = "warn";
      toolTimeout = 120;
      allowedTools = [ "query" "list_tables" ];
    };
    mcpServers."other_1-x".command = "/run/current-system/sw/bin/other";
    schedule.morning_1 = { at = "Mon..Fri 08:00 Europe/Berlin"; message = "two\nlines"; };
    webhooks.reviews = { kind = "github"; secret = "HOOK_SECRET"; events = [ "push" "pull_request.opened" ]; };
    secrets.GITHUB_TOKEN.inject = [
      { host = "api.github.com"; }
      { host = "github.com"; preset = "git"; }
      { host = "gitlab.test:8443"; header = "PRIVATE-TOKEN"; format = "{}"; }
    ];
    secrets.X = { };
    secrets.SEEN.expose = "env";
    secrets.KEPT = { expose = "file"; inject = [ ]; };
    webhooks.all-1 = { kind = "generic"; secret = "X"; };
    workspaces.site.access = "write";
    workspaces.docs-2 = { };
    shared = "write";
    env = { EDITOR = "true"; _x1 = ""; };
    network = true;
    serverTools = [ "web_search" "code_execution" ];
    limits = { turnsPerHour = 1; costPerDayUsd = 0.25; tokensPerDay = 5000000; memoryMax = "512M"; cpuQuota = 250; };
    notes.maxBytes = 1048576;
    autoCompact = null;
    keepWarm = 0;
    delivery = "turn";
  };
}
