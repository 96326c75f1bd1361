{ hyperhive.schedule.x.at = "08:00"; }
