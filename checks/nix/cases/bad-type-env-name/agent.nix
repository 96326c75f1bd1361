{ ... }:
{
  hyperhive = {
    env."A=B" = "x";
  };
}
