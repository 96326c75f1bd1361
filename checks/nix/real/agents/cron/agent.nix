{ ... }:
{
  hyperhive.description = "Works by crontab";
  hyperhive.prompt = "Works by crontab.";

  services.cron = {
    enable = true;
    systemCronJobs = [ "5 4 * * * agent date >> /state/times" ];
  };
}
