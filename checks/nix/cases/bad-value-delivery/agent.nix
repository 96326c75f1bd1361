{ ... }:
{
  hyperhive = {
    delivery = "at once";
  };
}
