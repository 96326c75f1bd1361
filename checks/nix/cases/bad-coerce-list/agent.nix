{ ... }:
{
  hyperhive = {
    prompt = "${[ ]}";
  };
}
