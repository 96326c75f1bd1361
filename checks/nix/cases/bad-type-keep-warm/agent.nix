{ ... }:
{
  hyperhive = {
    keepWarm = 86401;
  };
}
