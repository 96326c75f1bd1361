{ utils, ... }:
{
  hyperhive = {
    model = if utils ? x then "opus" else "haiku";
  };
}
