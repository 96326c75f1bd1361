{ ... }:
{
  hyperhive = {
    model = { a = 1; }.b;
  };
}
