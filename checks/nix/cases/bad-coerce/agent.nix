{ ... }:
{
  hyperhive = {
    prompt = "a" + 5;
  };
}
