{ ... }:
{
  hyperhive = {
    _module.check = false;
  };
}
