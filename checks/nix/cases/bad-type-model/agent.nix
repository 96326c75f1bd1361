{ ... }:
{
  hyperhive = {
    model = 5;
  };
}
