{ hyperhive.schedule.x = { at = "08:00; rm"; message = "x"; }; }
