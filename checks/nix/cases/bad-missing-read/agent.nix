{ ... }:
{
  hyperhive = {
    prompt = builtins.readFile ./absent.txt;
  };
}
