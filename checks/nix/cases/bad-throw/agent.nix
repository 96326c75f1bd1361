{ ... }:
{
  hyperhive = {
    model = throw "no model today";
  };
}
