{ lib, ... }:
{
  imports = [
    ./sub
    (./. + "/plain.nix")
    { hyperhive.allowedTools = [ "Edit" ]; }
    ({ config, ... }: { hyperhive.prompt = "Tools: ${toString config.hyperhive.allowedTools}"; })
    (lib.mkIf true { hyperhive.description = "conditional"; })
  ] ++ lib.optional (1 > 2) ./absent.nix;
}
