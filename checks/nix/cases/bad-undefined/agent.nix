{ ... }:
{
  hyperhive = {
    model = modell;
  };
}
