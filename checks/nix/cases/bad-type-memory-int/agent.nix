{ ... }:
{
  hyperhive = {
    limits.memoryMax = 512;
  };
}
