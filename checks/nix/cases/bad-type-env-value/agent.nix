{ ... }:
{
  hyperhive = {
    env.A = 1;
  };
}
