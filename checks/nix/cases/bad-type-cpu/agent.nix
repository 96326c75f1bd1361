{ ... }:
{
  hyperhive = {
    limits.cpuQuota = "50%";
  };
}
