{ ... }:
{
  hyperhive = {
    allowedRecipients = [ "Alice" ];
  };
}
