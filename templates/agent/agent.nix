# One agent. docs/options.md lists the options of `hyperhive`; packages for its programs are
# ordinary NixOS options. Nothing here has an effect before the operator approves it.
{ pkgs, ... }:
{
  hyperhive = {
    description = "Looks after the wiki";
    model = "haiku";
    prompt = ''
      You look after the wiki in /state/wiki. Answer questions about it.
    '';
    allowedTools = [
      "Read"
      "Edit"
      "Grep"
      "Bash"
    ];
    bash.allow = [ "git log" ];
    allowedRecipients = [ ];
    limits.costPerDayUsd = 2;
  };

  environment.systemPackages = [ pkgs.jq ];
}
