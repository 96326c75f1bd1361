{ ... }:
{
  hyperhive = {
    allowedRecipients = [ "abcdefghij" ];
  };
}
