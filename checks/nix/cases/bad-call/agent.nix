{ ... }:
{
  hyperhive = {
    model = "opus" "x";
  };
}
