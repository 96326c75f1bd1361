{ ... }:
{
  hyperhive = {
    description = "a\nb";
  };
}
