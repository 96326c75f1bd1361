{ ... }:
{
  hyperhive = {
    allowedRecipients = "alice";
  };
}
