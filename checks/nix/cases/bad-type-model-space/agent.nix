{ ... }:
{
  hyperhive = {
    model = "two words";
  };
}
