{ ... }:
{
  hyperhive = {
    limits.tokensPerDay = 0;
  };
}
