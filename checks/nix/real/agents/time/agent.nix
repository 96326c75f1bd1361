{ ... }:
{
  hyperhive.description = "Lives in another time zone";
  hyperhive.prompt = "Lives in another time zone.";

  time.timeZone = "Europe/Berlin";
  i18n.defaultLocale = "de_DE.UTF-8";
}
