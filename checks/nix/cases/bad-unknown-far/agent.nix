{ ... }:
{
  hyperhive = {
    zzzzzz = 1;
  };
}
