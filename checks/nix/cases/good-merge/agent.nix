{ lib, ... }:
{
  hyperhive = {
    allowedTools = lib.mkMerge [ [ "Read" ] (lib.mkIf true [ "Edit" ]) (lib.mkIf false [ "Bash" ]) ];
    env = lib.mkMerge [ { A = "1"; } { B = "2"; } ];
    prompt = lib.mkMerge [ "first" "second" ];
  };
}
