{ ... }:
{
  hyperhive = {
    prompt = builtins.concatStringsSep "" (builtins.genList (_: "0123456789abcdef") 4097);
  };
}
