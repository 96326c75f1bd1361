{ ... }:
{
  hyperhive = {
    model = abort "stop";
  };
}
