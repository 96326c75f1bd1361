{ ... }:
{
  hyperhive = {
    notes.maxBytes = 1;
  };
}
