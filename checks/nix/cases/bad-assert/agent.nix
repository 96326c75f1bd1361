{ ... }:
{
  hyperhive = {
    model = assert 1 > 2; "opus";
  };
}
