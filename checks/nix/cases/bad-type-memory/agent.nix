{ ... }:
{
  hyperhive = {
    limits.memoryMax = "2 GB";
  };
}
